"""Redirect URIs: where our own page is, what a vendor compares, and what is sent to it."""

import pytest

from proxy.config import OOB, Address, redirect_to_send, same_host
from proxy.config.model import Provider
from proxy.config.redirect import default_redirect

HERE = "http://127.0.0.1:8081/callback"
CLEAR = "http:// beyond loopback would send tokens in clear: use https://, or set insecure_http: true"
ELSEWHERE = (
    "the sign-in ends at /callback of the control plane: register http://127.0.0.1:8081/callback at the "
    f"vendor, or {OOB} where codes are copied"
)
EXACT, BY_HOST = Provider(), Provider(redirect_match="host")


@pytest.mark.parametrize(
    ("expected", "admin"),
    [
        (HERE, []),
        (HERE, ["localhost:8081"]),
        (HERE, ["LOCALHOST:8081"]),
        (HERE, ["*:8081"]),
        (HERE, ["0.0.0.0:8081"]),
        (HERE, ["proxy.internal:8081"]),
        (HERE, ["10.0.0.1:8081"]),
        (HERE, ["unix:/run/admin.sock"]),
        (HERE, ["127.0.0.1:0"]),
        ("http://127.0.0.1:9000/callback", ["127.0.0.1:9000"]),
        ("http://127.0.0.2:9000/callback", ["127.0.0.2:9000"]),
        ("http://[::1]:9000/callback", ["[::1]:9000"]),
        ("http://[::1]:9000/callback", ["[::]:9000"]),
        ("http://127.0.0.1:9000/callback", ["unix:/run/admin.sock", "localhost:9000"]),
        ("http://127.0.0.1:9000/callback", ["10.0.0.1:8081", "localhost:9000", "localhost:9001"]),
        ("http://127.0.0.1:9000/callback", ["proxy:8081", "*:9000"]),
    ],
)
def test_default_redirect(expected, admin):
    """It is our page as a browser of this machine reaches it, by an address rather than a name (RFC 8252, 7.3)."""
    assert expected == default_redirect([Address.parse(one) for one in admin])


@pytest.mark.parametrize(
    ("expected", "other"),
    [
        (True, "http://example.com"),
        (True, "https://example.com"),
        (True, "http://example.com/bar"),
        (True, "https://EXAMPLE.com:443/bar?a=b"),
        (True, "http://example.com:80"),
        (False, "http://example.com:8080"),
        (False, "http://example.com:443"),
        (False, "https://example.com:80"),
        (False, "http://example.org"),
        (False, "http://www.example.com"),
        (False, "http://example.com.evil.example"),
        (False, "http://example.com@evil.example"),
        (False, OOB),
    ],
)
def test_host_as_cloud66_compares_it(expected, other):
    """Host and port count; scheme and path do not, so that the schemes' own ports are equal."""
    assert (expected, expected) == (same_host("http://example.com", other), same_host(other, "http://example.com"))


@pytest.mark.parametrize(
    ("expected", "registered", "provider"),
    [
        (HERE, HERE, EXACT),
        (HERE, HERE, BY_HOST),
        (f"{HERE}?a=b", f"{HERE}?a=b", EXACT),
        (OOB, OOB, EXACT),
        (OOB, OOB, BY_HOST),
        ("https://proxy.example/callback", "https://proxy.example/callback", EXACT),
        ("https://app.example/theirs?a=b", "https://app.example/theirs?a=b", EXACT),
        ("http://127.0.0.1:8081/callback", "http://127.0.0.1:8081", BY_HOST),
        ("http://127.0.0.1:8081/callback", "http://127.0.0.1:8081/", BY_HOST),
        ("http://127.0.0.1:8081/callback", "http://127.0.0.1:8081/else/where?a=b", BY_HOST),
        ("https://proxy.example/callback", "https://proxy.example:443/x", BY_HOST),
        ("https://proxy.example:8443/callback", "https://proxy.example:8443", BY_HOST),
        ("http://[::1]:8081/callback", "http://[::1]:8081/callback/", BY_HOST),
    ],
)
def test_redirect_to_send(expected, registered, provider):
    """It is what is registered; where the vendor compares the host only, our page there."""
    assert expected == redirect_to_send(registered, provider)
    assert registered == OOB or same_host(registered, expected)


@pytest.mark.parametrize(
    "path", ["", "/", "/callback/", "/Callback", "/x/callback", "/callbackx", "/login/callback", "/x?/callback"]
)
def test_registered_redirect_that_is_not_our_page(path):
    """On this machine nothing would hear the answer there: what to register is said instead."""
    with pytest.raises(ValueError, match=r"register http://localhost:8081/callback at the vendor, or urn:ietf"):
        redirect_to_send(f"http://localhost:8081{path}", EXACT)


def test_registered_redirect_that_the_vendor_is_not_sent():
    """It is the vendor's affair, wherever it leads."""
    not_sent = EXACT.model_copy(update={"redirect_parameter": "none"})
    assert "http://localhost:8081/mine" == redirect_to_send("http://localhost:8081/mine", not_sent)


@pytest.mark.parametrize(
    ("expected", "provider", "redirect"),
    [
        ([], "acme", ""),
        ([], "acme", HERE),
        ([], "acme", OOB),
        ([], "acme", "http://localhost:9000/callback"),
        ([], "acme", "https://proxy.example/callback"),
        ([], "by-host", "https://proxy.example/registered"),
        ([CLEAR], "acme", "http://proxy.example/callback"),
        ([CLEAR], "by-host", "http://10.0.0.1/registered"),
        ([], "clear", "http://proxy.example/callback"),
        (["a redirect URI has no # (RFC 6749 section 3.1.2)"], "acme", f"{HERE}#CANARY"),
        (["a URL with credentials in it is refused: the credential adds them"], "acme", "https://u:CANARY@x.example/"),
        (["this must be an absolute URL, such as https://api.example.com/v1"], "acme", "/callback"),
        (["this must be an absolute URL, such as https://api.example.com/v1"], "acme", "urn:ietf:wg:oauth:2.0:CANARY"),
        (["this must be an absolute URL, such as https://api.example.com/v1"], "acme", "javascript:CANARY"),
        (["a URL is plain ASCII without blanks, and has no # here"], "acme", f"{HERE}?CANARY CANARY"),
        (
            [ELSEWHERE],
            "acme",
            "http://127.0.0.1:8081/registered?CANARY",
        ),
    ],
)
def test_redirect_in_a_configuration(lines, expected, provider, redirect):
    """One that no sign-in could come back by is refused, at its line."""
    text = f"""\
credentials:
  a:
    provider: {provider}
    client_id: x
    client_secret: y
    redirect_uri: "{redirect}"
providers:
  acme: {{upstream: https://x.example, token_url: https://x.example/t, authorize_url: https://x.example/a}}
  by-host: {{extends: acme, redirect_match: host}}
  clear: {{extends: acme, insecure_http: true}}
"""
    assert [f"config.yaml:6: credentials.a.redirect_uri: {line}" for line in expected] == lines(text)


def test_redirect_that_is_not_configured(loaded):
    """It leads to the control plane, wherever that listens."""
    config = loaded("admin: 'localhost:9000'\ncredentials: {a: {provider: cloud66, client_id: x, client_secret: y}}")
    assert "http://127.0.0.1:9000/callback" == config.credentials["a"].redirect_uri
