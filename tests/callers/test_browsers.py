"""What a browser tells of the page that asks: whose origin, from which site, and by which name it found us."""

import pytest

from proxy.callers.browsers import is_foreign, is_ours, listened_names
from proxy.config import Address

OURS = frozenset({"proxy", "192.0.2.7", "vendor.internal"})


@pytest.mark.parametrize(
    ("foreign", "origin", "authority"),
    [
        (False, "http://127.0.0.1:8080", "127.0.0.1:8080"),
        (False, "https://127.0.0.1:8080", "127.0.0.1:8080"),
        (True, "http://127.0.0.1:8081", "127.0.0.1:8080"),
        (True, "http://127.0.0.1", "127.0.0.1:8080"),
        (True, "http://localhost:8080", "127.0.0.1:8080"),
        (False, "HTTP://LocalHost:8080", "localhost:8080"),
        (False, "http://localhost:8080", " LOCALHOST:8080 "),
        (False, " http://localhost:8080 ", "localhost:8080"),
        (False, "http://localhost", "localhost"),
        (False, "http://localhost", "localhost:80"),
        (False, "http://localhost:80", "localhost"),
        (True, "http://localhost:443", "localhost"),
        (False, "https://localhost", "localhost:443"),
        (False, "https://localhost:443", "localhost"),
        (True, "https://localhost:80", "localhost"),
        (True, "http://localhost:800", "localhost:80"),
        (False, "http://[::1]:8080", "[::1]:8080"),
        (False, "http://[::1]", "[::1]:80"),
        (True, "http://[::2]:8080", "[::1]:8080"),
        (True, "http://[::1]:8080", "127.0.0.1:8080"),
        (True, "null", "localhost:8080"),
        (True, "NULL", "localhost:8080"),
        (True, "", "localhost:8080"),
        (True, "null", "null"),
        (True, "localhost:8080", "localhost:8080"),
        (True, "//localhost:8080", "localhost:8080"),
        (True, "ws://localhost:8080", "localhost:8080"),
        (True, "file://", "localhost:8080"),
        (True, "chrome-extension://abcdef", "localhost:8080"),
        (True, "https://evil.example", "localhost:8080"),
        (True, "http://localhost:8080.evil.example", "localhost:8080"),
        (True, "http://evil.example/http://localhost:8080", "localhost:8080"),
        (True, "http://localhost:8080/", "localhost:8080"),
        (True, "http://evil.example@localhost:8080", "localhost:8080"),
        (True, "http://localhost:8080@evil.example", "localhost:8080"),
        (True, "http://localhost.:8080", "localhost:8080"),
        (True, "http://localhost:8080 http://evil.example", "localhost:8080"),
        (True, "http://localhost:8080, http://evil.example", "localhost:8080"),
        (False, "http://evil.example", "evil.example"),
    ],
)
def test_origin(foreign, origin, authority):
    """It has to be the very one by which we were called; whether that is ours is the Host's matter."""
    assert foreign == is_foreign([origin], [], "http", authority)


@pytest.mark.parametrize(
    ("foreign", "origin", "authority"),
    [
        (False, "https://localhost:8443", "localhost:8443"),
        (True, "http://localhost:8443", "localhost:8443"),
        (False, "https://localhost", "localhost:443"),
        (False, "https://localhost:443", "localhost"),
        (True, "http://localhost", "localhost"),
        (True, "http://localhost:80", "localhost"),
        (True, "https://localhost:80", "localhost"),
    ],
)
def test_origin_where_tls_is_spoken(foreign, origin, authority):
    """A page in clear text is another's there: whoever is on the network may have written it."""
    assert foreign == is_foreign([origin], [], "https", authority)


@pytest.mark.parametrize(
    ("foreign", "origins"),
    [
        (False, []),
        (False, ["http://localhost", "http://localhost"]),
        (True, ["http://localhost", "http://evil.example"]),
        (True, ["http://evil.example", "http://localhost"]),
        (True, ["http://localhost", "null"]),
    ],
)
def test_several_origins(foreign, origins):
    """All of them have to be ours; a program that sends none is no page."""
    assert foreign == is_foreign(origins, [], "http", "localhost")


@pytest.mark.parametrize(
    ("foreign", "sites"),
    [
        (False, []),
        (False, ["same-origin"]),
        (False, ["none"]),
        (False, ["Same-Origin"]),
        (False, [" none "]),
        (True, ["same-site"]),
        (True, ["cross-site"]),
        (True, ["CROSS-SITE"]),
        (True, [""]),
        (True, ["anything"]),
        (True, ["same-origin, cross-site"]),
        (True, ["same-origin", "cross-site"]),
        (True, ["cross-site", "none"]),
    ],
)
@pytest.mark.parametrize("origins", [[], ["http://localhost"]])
def test_site(foreign, sites, origins):
    """Only a page of ours asks, or a person: what is new in that field is not let in."""
    assert foreign == is_foreign(origins, sites, "http", "localhost")


def test_site_of_ours_with_a_foreign_origin():
    """Neither field makes up for the other."""
    assert is_foreign(["http://evil.example"], ["same-origin"], "http", "localhost")


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        (True, "localhost"),
        (True, "app.localhost"),
        (True, "127.0.0.1"),
        (True, "127.255.255.254"),
        (True, "::1"),
        (True, "0:0:0:0:0:0:0:1"),
        (True, "::ffff:127.0.0.1"),
        (True, "proxy"),
        (True, "192.0.2.7"),
        (True, "192.0.2.8"),
        (True, "vendor.internal"),
        (False, ""),
        (False, "192.0.2.9"),
        (False, "proxy.evil.example"),
        (False, "evil.proxy"),
        (False, "localhost.evil.example"),
        (False, "evillocalhost"),
        (False, "127.0.0.1.evil.example"),
        (False, "127.1"),
        (False, "2130706433"),
        (False, "0.0.0.0"),
        (False, "::"),
        (False, "*"),
    ],
)
def test_name(ours, name):
    """A name is loopback's, one that is known, or the very address that was reached."""
    assert ours == is_ours(name, OURS, "192.0.2.8")


def test_address_that_nobody_reached():
    """Over a unix socket there is no address that could be a name."""
    assert not is_ours("", frozenset(), "")
    assert not is_ours("192.0.2.8", frozenset())


def test_names_of_listeners():
    """They are hosts without ports, in lower case; a unix socket has none, and all addresses at once are none."""
    texts = ["Proxy.Internal:8080", "192.0.2.7:80", "[2001:DB8::1]:8080", "unix:/run/s", "localhost:1 ssl"]
    texts += ["*:8080", "0.0.0.0:80", "[::]:80"]
    expected = {"proxy.internal", "192.0.2.7", "2001:db8::1", "localhost"}
    assert expected == listened_names(map(Address.parse, texts))
