"""Who may call: each row of the case list, by status and error."""

import pytest

from proxy.config.values import EVERYBODY
from proxy.errors import ForeignOriginError
from proxy.gateway.admission import refuse_foreign
from tests.gateway.asking import ADMITS, CERTIFIED, ERP, FAR, LAN, NEAR, RIGHT, WRONG, admission, asked, heard

NO_ADDRESS = "a unix socket"
WITHOUT_KEY = {
    ("loopback", NEAR): "",
    ("loopback", FAR): "401 key_required",
    ("loopback", LAN): "401 key_required",
    ("loopback", NO_ADDRESS): "",
    ("none", NEAR): "401 key_required",
    ("none", FAR): "401 key_required",
    ("none", LAN): "401 key_required",
    ("none", NO_ADDRESS): "401 key_required",
    ("any", NEAR): "",
    ("any", FAR): "",
    ("any", LAN): "",
    ("any", NO_ADDRESS): "",
    ("a network", NEAR): "401 key_required",
    ("a network", FAR): "401 key_required",
    ("a network", LAN): "",
    ("a network", NO_ADDRESS): "",
}
EVERYWHERE = [*WITHOUT_KEY]


def address_of(where):
    return "" if where == NO_ADDRESS else where


@pytest.mark.parametrize(("anonymous", "where"), EVERYWHERE)
@pytest.mark.parametrize("key", [None, WRONG, "dummy"])
def test_without_a_valid_key(anonymous, where, key):
    """Who is admitted by its address is, whatever dummy it sends; any other has to have a key."""
    assert WITHOUT_KEY[anonymous, where] == heard(admission(ADMITS[anonymous]), asked(address_of(where), key))


@pytest.mark.parametrize(("anonymous", "where"), EVERYWHERE)
@pytest.mark.parametrize("host", ["localhost", "evil.example", "", None])
def test_with_a_valid_key(anonymous, where, host):
    """It opens from everywhere, by whatever name it calls."""
    assert "erp" == heard(admission(ADMITS[anonymous]), asked(address_of(where), RIGHT, host))


@pytest.mark.parametrize(("anonymous", "where"), EVERYWHERE)
@pytest.mark.parametrize("key", [None, WRONG])
def test_with_a_certificate(anonymous, where, key):
    """It opens from everywhere too, whatever dummy stands beside it; a valid key beside it goes first."""
    admits = admission(ADMITS[anonymous], (ERP, CERTIFIED))
    assert "certified" == heard(admits, asked(address_of(where), key, client=CERTIFIED))
    assert "erp" == heard(admits, asked(address_of(where), RIGHT, client=CERTIFIED))


@pytest.mark.parametrize(("anonymous", "where"), EVERYWHERE)
def test_without_any_keys(anonymous, where):
    """Where no client has one, none is asked for."""
    expected = WITHOUT_KEY[anonymous, where].replace("401 key_required", "403 access_denied")
    assert expected == heard(admission(ADMITS[anonymous], (CERTIFIED,)), asked(address_of(where), WRONG))
    assert expected == heard(admission(ADMITS[anonymous], ()), asked(address_of(where)))


@pytest.mark.parametrize(
    ("known", "host"),
    [
        (True, "localhost"),
        (True, "localhost:8080"),
        (True, "LOCALHOST.:8080"),
        (True, "127.0.0.1"),
        (True, "[::1]:8080"),
        (True, "proxy"),
        (True, "Proxy:1"),
        (True, "192.0.2.7:8080"),
        (True, "a.localhost"),
        (False, "evil.example"),
        (False, "evil.example:8080"),
        (False, "192.0.2.8"),
        (False, "proxy.evil.example"),
        (False, "localhost.evil.example"),
        (False, ""),
        (False, ":8080"),
    ],
)
@pytest.mark.parametrize("client", [None, CERTIFIED])
def test_host(known, host, client):
    """Without a key a caller calls us by a name of ours; over a unix socket any name will do."""
    admits = admission(EVERYBODY, (ERP, CERTIFIED))
    expected = "" if client is None else client.name
    request = asked(NEAR, None, host, client=client, reached="192.0.2.7")
    assert (expected if known else "403 host_not_allowed") == heard(admits, request)
    assert expected == heard(admits, asked("", None, host, client=client))


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        ("", "http://localhost:8080/a"),
        ("", "HTTP://proxy/a"),
        ("403 host_not_allowed", "http://evil.example/a"),
        ("403 host_not_allowed", "http://evil.example:80"),
        ("400 invalid_request", "http://localhost@evil.example/a"),
        ("400 invalid_request", "http:///a"),
        ("400 invalid_request", "http://:80/a"),
        ("400 invalid_request", "*"),
        ("400 invalid_request", "evil.example:443"),
    ],
)
def test_absolute_form(expected, target):
    """What the target says counts, and not the Host field."""
    assert expected == heard(admission(), asked(target=target))
    assert expected == heard(admission(), asked(host="evil.example", target=target))


def test_no_host_field():
    """HTTP/1.0 knows none, and no browser speaks it."""
    assert "" == heard(admission(), asked(host=None, version="1.0"))
    assert "403 host_not_allowed" == heard(admission(), asked(host=None))
    assert "403 host_not_allowed" == heard(admission(), asked(host="evil.example", version="1.0"))


@pytest.mark.parametrize("host", ["a b", "a/b", "user@localhost", "[localhost]", "localhost:99999x", "\u00e9"])
def test_host_that_is_none(host):
    """It is refused for everybody."""
    for key in (None, RIGHT):
        assert "400 invalid_request" == heard(admission(EVERYBODY), asked(FAR, key, host))


@pytest.mark.parametrize(
    "field",
    [
        ("Origin", "http://evil.example"),
        ("ORIGIN", "null"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ],
)
@pytest.mark.parametrize(("anonymous", "where"), EVERYWHERE)
def test_foreign_page(anonymous, where, field):
    """It is refused whoever it brings along: a key, a certificate, an address that is admitted, a unix socket."""
    admits, address = admission(ADMITS[anonymous], (ERP, CERTIFIED)), address_of(where)
    for key in (None, WRONG, RIGHT):
        for client in (None, CERTIFIED):
            assert "403 foreign_origin" == heard(admits, asked(address, key, "localhost", field, client=client))


def test_page_of_ours():
    """It is no other caller than a program."""
    fields = [("Origin", "http://localhost:8080"), ("Sec-Fetch-Site", "same-origin")]
    assert "" == heard(admission(), asked(NEAR, None, "localhost:8080", *fields))
    assert "erp" == heard(admission(), asked(FAR, RIGHT, "localhost:8080", *fields))
    assert "401 key_required" == heard(admission(), asked(FAR, None, "localhost:8080", *fields))


def test_page_by_a_name_that_leads_here():
    """Its origin is its Host, so that tells nothing; but its Host is none of ours."""
    fields = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")]
    assert "403 host_not_allowed" == heard(admission(), asked(NEAR, None, "evil.example", *fields))


@pytest.mark.parametrize(
    ("origin", "fields"),
    [
        ("https://app.example", [("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")]),
        ("https://app.example", [("Origin", "HTTPS://App.Example")]),
        ("", [("Sec-Fetch-Site", "cross-site")]),
        ("", [("Origin", "https://app.example.evil.example")]),
        ("", [("Origin", "http://app.example")]),
        ("", [("Origin", "https://app.example:8443")]),
        ("", [("Origin", "null")]),
        ("", [("Origin", "https://app.example"), ("Origin", "https://app.example")]),
        ("", [("Origin", "https://app.example"), ("Origin", "http://evil.example")]),
    ],
)
def test_origins_that_are_allowed(origin, fields):
    """Exactly they, told in one field, and never a page that does not say whose it is."""
    claim = admission().claim(asked(NEAR, None, "localhost", *fields))
    if origin:
        refuse_foreign(claim, frozenset({origin}))
    else:
        with pytest.raises(ForeignOriginError):
            refuse_foreign(claim, frozenset({"https://app.example"}))
