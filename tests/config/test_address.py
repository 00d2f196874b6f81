"""Addresses, networks and origins: what may be written, and what it means."""

from contextlib import nullcontext

import pytest

from proxy.config.address import Address, Upstream, is_loopback
from proxy.errors import BadTargetError
from proxy.gateway.target import judged

HOST_PORT = "an address is written host:port, [v6]:port, *:port or unix:/path"
ABSOLUTE = "this must be an absolute URL, such as https://api.example.com/v1"
CREDENTIALS = "a URL with credentials in it is refused: the credential adds them"
ENDS = "an upstream ends with its path: no ? and no #"
PATH = "a URL's path has no . or .. segments here, encoded or not"
PLAIN = "a URL is plain ASCII without blanks; a host of other letters is written as xn--…"


@pytest.mark.parametrize(
    ("expected", "host"),
    [
        (True, "localhost"),
        (True, "LocalHost"),
        (True, "localhost."),
        (True, "proxy.localhost"),
        (True, "127.0.0.1"),
        (True, "127.255.255.254"),
        (True, "::1"),
        (True, "0:0:0:0:0:0:0:1"),
        (True, "::ffff:127.0.0.1"),
        (False, "::ffff:10.0.0.1"),
        (False, "126.255.255.255"),
        (False, "128.0.0.0"),
        (False, "::2"),
        (False, "0.0.0.0"),
        (False, "::"),
        (False, "*"),
        (False, ""),
        (False, "localhost.example"),
        (False, "notlocalhost"),
        (False, "127.0.0.1.example"),
        (False, "127.1"),
        (False, "2130706433"),
        (False, "0x7f000001"),
    ],
)
def test_is_loopback(expected, host):
    """Only what can mean nothing but this machine is loopback."""
    assert expected is is_loopback(host)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (Address("localhost", 8080), "localhost:8080"),
        (Address("127.0.0.1", 1), "127.0.0.1:1"),
        (Address("::1", 65535), "[::1]:65535"),
        (Address("::ffff:1.2.3.4", 80), "[::ffff:1.2.3.4]:80"),
        (Address("*", 80), "*:80"),
        (Address("*", 80), ":80"),
        (Address("0.0.0.0", 0), "0.0.0.0:0"),
        (Address("proxy", 80), "proxy:80"),
        (Address(path="/run/proxy.sock"), "unix:/run/proxy.sock"),
        (Address(path="/run/a b:1"), "unix:/run/a b:1"),
    ],
)
def test_address(expected, text):
    """An address is a host and a port, or a socket's path."""
    assert expected == Address.parse(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        *(
            (HOST_PORT, text)
            for text in (
                "",
                "8080",
                "localhost",
                "localhost:",
                "localhost:999999",
                "localhost:-1",
                "localhost:http",
                "http://localhost:80",
                "localhost:80/",
                "::1:80",
                "[::1]",
                "[]:80",
                "[localhost]:80",
                "[::::]:80",
                "a b:80",
                "localhost:80\n",
                "UNIX:/run/x",
            )
        ),
        ("a port is 65535 at most", "localhost:65536"),
        ("a unix socket is written unix:/absolute/path", "unix:"),
        ("a unix socket is written unix:/absolute/path", "unix:proxy.sock"),
    ],
)
def test_bad_address(expected, text):
    """What is no address is refused, saying how one is written."""
    with pytest.raises(ValueError) as caught:
        Address.parse(text)
    assert expected == str(caught.value)


@pytest.mark.parametrize("text", ["localhost:8080", "[::1]:80", "*:80", "10.0.0.1:0", "unix:/run/proxy.sock"])
def test_address_as_text(text):
    """An address is shown as it is written."""
    assert text == str(Address.parse(text))


@pytest.mark.parametrize(
    ("hosts", "loopback", "text"),
    [
        (("127.0.0.1", "::1"), True, "localhost:80"),
        (("127.0.0.1", "::1"), True, "LOCALHOST:80"),
        (("0.0.0.0", "::"), False, "*:80"),
        (("0.0.0.0", "::"), False, ":80"),
        (("0.0.0.0",), False, "0.0.0.0:80"),
        (("127.0.0.1",), True, "127.0.0.1:80"),
        (("::1",), True, "[::1]:80"),
        (("proxy",), False, "proxy:80"),
    ],
)
def test_where_an_address_listens(hosts, loopback, text):
    """`localhost` binds both loopback addresses, `*` everything."""
    address = Address.parse(text)
    assert (hosts, loopback) == (address.hosts, address.loopback)


def test_unix_socket():
    """A unix socket is reached from this machine only."""
    assert Address.parse("unix:/run/x").loopback


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (Upstream("https", "api.example", 443), "https://api.example"),
        (Upstream("https", "api.example", 443), "https://api.example/"),
        (Upstream("https", "api.example", 443), "https://api.example:443"),
        (Upstream("https", "api.example", 443), "HTTPS://API.example"),
        (Upstream("http", "api.example", 80), "http://api.example"),
        (Upstream("http", "api.example", 443), "http://api.example:443"),
        (Upstream("https", "api.example", 8443, "/v1"), "https://api.example:8443/v1/"),
        (Upstream("https", "api.example", 443, "/a//b/%2F;x=1/..."), "https://api.example/a//b/%2F;x=1/..."),
        (Upstream("https", "::1", 443, "/v1"), "https://[::1]/v1"),
        (Upstream("https", "api.example", 443, "/orgs/{org_pk}"), "https://api.example/orgs/{org_pk}"),
    ],
)
def test_upstream(expected, text):
    """An upstream is an origin and a base path, its bytes unchanged but for a final slash."""
    assert expected == Upstream.parse(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (ABSOLUTE, ""),
        (ABSOLUTE, "api.example"),
        (ABSOLUTE, "api.example:443/v1"),
        (ABSOLUTE, "//api.example"),
        (ABSOLUTE, "ftp://api.example"),
        (ABSOLUTE, "https:///v1"),
        (ABSOLUTE, "https://:443/v1"),
        (ABSOLUTE, "unix:/run/x"),
        ("this is not a URL", "https://[::1/"),
        ("this is not a URL", "https://api.example:99999"),
        ("this is not a URL", "https://api.example:x"),
        (CREDENTIALS, "https://user:word@api.example"),
        (CREDENTIALS, "https://user@api.example"),
        (CREDENTIALS, "https://@api.example"),
        (CREDENTIALS, "https://:word@api.example"),
        (ENDS, "https://api.example/?a=b"),
        (ENDS, "https://api.example/?"),
        (ENDS, "https://api.example/#f"),
        (ENDS, "https://api.example#"),
        (PATH, "https://api.example/a/../b"),
        (PATH, "https://api.example/.."),
        (PATH, "https://api.example/./"),
        (PLAIN, "https://api.example/a b"),
        (PLAIN, "https://api.example/a\\b"),
        (PLAIN, "https://api.example/\u00e4"),
        (PLAIN, "https://api.example/a\x7f"),
    ],
)
def test_bad_upstream(expected, text):
    """What is no upstream is refused, saying why and repeating nothing of it."""
    with pytest.raises(ValueError) as caught:
        Upstream.parse(text)
    assert expected == str(caught.value)


DOTS = ["/..", "/%2e%2E/a", "/.%2e", "/a/%2e", "/..;x", "/a%2f..%5Cb", "/%20..%09/a", "/%2e%2e%3fx", "/.%23", "/..%00x"]
NO_DOTS = ["/...", "/a..", "/..a/.b", "/%252e%252e", "/a%20..b", "/;..", "/a%3b..", "/..%", "/%e9..", "/a%3f/b"]


@pytest.mark.parametrize("path", [*DOTS, *NO_DOTS])
def test_dots_in_disguise(path):
    """They are found wherever the judgement of requests finds them: routes are judged by these paths."""
    with pytest.raises(BadTargetError) if path in DOTS else nullcontext():
        judged(path)
    for text in (f"https://api.example{path}", f"https://api.example/v1{path}/b"):
        with pytest.raises(ValueError, match=PATH) if path in DOTS else nullcontext():
            Upstream.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://api example",
        "https://api.ex\tample",
        "https://api.example\\evil",
        "https://api.example\x00",
        "https://\u00e4pi.example",
        "https://api.example/a\nb",
        "https://api.example/a\r\nHost: evil",
    ],
)
def test_upstream_that_no_request_line_can_hold(text):
    """White space, control characters and what is not ASCII are refused in the host too, and never dropped."""
    with pytest.raises(ValueError):
        Upstream.parse(text)


@pytest.mark.parametrize(
    ("authority", "origin", "text"),
    [
        ("api.example", "https://api.example", "https://api.example:443/v1"),
        ("api.example:80", "https://api.example:80", "https://api.example:80/v1"),
        ("api.example", "http://api.example", "http://api.example:80"),
        ("[::1]:8080", "http://[::1]:8080", "http://[::1]:8080"),
        ("[::1]", "https://[::1]", "https://[::1]"),
    ],
)
def test_upstream_origin(authority, origin, text):
    """The port is left out where it is the scheme's own."""
    upstream = Upstream.parse(text)
    assert (authority, origin, origin + upstream.base) == (upstream.authority, upstream.origin, str(upstream))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (False, "https://api.example"),
        (True, "http://api.example"),
        (True, "http://10.0.0.1:8080"),
        (False, "http://localhost:8080"),
        (False, "http://127.0.0.1"),
        (False, "http://[::1]:9000"),
    ],
)
def test_upstream_in_clear(expected, text):
    """Only http:// beyond this machine sends tokens in clear."""
    assert expected is Upstream.parse(text).in_clear
