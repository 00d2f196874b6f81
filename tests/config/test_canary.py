"""What is secret, or may be, is in no problem and in no text of a `Config`."""

import hashlib

import pytest

from proxy.config import load
from proxy.errors import ConfigError

KEY = "CANARY-of-a-client"
STORE_KEY = "CANARY" * 7 + "8="  # 32 bytes, as any other 43 characters and =
CANARIES = """\
log_level: CANARY
log_format: [CANARY]
store: CANARY
anonymous: [CANARY]
listen: CANARY
admin: [CANARY, "CANARY:8081"]
admin_key: [CANARY]
login_timeout: CANARY
store_key: [CANARY]
hosts: ["CANARY:CANARY", [CANARY]]
set_real_ip_from: [CANARY, {CANARY: CANARY}]
real_ip_header: CANARY
socket_mode: CANARY
socket_users: [CANARY]
ssl_verify_client: CANARY
clients:
  one: {key: CANARY, routes: [/CANARY]}
  two: {key: [CANARY, "sha256:CANARY"], certificate: "sha256:CANARY", methods: [CANARY CANARY]}
  three: {key: [[CANARY]], certificate: [[CANARY]], routes: [[CANARY]]}
  four: {key: "CANARY\\0CANARY", certificate: "CANARY\\0CANARY", routes: {CANARY: CANARY}}
  five: {key: "${SECRET}", certificate: "${SECRET}", routes: "${SECRET}"}
  six: {key: CANARY, certificate: CANARY}
  seven: CANARY
unknown: CANARY
spool_dir: {a: CANARY}
exchange_timeout: CANARY
replay_limit: CANARY
credentials:
  one: {provider: CANARY, client_id: CANARY, client_secret: CANARY, scopes: CANARY, redirect_url: CANARY}
  two: {provider: readycloud, client_id: [CANARY], client_secret: [CANARY], scopes: ['"CANARY'], secret: CANARY}
  three: {provider: readycloud, client_id: CANARY, client_secret: "CANARY\\n", client_id: "CANARY"}
  four: {provider: readycloud, client_secret: "CAN\\0CANARY"}
  five: CANARY
  six: {provider: readycloud, client_id: x, client_secret: y, redirect_uri: CANARY, org_pk: CANARY/CANARY}
  seven: {provider: readycloud, client_id: x, client_secret: y, redirect_uri: "http://CANARY.example/CANARY?CANARY"}
  eight: {provider: cloud66, client_id: x, client_secret: y, redirect_uri: "https://x.example/callback#CANARY"}
  nine: {provider: cloud66, client_id: x, client_secret: y, redirect_uri: [CANARY], org_pk: [CANARY]}
routes:
  - {prefix: CANARY, host: "CANARY:1", listen: CANARY, credential: CANARY, methods: ["CANARY CANARY"]}
  - {prefix: /a, credential: CANARY, upstream: CANARY}
  - {prefix: /b, credential: three, upstream: "https://u:CANARY@CANARY.example/"}
  - {prefix: /c, credential: three, upstream: "https://CANARY.example/"}
  - {prefix: /d, credential: three, upstream: "https://CANARY.example/{CANARY}"}
  - {prefix: /e, credential: three, name: CANARY}
  - {prefix: /f, credential: three, name: CANARY}
  - {prefix: /g, credential: three, allow_origins: ["https://CANARY@CANARY/CANARY"]}
  - CANARY
providers:
  p: {extends: CANARY, upstream: CANARY, token_url: "http://CANARY.example", grant: CANARY, insecure_http: CANARY}
  q: {upstream: "http://CANARY.example", authorize_url: "https://CANARY@x.example", oauth_paths: ["CANARY"]}
  r: {extends: "${SECRET}", jsonp_parameter: [CANARY], token_parameters: CANARY}
  s: {upstream: "${SECRET}", token_url: !!int CANARY, client_auth: !CANARY CANARY}
  u: {redirect_parameter: CANARY, redirect_match: CANARY, scope_separator: [CANARY], orgs_path: "/CANARY?CANARY"}
  v: {authorize_parameters: {a: [CANARY]}, authorize_url: "https://x.example/?a#CANARY"}
  w: {authorize_parameters: CANARY, authorize_url: "https://x.example/?CANARY CANARY"}
  t: {upstream: "${CANARY CANARY}", token_url: "${SECRET"}
"""


def test_canary(write):
    """However wrong a file is, no problem repeats a value of it: any may be a secret in the wrong place."""
    with pytest.raises(ConfigError) as caught:
        load(write(CANARIES), {"SECRET": "CANARY", "BEARER_PROXY_LISTEN": "CANARY"})
    error = caught.value
    assert len(error.problems) > 55
    shown = [f"{text}" for text in (*error.problems, error, repr(error), repr(error.problems), error.args)]
    assert [] == [text for text in shown if "CANARY" in text]
    assert (None, None) == (error.__cause__, error.__context__)


@pytest.mark.parametrize(
    "text",
    [
        "clients: {one: {key: CANARY}, two: {key: [a, CANARY]}}",
        "clients: {one: {key: CANARY, certificate: CANARY}}",
        "clients: {one: {certificate: CANARY}, two: {certificate: CANARY}}",
        "clients: {one: {key: CANARY, routes: CANARY}}",
        "clients: {one: {key:CANARY, routes: [/a]}}",
        "admin_key:CANARY: x",
        "credentials: {a: {provider: onecloud, client_secret:CANARY}}",
        "credentials: {a: {provider: onecloud, client_secret CANARY}}",
        "admin_key CANARY: x",
        "admin_key: x\nCANARY: x",
        "CANARY: ${UNSET}\nCANARY: x",
        "admin_key: {CANARY: x}",
        "clients: {one: {key, CANARY}}",
        "clients: {one: {key, 0123CANARYef}}",
        "clients: {one: {key, canary+CANARY}}",
        "clients: {one: {key, canary CANARY}}",
        "clients: {one: {key: {CANARY: x}}}",
        "clients: {one: {key: ['${UNSET}', {CANARY: '${UNSET}'}]}}",
        "credentials: {a: {provider: onecloud, client_id: x, CANARY}}",
        "routes: [{prefix: /a, credential: a, CANARY: CANARY}]",
        "providers: {a: {authorize_parameters: {CANARY: [CANARY]}}}",
        "socket_users: [CANARY]",
        "socket_users: [99999999999999999999, CANARY]",
        "anonymous: [CANARY]",
        "set_real_ip_from: [CANARY, 'unix:']",
        "store_key: CANARY",
        "hosts: CANARY:8080",
        "ssl_client_certificate: CANARY\nlisten: localhost:8443 ssl",
        "ssl_client_certificate: ${SECRET}\nclients: {one: {certificate: CANARY}}",
    ],
)
def test_canary_of_one_value(lines, text):
    """Nor does a problem that ties keys together."""
    found = lines(text, SECRET="CANARY")
    assert (True, []) == (bool(found), [line for line in found if "CANARY" in line])


def test_config_with_callers(loaded):
    """No text of a `Config` shows a key of a client or of the store, nor the hash of one."""
    config = loaded(f"""
        admin_key: {KEY}-of-the-control-plane
        store_key: [{STORE_KEY}, "${{STORE_KEY}}"]
        clients:
          inline: {{key: {KEY}}}
          several: {{key: [{KEY}-new, "${{SECRET}}"]}}
        """, SECRET=f"{KEY}-in-a-variable", STORE_KEY=STORE_KEY.replace("CAN", "can"))  # fmt: skip
    digests = [key.digest for client in config.callers.clients for key in client.keys]
    expected = [hashlib.sha256(text.encode()).digest() for text in (KEY, f"{KEY}-new", f"{KEY}-in-a-variable")]
    assert expected == digests
    assert [STORE_KEY, STORE_KEY.replace("CAN", "can")] == [key.reveal() for key in config.store_keys]
    shown = f"{config!r}{config}{config.callers}{config.callers.clients}{config.store_keys}"
    hidden = ["CANARY", "canARY", *(digest.hex() for digest in digests), *(repr(digest) for digest in digests)]
    assert [] == [text for text in hidden if text in shown]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("", "listen: '${U:-localhost:1}'"),
        ("A", "admin_key: '${A}'"),
        ("AB", "admin_key: 'x${A}-${B:-default}'"),
        ("U", "admin_key: '${U:-default}'"),
        ("U", "store_key: '${U:-}'"),
        ("TU", "store_key: ['${U:-}', '${T:-}']"),
        ("A", "clients: {one: {key: '${A}'}}"),
        ("ABU", "clients: {one: {key: ['${A}', '${U:-}']}, two: {key: '${B}'}}"),
        ("A", "credentials: {a: {provider: onecloud, client_secret: '${A}', client_id: '${B}'}}"),
        ("", "clients: {one: {key: a, methods: '${GET}'}}"),
        ("A", "clients: {key: {key: '${A}', methods: '${GET}'}}"),
        ("", "credentials: {a: {provider: onecloud, org_pk: '${A}', scopes: ['${B}']}}"),
        ("", "providers: {a: {jsonp_parameter: '${A}'}}"),
        ("", "store: 'sqlite:${A}'\nspool_dir: '${B}'\nhosts: '${A}'"),
        ("", "admin_key: '$${A}'"),
        ("", "admin_key: '${file:none:-default}'"),
        ("A", "spool_dir: &a '${A}'\nadmin_key: *a"),
        ("A", "clients: {one: &c {key: '${A}'}, two: {<<: *c, key: b}}"),
        ("AB", "clients: {one: &c {key: '${A}'}, two: {<<: *c, key: [b, '${B}']}}"),
    ],
)
def test_secret_variables(loaded, expected, text):
    """The variables that stand in values which nobody may see are told, those with a default too, and no others."""
    config = loaded(text, A="value-of-a", B="value-of-b", GET="GET")
    assert set(expected) == config.secret_variables


@pytest.mark.parametrize("text", ["${A}", "['${A}']", "'${A}': 1"])
def test_variable_outside_of_keys(lines, text):
    """A file that is no mapping is a problem like any other."""
    assert 1 == len(lines(text, A="CANARY"))
