"""What answers of token endpoints mean, as tables (T10)."""

import json

import pytest
from multidict import CIMultiDict

from proxy.config import presets
from proxy.credentials.answers import Granted, Passing, Refused, Uncertain, Unusable, read_answer, read_lifetime
from proxy.credentials.record import Tokens, TroubleKind
from proxy.secret import Secret

from .conftest import NOW, provider

CANARY = "canary-7f3a9c"
READYCLOUD = presets()["readycloud"]
DEEP = b'{"access_token": "abc", "x": ' + b"[" * 100_000
UNREADABLE = {
    "empty": b"",
    "HTML": b"<html>504 from something</html>",
    "not UTF-8": b'{"access_token": "\xff\xfe"}',
    "cut off JSON": b'{"access_token": "abc", "expi',
    "too deep JSON": DEEP,
    "an array": b'["access_token", "abc"]',
    "a string": b'"access_token=abc"',
    "too many fields": b"access_token=abc" + b"&x=y" * 200,
    "nothing in it": b"{}",
    "no text": b'{"access_token": null}',
    "empty text": b'{"access_token": ""}',
}


def read(status=200, body=b"", provider=READYCLOUD, **headers):
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return read_answer(status, named, body, provider, NOW)


def test_json_answer():
    """All four fields are read, others ignored."""
    body = b'{"access_token": "a.b-c_d~e+f/g==", "refresh_token": "r", "expires_in": 60, "scope": "x y", "id": {}}'
    expected = Tokens(access_token=Secret("a.b-c_d~e+f/g=="), refresh_token=Secret("r"), expires_in=60.0, scope="x y")
    assert Granted(expected) == read(body=body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"access_token": "abc", "refresh_token": "r"}'),
        ("application/x-www-form-urlencoded", b"access_token=abc&refresh_token=r"),
        ("application/json", b"access_token=abc&token_type=bearer&refresh_token=r"),
        ("text/html; charset=utf-8", b'{"access_token": "abc", "refresh_token": "r"}'),
        ("application/x-www-form-urlencoded", b'{"access_token": "abc", "refresh_token": "r"}'),
        ("application/json", b'\xef\xbb\xbf{"access_token": "abc", "refresh_token": "r"}'),
        ("", b'\r\n {"access_token": "abc", "refresh_token": "r"} \n'),
        ("text/plain", b"access_token=%61bc&refresh_token=r\n"),
    ],
    ids=["JSON", "form", "form as JSON", "JSON as HTML", "JSON as form", "BOM", "white space", "form as text"],
)
def test_granted_however_it_is_labelled(content_type, body):
    """What the body is counts, not what it is called."""
    expected = Tokens(access_token=Secret("abc"), refresh_token=Secret("r"))
    assert Granted(expected) == read(body=body, Content_Type=content_type)


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_success_without_a_token_in_it(body):
    """The vendor may have rotated: uncertain."""
    assert isinstance(read(body=body), Uncertain)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success_that_is_empty(status):
    """Any 2xx without tokens is uncertain."""
    assert isinstance(read(status), Uncertain)


@pytest.mark.parametrize("access", ["a b", "a\nb", 'a"b', "a,b", "ä", "=a", "a=b", "a\x00b", "a;b", ["abc"], 17, True])
@pytest.mark.parametrize("refresh", ["new", None])
def test_access_token_that_no_header_can_carry(access, refresh):
    """It is not used, but a refresh token beside it is kept."""
    outcome = read(body=json.dumps({"access_token": access, "refresh_token": refresh}).encode())
    assert isinstance(outcome, Unusable)
    assert Tokens(refresh_token=None if refresh is None else Secret(refresh)) == outcome.tokens


def test_refresh_token_alone():
    """It is kept: the old one is spent."""
    outcome = read(body=b'{"refresh_token": "new"}')
    assert isinstance(outcome, Unusable)
    assert Tokens(refresh_token=Secret("new")) == outcome.tokens


@pytest.mark.parametrize(
    ("refresh", "expected"), [(12345, "12345"), ("new\u200btoken", "new\u200btoken"), ("a b", "a b")]
)
def test_refresh_token_that_is_odd(refresh, expected):
    """Whatever a request can carry is kept: the old one is spent."""
    outcome = read(body=json.dumps({"access_token": "abc", "refresh_token": refresh}).encode())
    assert Granted(Tokens(access_token=Secret("abc"), refresh_token=Secret(expected))) == outcome


@pytest.mark.parametrize("refresh", [["x"], {"x": 1}, True, "\ud800"])
def test_refresh_token_that_no_request_can_carry(refresh):
    """The access token counts, and the old refresh token is spent all the same."""
    outcome = read(body=json.dumps({"access_token": "abc", "refresh_token": refresh}).encode())
    assert Granted(Tokens(access_token=Secret("abc"), spent=True)) == outcome


def test_error_beside_a_refresh_token():
    """A new refresh token is never dropped, whatever else the answer says."""
    outcome = read(body=b'{"error": "server_error", "access_token": "a b", "refresh_token": "new"}')
    assert isinstance(outcome, Unusable)
    assert Secret("new") == outcome.tokens.refresh_token


@pytest.mark.parametrize("refresh", [None, "", [], 0])
def test_refresh_token_that_is_none(refresh):
    """The access token counts all the same."""
    outcome = read(body=json.dumps({"access_token": "abc", "refresh_token": refresh}).encode())
    assert Granted(Tokens(access_token=Secret("abc"))) == outcome


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3600, 3600.0),
        (0.5e3, 500.0),
        ("3600", 3600.0),
        (" 60 ", 60.0),
        (31536000, 31536000.0),
        (1, 1.0),
        (None, None),
        (0, None),
        ("0", None),
        (-1, None),
        ("-3600", None),
        (float("nan"), None),
        ("NaN", None),
        (float("inf"), None),
        ("-inf", None),
        ("", None),
        ("soon", None),
        ("2027-01-01", None),
        (True, None),
        (False, None),
        ([3600], None),
        ({}, None),
        (10**400, None),
    ],
)
def test_lifetime(value, expected):
    """A positive finite number, or a string of one; all else is unknown."""
    assert expected == read_lifetime(value)


@pytest.mark.parametrize("value", [10**30, 1e300, "1e300", 2**63])
def test_lifetime_that_is_huge(value):
    """It is cut to ten years, which any calendar can show."""
    assert 10 * 365 * 86400.0 == read_lifetime(value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "null", '"x"', "[]", "true"])
def test_lifetime_in_json_that_makes_no_sense(value):
    """The token counts, its lifetime is unknown."""
    outcome = read(body=b'{"access_token": "abc", "expires_in": %s}' % value.encode())
    assert Granted(Tokens(access_token=Secret("abc"))) == outcome


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, "invalid_grant", TroubleKind.GRANT),
        (401, "invalid_grant", TroubleKind.GRANT),
        (200, "invalid_grant", TroubleKind.GRANT),
        (401, "invalid_client", TroubleKind.CLIENT),
        (400, "invalid_client", TroubleKind.CLIENT),
        (403, "unauthorized_client", TroubleKind.CLIENT),
        (200, "unauthorized_client", TroubleKind.CLIENT),
        (401, "invalid_request", TroubleKind.CLIENT),
        (401, None, TroubleKind.CLIENT),
        (400, "invalid_request", TroubleKind.REFUSED),
        (400, "unsupported_grant_type", TroubleKind.REFUSED),
        (200, "server_error", TroubleKind.REFUSED),
        (200, {"code": 7}, TroubleKind.REFUSED),
        (403, None, TroubleKind.REFUSED),
        (404, None, TroubleKind.REFUSED),
        (422, None, TroubleKind.REFUSED),
        (301, None, TroubleKind.REFUSED),
        (302, "invalid_client_metadata", TroubleKind.REFUSED),
    ],
)
@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_refusal(status, error, expected, form):
    """The error code counts more than the status, and an error inside 200 as much as one in 400."""
    body = f"error={error}".encode() if form and isinstance(error, str) else json.dumps({"error": error}).encode()
    outcome = read(status, body if error else b"")
    assert isinstance(outcome, Refused)
    assert expected is outcome.kind


@pytest.mark.parametrize(("known", "expected"), [(True, TroubleKind.GRANT), (False, TroubleKind.REFUSED)])
def test_refused_grant_in_readyclouds_words(known, expected):
    """They count for the provider that uses them, and the token they echo is not passed on."""
    body = {"error": "invalid_request", "error_description": f"No such refresh token: {CANARY}"}
    outcome = read(400, json.dumps(body).encode(), READYCLOUD if known else provider())
    assert isinstance(outcome, Refused)
    assert expected is outcome.kind
    assert CANARY not in repr(outcome)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "body",
    [
        {"error": CANARY},
        {"error": "invalid_request", "error_description": CANARY},
        {"error": "invalid_grant", "error_uri": CANARY},
        {"error": {CANARY: CANARY}, "error_description": [CANARY]},
        {"access_token": f"{CANARY} {CANARY}"},
        {"message": CANARY},
    ],
)
def test_words_of_the_vendor(status, body):
    """None of them is in a reason: only registered error codes are."""
    outcome = read(status, json.dumps(body).encode(), Location=CANARY, WWW_Authenticate=CANARY)
    assert CANARY not in getattr(outcome, "reason", "")
    assert CANARY not in repr(outcome)


def test_registered_error_code():
    """It is named."""
    assert Refused(TroubleKind.REFUSED, "invalid_scope") == read(400, b'{"error": "invalid_scope"}')


@pytest.mark.parametrize("status", [101, 502, 504])
def test_answer_of_a_gateway(status):
    """Another server lost the vendor's answer: uncertain, whatever the body says."""
    assert isinstance(read(status, b'{"error": "invalid_grant"}'), Uncertain)


@pytest.mark.parametrize("status", [429, 500, 501, 503, 505, 520])
def test_answer_that_says_later(status):
    """It is passing, whatever the body says."""
    assert isinstance(read(status, b'{"error": "invalid_grant"}'), Passing)
