"""Tokens as a person pastes them, as tables (T10)."""

import pytest

from proxy.credentials.answers import read_pasted
from proxy.credentials.record import Tokens
from proxy.errors import TokenFormatError
from proxy.secret import Secret

CANARY = "canary-7f3a9c"
WHOLE = Tokens(access_token=Secret("abc"), refresh_token=Secret("r-1"), expires_in=31536000.0, scope="order note")
FRAGMENT = "access_token=abc&user=7&refresh_token=r-1&expires_in=31536000&scope=order+note&token_type=bearer"
JSON = '{"access_token": "abc", "refresh_token": "r-1", "expires_in": 31536000, "scope": "order note"}'
AUTH_CODE = "https://www.readycloud.com/api/v1/oauth2/auth_code"


@pytest.mark.parametrize(
    "text",
    [
        f"http://127.0.0.1:8081/callback#{FRAGMENT}",
        f"{AUTH_CODE}?state=xyz#{FRAGMENT}",
        f"{AUTH_CODE}?state=xyz&access_token=other#{FRAGMENT}",
        f"{AUTH_CODE}?{FRAGMENT}",
        f"  {AUTH_CODE}#{FRAGMENT}\r\n",
        FRAGMENT,
        f"#{FRAGMENT}",
        f"?{FRAGMENT}",
        JSON,
        f"\ufeff{JSON}\n",
        JSON.replace(", ", ",\n  "),
    ],
    ids=["fragment", "state", "both", "query", "spaces", "form", "#form", "?form", "JSON", "BOM", "lines"],
)
def test_whole_answer(text):
    """Every form in which a browser or a tool shows it gives the same tokens."""
    assert WHOLE == read_pasted(text)


@pytest.mark.parametrize("text", ["abc", "a.b-c_d~e+f/g", "abc=", "abcd==", "eyJhb.eyJzd.c2ln", "0", "  abc \n"])
def test_bare_access_token(text):
    """It is taken as it is, with whatever padding it has."""
    assert Tokens(access_token=Secret(text.strip())) == read_pasted(text)


@pytest.mark.parametrize("text", ['{"refresh_token": "r"}', "refresh_token=r"])
def test_refresh_token_alone(text):
    """It is enough to renew with."""
    assert Tokens(refresh_token=Secret("r")) == read_pasted(text)


@pytest.mark.parametrize("text", ["", "   ", "\n", "\ufeff"])
def test_nothing(text):
    """It says what to paste."""
    with pytest.raises(TokenFormatError, match="nothing was given"):
        read_pasted(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"error": "access_denied", "error_description": "%s"}',
        f"{AUTH_CODE}#error=access_denied&error_description=%s",
        f"{AUTH_CODE}?error=access_denied&state=%s",
        "error=access_denied&error_description=%s",
    ],
)
def test_error(text):
    """Its registered code is named and nothing else of it."""
    with pytest.raises(TokenFormatError, match="access_denied") as caught:
        read_pasted(text % CANARY)
    assert CANARY not in repr(caught.value)


def test_error_that_is_not_registered():
    """It is not named."""
    with pytest.raises(TokenFormatError, match="not a registered one") as caught:
        read_pasted(f"{AUTH_CODE}#error={CANARY}")
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{CANARY} {CANARY}",
        f"curl -H 'Authorization: Bearer {CANARY}'",
        f'{{"access_token": "{CANARY} x"}}',
        f'{{"access_token": "{CANARY}", ',
        f'{{"data": {{"access_token": "{CANARY}"}}}}',
        f'["{CANARY}"]',
        f'"{CANARY}"',
        f"access_token={CANARY}%0Ax",
        f"https://example.com/callback?code={CANARY}",
        f"https://example.com/callback#access_token={CANARY}%20x",
        f"https://example.com/{CANARY}",
        f"https://[{CANARY}#access_token={CANARY}",
        f"http://\u2100{CANARY}/#access_token={CANARY}",
        f"{CANARY}ä",
        "{" * 100_000,
        "[" * 100_000,
    ],
    ids=lambda text: text[:24].encode("ascii", "replace").decode(),
)
def test_text_without_a_usable_token(text):
    """It is refused as such, and not repeated."""
    with pytest.raises(TokenFormatError) as caught:
        read_pasted(text)
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"
