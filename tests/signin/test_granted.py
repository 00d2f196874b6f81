"""What brought tokens amount to, in words for a person: as tables."""

import pytest

from proxy.credentials.record import Record, Tokens
from proxy.secret import Secret
from proxy.signin.granted import Granted, duration, expiry, granted, scopes_in
from tests.credentials.conftest import NAME, NOW, credential, record

CANARY = "canary-7f3a9c"
NO_REFRESH = "there is no refresh token in it: when this one expires, a person has to sign in again"
BOTH = {"access_token": Secret(CANARY), "refresh_token": Secret(CANARY)}


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        ("an access token, a refresh token; its lifetime is not known", BOTH),
        ("an access token, a refresh token; it expires in 365 d", {**BOTH, "expires_in": 31536000.0}),
        ("an access token; it expires in 60 s", {"access_token": Secret(CANARY), "expires_in": 60.0}),
        ("a refresh token; its lifetime is not known", {"refresh_token": Secret(CANARY)}),
    ],
)
def test_what_is_held(expected, fields):
    """Each token is named, and how long it lasts; none is shown."""
    told = granted(credential(renew="none"), Tokens(**fields))
    assert Granted(expected, ()) == told
    assert CANARY not in repr(told)


@pytest.mark.parametrize(
    ("expected", "renew", "refresh"),
    [((), "refresh_token", "r"), ((NO_REFRESH,), "refresh_token", None), ((), "none", None)],
)
def test_refresh_token_that_is_missing(expected, renew, refresh):
    """It is told where one would be used: the day will come when a person is needed."""
    tokens = Tokens(access_token=Secret("a"), refresh_token=None if refresh is None else Secret(refresh))
    assert expected == granted(credential(renew=renew), tokens).warnings


def differ(lacking, more):
    return (f"its scopes are not those of the configuration: lacking: {lacking}; more: {more}",)


@pytest.mark.parametrize(
    ("expected", "asked", "given"),
    [
        ((), (), ""),
        ((), (), "order"),
        ((), ("order", "note"), ""),
        ((), ("order", "note"), "note order"),
        ((), ("order", "note"), "order,note"),
        ((), ("order", "note"), " order, note order "),
        (differ("note", "-"), ("order", "note"), "order"),
        (differ("-", "admin users"), ("order",), "users order admin"),
        (differ("a b", "c d"), ("b", "a"), "d,c"),
        (differ("order", "Order"), ("order",), "Order"),
        (differ("order", "<b>"), ("order",), "<b>"),
    ],
)
def test_scopes(expected, asked, given):
    """What was asked for and what was granted are compared as sets; an answer that names none grants what was asked."""
    tokens = Tokens(access_token=Secret("a"), refresh_token=Secret("r"), scope=given)
    assert expected == granted(credential(scopes=asked), tokens).warnings


@pytest.mark.parametrize(
    ("expected", "text"), [([], ""), ([], " ,\t"), (["a"], "a"), (["a", "b", "c"], "a b,c"), (["a", "b"], ",a ,, b,")]
)
def test_scopes_of_an_answer(expected, text):
    """They are separated by spaces or commas."""
    assert expected == scopes_in(text)


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [
        ("0 s", -5),
        ("0 s", 0),
        ("119 s", 119),
        ("2 min", 120),
        ("119 min", 7140),
        ("2 h", 7200),
        ("48 h", 172799),
        ("2 d", 172800),
        ("365 d", 31536000),
    ],
)
def test_duration(expected, seconds):
    """It is written in the largest unit of which there are two."""
    assert expected == duration(seconds)


@pytest.mark.parametrize(
    ("expected", "kept", "later"),
    [
        ("-", Record(name=NAME), 0),
        ("-", record(expires_in=60, access_token=None), 0),
        ("unknown", record(), 0),
        ("in 60 s", record(expires_in=60), 0),
        ("in 1 s", record(expires_in=60), 59),
        ("0 s ago", record(expires_in=60), 60),
        ("5 min ago", record(expires_in=60), 360),
    ],
)
def test_expiry(expected, kept, later):
    """It is told from now, in either direction."""
    assert expected == expiry(kept, NOW + later)
