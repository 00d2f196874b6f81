"""What ties keys together: providers, credentials and routes."""

import pytest

CREDENTIAL = "credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}\n"
CLEAR = "http:// beyond loopback would send tokens in clear: use https://, or set insecure_http: true"
ORIGIN = "this is another origin than the provider's: tokens go to the provider only"
DOTS = "a URL's path has no . or .. segments here, encoded or not"
ENDS = "an upstream ends with its path: no ? and no #"
SAME = "matches the very same requests as another route"
NAMED = "bears the same name as another route: give it a name"
HOLE = "{org_pk}, once and as a whole segment of the path, is all that is filled in"
FILLED = "{…} is filled in where a route's upstream has it: write it there"
LACKS = "config.yaml:1: credentials.a: warning: not configured: it lacks {}; its routes answer 503"


def routes(*entries):
    """Write a file whose route N stands on line N + 3."""
    return CREDENTIAL + "routes:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


@pytest.mark.parametrize(
    ("expected", "provider"),
    [
        (["upstream"], "{token_url: https://x.example/t}"),
        (["token_url"], "{upstream: https://x.example}"),
        (["upstream", "token_url"], "{extends: readycloud, upstream: '', token_url: '${UNSET:-}'}"),
        (["upstream"], "{grant: manual, renew: none}"),
        (["token_url"], "{upstream: https://x.example, grant: authorization_code, renew: none}"),
        (["token_url"], "{upstream: https://x.example, grant: client_credentials, renew: client_credentials}"),
    ],
)
def test_provider_that_is_not_configured(lines, expected, provider):
    """A warning names what the provider needs and lacks."""
    text = f"credentials: {{a: {{provider: p, client_id: x, client_secret: y}}}}\nproviders: {{p: {provider}}}\n"
    assert [LACKS.format(", ".join(expected))] == lines(text)


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        ("client_id, client_secret", "provider: readycloud"),
        ("client_id, client_secret", "provider: readycloud-v1"),
        ("client_id, client_secret", "provider: cloud66"),
        ("client_id, client_secret", "provider: cloud66-v2"),
        ("upstream, token_url, client_id", "provider: onecloud"),
        ("upstream, token_url", "provider: onecloud, client_id: x"),
        ("client_secret", "provider: readycloud, client_id: x"),
        ("client_id", "provider: cloud66, client_secret: x"),
        ("client_id, client_secret", "provider: readycloud, client_id: '${UNSET:-}', client_secret: ''"),
        ("client_id, client_secret", "provider: readycloud, client_id: , client_secret: "),
    ],
)
def test_credential_that_is_not_configured(lines, expected, entry):
    """A warning names exactly what a credential needs and lacks, for each preset."""
    assert [LACKS.format(expected)] == lines(f"credentials: {{a: {{{entry}}}}}")


@pytest.mark.parametrize(
    "text",
    [
        "credentials: {a: {provider: p}}\nproviders: {p: {upstream: https://x.example, grant: manual, renew: none}}",
        "credentials: {a: {provider: p, client_id: x}}\nproviders: {p: {extends: readycloud, client_auth: none}}",
        "{credentials: {a: {provider: p, client_id: x}}, providers: {p: {extends: cloud66, client_auth: none}}}",
        CREDENTIAL,
    ],
)
def test_configured_credential(lines, loaded, text):
    """A credential that has what its provider needs lacks nothing, and is not warned of."""
    assert ([], ()) == (lines(text), loaded(text).credentials["a"].missing)


def test_not_configured_credential_with_a_route(loaded):
    """Its route stands all the same, so that it can answer what is missing; with no upstream it has none."""
    config = loaded("credentials: {a: {provider: onecloud}}\nroutes: [{prefix: /a, credential: a}]")
    assert ("a", None) == (config.routes[0].credential, config.routes[0].upstream)


@pytest.mark.parametrize(
    ("expected", "providers"),
    [
        (["p.extends: there is no provider to extend (did you mean 'readycloud'?)"], "p: {extends: readyclod}"),
        (["p.extends: there is no provider to extend"], "p: {extends: xyz}"),
        (["p.extends: extends runs in a circle"], "p: {extends: p}"),
        (["p.extends: extends runs in a circle", "q.extends: extends runs in a circle"],
         "p: {extends: q}, q: {extends: p}"),
        ([f"p.upstream: {CLEAR}"], "p: {upstream: http://x.example}"),
        ([f"p.token_url: {CLEAR}"], "p: {token_url: 'http://10.0.0.1/t?a=b'}"),
        ([f"p.upstream: {CLEAR}"], "p: {extends: readycloud, upstream: http://www.readycloud.com}"),
        ([f"p.upstream: {ENDS}"], "p: {upstream: 'https://x.example/?a=b'}"),
        ([f"p.token_url: {DOTS}"], "p: {token_url: 'https://x.example/a/%2e%2e/t?a=..'}"),
        ([f"p.authorize_url: {DOTS}"], "p: {authorize_url: 'https://x.example/%2E;a/b'}"),
        ([f"p.upstream: {FILLED}"], "p: {upstream: 'https://x.example/{org_pk}'}"),
        ([f"p.upstream: {FILLED}"], "p: {extends: readycloud, upstream: 'https://www.readycloud.com/{CANARY}/a'}"),
        ([], "p: {upstream: http://x.example, token_url: http://x.example/t, insecure_http: true}"),
        ([], "p: {upstream: 'http://localhost:9000', token_url: 'http://127.0.0.1:9000/t'}"),
        ([], "p: {extends: q, upstream: http://x.example}, q: {insecure_http: true}"),
        ([], "readycloud: {extends: readycloud, token_url: https://x.example/t}, p: {extends: readycloud}"),
    ],
)  # fmt: skip
def test_provider(lines, expected, providers):
    """A provider extends one that there is, and never sends tokens in clear unless told to."""
    text = f"providers: {{{providers}}}"
    assert [f"config.yaml:1: providers.{line}" for line in expected] == lines(text)


def test_provider_by_the_name_of_its_preset(loaded):
    """A provider that extends the preset of its own name takes its place, changed."""
    config = loaded(CREDENTIAL + "providers: {readycloud: {extends: readycloud, token_url: https://x.example/t}}")
    provider = config.credentials["a"].provider
    assert ("https://x.example/t", "https://www.readycloud.com") == (provider.token_url, provider.upstream)


@pytest.mark.parametrize(
    ("expected", "credential"),
    [
        ("there is no such provider (did you mean 'readycloud'?)", "provider: readyclod"),
        ("there is no such provider", "provider: CANARY"),
        ("there is no such provider", "provider: ''"),
        ("this key is needed and missing", "client_id: x"),
    ],
)
def test_credential_without_provider(lines, expected, credential):
    """A credential needs a provider that there is; what else follows from that is not reported."""
    text = f"credentials: {{a: {{{credential}}}}}\nroutes: [{{prefix: /a, credential: a}}]"
    assert [f"config.yaml:1: credentials.a.provider: {expected}"] == lines(text)


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        ([": a route needs a prefix, a host or a listen to match by"], "credential: a"),
        ([".credential: there is no such credential"], "prefix: /a, credential: CANARY"),
        ([".credential: this key is needed and missing"], "prefix: /a"),
        ([f".upstream: {ORIGIN}"], "prefix: /a, credential: a, upstream: https://x.example"),
        ([f".upstream: {ORIGIN}"], "prefix: /a, credential: a, upstream: http://www.readycloud.com"),
        ([f".upstream: {ORIGIN}"], "prefix: /a, credential: a, upstream: 'https://www.readycloud.com:444'"),
        ([f".upstream: {ORIGIN}"], "prefix: /a, credential: a, upstream: https://www.readycloud.com.x.example"),
        ([".upstream: a URL with credentials in it is refused: the credential adds them"],
         "prefix: /a, credential: a, upstream: 'https://u:CANARY@www.readycloud.com'"),
        *(([f".upstream: {HOLE}"], f"prefix: /a, credential: a, upstream: 'https://www.readycloud.com/{path}'")
          for path in ("{CANARY}", "{org_pk}/{org_pk}", "a{org_pk}", "{org_pk}a", "{org_pk}.json", "{ORG_PK}", "a}",
                       "{", "{org_pk}/{CANARY}")),
        ([".upstream: the host of this URL is no host"],
         "prefix: /a, credential: a, upstream: 'https://{org_pk}.readycloud.com'"),
        ([f".upstream: {ORIGIN}"], "prefix: /a, credential: a, upstream: 'https://x.example/{org_pk}'"),
        ([f".upstream: {ENDS}"], "prefix: /a, credential: a, upstream: 'https://www.readycloud.com/x?a=CANARY'"),
        ([".prefix: a prefix has no . or .. segment", ".credential: there is no such credential"],
         "prefix: /.., credential: b"),
    ],
)  # fmt: skip
def test_bad_route(lines, expected, entry):
    """A route matches by something, has a credential that there is, and stays at its provider's origin."""
    assert [f"config.yaml:3: routes.0{line}" for line in expected] == lines(routes(entry))


@pytest.mark.parametrize("path", ["/{org_pk}", "/api/v2/orgs/{org_pk}/orders", "/{org_pk}/a"])
def test_route_to_an_organization(loaded, path):
    """Its place in the path is kept as it is written, until a request fills it in."""
    (route,) = loaded(routes(f"prefix: /a, credential: a, upstream: 'https://www.readycloud.com{path}'")).routes
    assert path == route.upstream.base


def test_route_to_an_organization_of_a_provider_without_organizations(lines):
    """It is refused: nobody could fill it in."""
    text = (
        "credentials: {a: {provider: cloud66, client_id: x, client_secret: y}}\n"
        "routes: [{prefix: /a, credential: a, upstream: 'https://app.cloud66.com/{org_pk}'}]"
    )
    expected = "{org_pk} is found out where the provider has an orgs_path: write the value itself"
    assert [f"config.yaml:2: routes.0.upstream: {expected}"] == lines(text)


PERSONAL = "credentials: {a: {provider: cloud66-personal}}"


def test_personal_token_of_cloud66(lines):
    """Its credential needs neither client nor secret."""
    assert [] == lines(PERSONAL)


def test_route_of_a_provider_without_upstream(lines):
    """A route may say where its provider is, but not to send tokens in clear."""
    text = "credentials: {a: {provider: onecloud}}\nroutes: [{prefix: /a, credential: a, upstream: http://x.example}]"
    assert f"config.yaml:2: routes.0.upstream: {CLEAR}" in lines(text)
    assert 1 == len(lines(text.replace("http:", "https:")))


@pytest.mark.parametrize(
    ("expected", "entry"),
    [
        (("/a", "/a", "", "https://www.readycloud.com"), "prefix: /a/, credential: a"),
        (("n", "/a", "", "https://www.readycloud.com"), "prefix: /a, name: n, credential: a"),
        (("h.x", "/", "h.x", "https://www.readycloud.com"), "host: H.x, credential: a"),
        (("h/a", "/a", "h", "https://www.readycloud.com"), "host: h, prefix: /a, credential: a"),
        (("[::1]:1", "/", "", "https://www.readycloud.com"), "listen: '[::1]:1', credential: a"),
        (("/a", "/a", "", "https://www.readycloud.com/b"),
         "prefix: /a, credential: a, upstream: 'https://www.readycloud.com:443/b/'"),
        (("/a", "/a", "", "https://www.readycloud.com"), "prefix: /a, credential: a, upstream: ''"),
    ],
)  # fmt: skip
def test_route(loaded, expected, entry):
    """A route's name is its prefix, host or listen; its upstream is the provider's."""
    (route,) = loaded(routes(entry)).routes
    assert expected == (route.name, route.prefix, route.host, str(route.upstream))


@pytest.mark.parametrize(
    ("expected", "entries"),
    [
        ([f"4: routes.1: {SAME}"], ["prefix: /a, credential: a", "prefix: /a/, name: n, credential: a"]),
        ([f"4: routes.1: {SAME}"], ["host: h, credential: a", "host: H, prefix: /, name: n, credential: a"]),
        ([f"4: routes.1: {SAME}"], ["listen: 'localhost:1', credential: a",
                                    "listen: ['localhost:2', 'localhost:1'], credential: a"]),
        ([f"4: routes.1: {NAMED}"], ["prefix: /a, credential: a", "prefix: /b, name: /a, credential: a"]),
        ([f"5: routes.2: {SAME}"], ["prefix: /z", "prefix: /a, credential: a", "prefix: /a, credential: a"]),
        ([f"5: routes.2: {SAME}"], ["prefix: /z, credential: z", "prefix: /a, credential: a",
                                    "prefix: /a, credential: a"]),
        ([], ["prefix: /a, credential: a", "prefix: /a/b, credential: a", "host: h, credential: a",
              "host: h, prefix: /a, name: n, credential: a", "listen: 'localhost:1', credential: a",
              "listen: 'localhost:1', prefix: /a, name: m, credential: a"]),
    ],
)  # fmt: skip
def test_clashing_routes(lines, expected, entries):
    """Two routes that match the same requests, or share a name, clash: the later one is told, wherever others fail."""
    found = [line for line in lines(routes(*entries)) if "another route" in line]
    assert [f"config.yaml:{line}" for line in expected] == found
