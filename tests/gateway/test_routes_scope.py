"""What no route lets out: paths that climb, OAuth endpoints in every disguise, parameters with tokens."""

import pytest

from proxy.config import CredentialConfig, Provider, RouteConfig, Upstream, presets
from proxy.errors import BadTargetError, ForbiddenPathError
from proxy.gateway.routes import RouteTable, make_route

ORIGIN = "https://api.acme.example"


def route(prefix="/", upstream=ORIGIN, *, provider=None, methods=None):
    """Give a route of a provider, which knows no OAuth endpoints unless it is given."""
    config = RouteConfig("acme", "acme", Upstream.parse(upstream), prefix, methods=methods and frozenset(methods))
    return make_route(config, CredentialConfig("acme", provider or Provider()))


def preset(name):
    provider = presets()[name]
    return route("/v", provider.upstream, provider=provider)


def place(one, target, method="GET"):
    return RouteTable([one]).place(method, target, "localhost:8080")


def onward(one, target, method="GET"):
    """Give the target that the upstream sees."""
    return place(one, target, method).target


@pytest.mark.parametrize(
    "rest", ["..", "../b", "b/../..", "%2e%2e/b", "..%2fb", "..;/b", ".\\b", "..%5cb", "b/.%2E", "%20../b"]
)
@pytest.mark.parametrize("prefix", ["/orders", "/"])
def test_path_that_would_leave_its_route(rest, prefix):
    """It is refused before any route is looked for."""
    for target in (f"/orders/{rest}", f"/elsewhere/{rest}"):
        with pytest.raises(BadTargetError, match="segments"):
            onward(route(prefix, f"{ORIGIN}/api/v2/orgs/1/orders"), target)


TOKEN_ENDPOINT = [
    "/api/v1/oauth2/token/",
    "/api/v1/oauth2/token",
    "/api/v1/oauth2",
    "/api/v1/oauth2/anything/below?a",
    "/API/V1/OAuth2/Token/",
    "//api//v1///oauth2//token//",
    "/api/v1/%6fauth2/token/",
    "/%61%70%69/v1/oauth%32/token",
    "/api%2Fv1%2foauth2%2ftoken",
    "/api\\v1\\oauth2\\token",
    "/api%5cv1/oauth2%5Ctoken",
    "/api/v1/oauth2;x=y/token/",
    "/api;a/v1;b/oauth2;c",
    "/api/v1/oauth2%3bx/token",
    "/;/api/v1/;x/oauth2/",
    "/api/v1/oauth2%20/token",
    "/api/v1/oauth2%00/token",
    "/api/v1/%09oauth2/token",
    "/api/v1/oauth2.json",
    "///x/api/v1/oauth2/token/",
    "/////x/api/v1/oauth2/token/",
    "/\\/x/api/v1/oauth2/token/",
]


@pytest.mark.parametrize("path", TOKEN_ENDPOINT)
@pytest.mark.parametrize("host", ["", "http://localhost"])
def test_oauth_endpoint(path, host):
    """It is refused in every disguise, for the proxy alone calls it."""
    with pytest.raises(ForbiddenPathError):
        place(preset("readycloud"), f"{host}/v{path}", "POST")


@pytest.mark.parametrize(
    ("base", "rest"),
    [("/api/v1", "/oauth2/token/"), ("/api/v1/oauth2", ""), ("/api", "/V1%2foauth2"), ("/API/v1/", "//oauth2")],
)
def test_oauth_endpoint_below_a_base_path(base, rest):
    """What the upstream would see is what is judged."""
    provider = presets()["readycloud"]
    with pytest.raises(ForbiddenPathError):
        onward(route("/v", provider.upstream + base, provider=provider), f"/v{rest}")


@pytest.mark.parametrize(
    ("expected", "name", "path"),
    [
        ("/api/v2/orgs/", "readycloud", "/api/v2/orgs/"),
        ("/api/v1/oauth2x", "readycloud", "/api/v1/oauth2x"),
        ("/x/api/v1/oauth2", "readycloud", "/x/api/v1/oauth2"),
        ("/api/v1/%256fauth2", "readycloud", "/api/v1/%256fauth2"),
        ("/api?a=/api/v1/oauth2", "readycloud", "/api?a=/api/v1/oauth2"),
        ("/oauth", "readycloud", "/oauth"),
        ("/api/3/stacks.json", "cloud66", "/api/3/stacks.json"),
        ("/oauths/token", "cloud66-v2", "/oauths/token"),
    ],
)
def test_path_beside_the_oauth_endpoints(expected, name, path):
    """It passes."""
    assert expected == onward(preset(name), f"/v{path}")


@pytest.mark.parametrize("path", ["/Oauth/Token", "/oauth/authorize?x", "/oauth/token.json", "/oauth"])
@pytest.mark.parametrize("name", ["cloud66", "cloud66-v2"])
def test_oauth_endpoint_of_another_preset(name, path):
    """Each preset knows its own."""
    with pytest.raises(ForbiddenPathError):
        place(preset(name), f"/v{path}", "POST")


@pytest.mark.parametrize("path", ["/t", "/T/", "/a?b", "/oauth//", "/%74"])
def test_oauth_endpoint_of_ones_own_provider(path):
    """Its URLs are enough where they lie at the upstream's origin, however that is written."""
    provider = Provider(
        token_url="https://API.acme.example:443/t/?x=y", authorize_url=f"{ORIGIN}/a", oauth_paths=["/oauth"]
    )
    with pytest.raises(ForbiddenPathError):
        onward(route(provider=provider), path)


def test_oauth_endpoint_elsewhere():
    """At another origin it forbids nothing here."""
    provider = Provider(token_url="https://login.acme.example/t", authorize_url=f"{ORIGIN}:8443/a")
    assert ["/t", "/a"] == [onward(route(provider=provider), path) for path in ("/t", "/a")]


@pytest.mark.parametrize(
    ("expected", "query"),
    [
        ("?a=1", "?access_token=x&a=1"),
        ("", "?bearer_token=x"),
        ("?_method=PUT&key=1", "?_method=PUT&key=1"),
        ("?", "?"),
    ],
)
def test_query(expected, query):
    """Token parameters go for every provider."""
    assert f"/{expected}" == onward(route("/a"), f"/a{query}")


@pytest.mark.parametrize(("expected", "methods"), [("/?_method=DELETE&b", None), ("/?b", ["POST"])])
def test_method_in_the_query(expected, methods):
    """It goes where methods are limited."""
    assert expected == onward(route("/a", methods=methods), "/a?_method=DELETE&b", method="POST")


def test_token_parameter_of_the_provider():
    """It goes too."""
    one = route("/a", provider=Provider(token_parameters=("api_key",)))
    assert "/?b" == onward(one, "/a?api%5fkey=x&b&access_token=y")


@pytest.mark.parametrize(
    ("expected", "name", "query"),
    [
        (True, "readycloud", "?callback=f"),
        (True, "readycloud", "?a&%63allback"),
        (True, "readycloud", "?a;callback=f"),
        (False, "readycloud", "?callbacks=f&a=callback"),
        (False, "readycloud", ""),
        (False, "cloud66", "?callback=f"),
    ],
)
def test_jsonp(expected, name, query):
    """The request bears the parameter of a provider that has one."""
    assert expected is place(preset(name), f"/v/a{query}").jsonp
