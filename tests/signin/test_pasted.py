"""Tokens as a person pastes them, as tables (T10)."""

import pytest

from proxy.credentials.record import Tokens
from proxy.errors import TokenFormatError
from proxy.secret import Secret
from proxy.signin.pasted import pairs, pasted_fields, read_pasted

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


CALLBACK = "http://127.0.0.1:8081/callback"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({"code": "abc"}, "abc"),
        ({"code": "4/0AX-_~.+"}, "  4/0AX-_~.+\r\n"),
        ({"code": "abc=="}, "abc=="),
        ({"code": "a:b!c"}, "a:b!c"),
        ({"code": "abc=def"}, "abc=def"),
        ({"code": "abc", "state": "s"}, f"{CALLBACK}?code=abc&state=s"),
        ({"code": "abc", "state": "s"}, "code=abc&state=s"),
        ({"code": "abc", "state": "s"}, "?code=abc&state=s"),
        ({"code": "abc", "state": "s"}, '{"code": "abc", "state": "s"}'),
        ({"code": "abc"}, "urn:ietf:wg:oauth:2.0:oob?code=abc"),
        ({"code": "a=b&c"}, f"{CALLBACK}?code=a%3Db%26c#"),
        ({"error": "access_denied", "state": "s"}, f"{CALLBACK}?error=access_denied&state=s"),
        ({"access_token": "abc"}, "access_token=abc"),
        ({}, CALLBACK),
        ({}, f"{CALLBACK}/"),
        ({}, "https://app.cloud66.com/oauth/authorize/native"),
        ({}, "abc\ndef"),
        ({}, "{abc"),
        ({}, "[abc]"),
        ({}, "<html>"),
    ],
)
def test_code_as_it_is_pasted(expected, text):
    """It is taken bare, in an address or as form text; an address without an answer in it is no code."""
    assert expected == pasted_fields(text, bare="code")


@pytest.mark.parametrize("text", [CALLBACK, f"{CALLBACK}/", "https://x.example"])
def test_address_without_an_answer(text):
    """It is said to hold no token."""
    with pytest.raises(TokenFormatError, match="there is no access_token in it"):
        read_pasted(text)


def test_code_where_tokens_are_expected():
    """It is named for what it is, with what to do."""
    with pytest.raises(TokenFormatError, match=r"this is a code: .* login --paste"):
        read_pasted(f"{CALLBACK}?code={CANARY}")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({}, ""),
        ({"access_token": "a+b"}, "access_token=a+b"),
        ({"access_token": "a+b"}, "access_token=a%2Bb"),
        ({"refresh_token": "a+b/c="}, "refresh_token=a+b/c="),
        ({"scope": "a b"}, "scope=a+b"),
        ({"access_token": "a+b", "scope": "a b+"}, "access_token=a+b&scope=a+b%2B"),
        ({"access_token": "b"}, "access_token=a&access_token=b"),
        ({"code": "a"}, "code=a&empty=&flag"),
        ({"code": "\ufffd"}, "code=%FF"),
        ({"code": "%zz"}, "code=%zz"),
    ],
)
def test_parameters_of_an_address(expected, text):
    """A `+` is a space, but in a token, where a space cannot be."""
    assert expected == pairs(text)


@pytest.mark.parametrize("separator", ["#", "?"])
def test_plus_in_a_token(separator):
    """It stays a plus, encoded or not."""
    expected = Tokens(access_token=Secret("a+b"), refresh_token=Secret("c+d"), scope="e f")
    assert expected == read_pasted(f"{CALLBACK}{separator}access_token=a+b&refresh_token=c%2Bd&scope=e+f")
