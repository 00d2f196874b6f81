"""Sessions and the tokens of forms: what only our own pages can know, and who is refused without it."""

import re
from urllib.parse import quote

import pytest

from proxy.control.session import COOKIE, Sessions
from proxy.credentials.record import Origin

from .conftest import ACCESS, TOKENS, credential

FORMS = ("/login/a", "/login/a/paste", "/login/a/cancel", "/refresh/a", "/logout/a")
GIVEN = "a" * 43


async def test_session(serve):
    """A new browser is given one that scripts cannot read, and that no other site's form bears."""
    answer = await (await serve())("GET", "/")
    cookie = answer.fields["set-cookie"]
    name, _, rest = cookie.partition("=")
    value, *attributes = rest.split("; ")
    assert COOKIE == name
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", value)
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} == set(attributes)


async def test_session_that_a_browser_has(asked):
    """It is kept, and the token of its forms with it."""
    session, token = await asked.opened()
    for path in ("/", "/login/a"):
        answer = await asked("GET", path, f"Cookie: other=1; {session}")
        assert (session, token) == (answer.session, answer.csrf)


async def test_sessions_of_two_browsers(serve):
    """They differ, and so do the tokens."""
    asked = await serve()
    one, other = await asked.opened(), await asked.opened()
    assert 4 == len({*one, *other})


@pytest.mark.parametrize("value", ["", "short", "a" * 42, "a" * 44, "a" * 42 + "!", "a" * 42 + "\u00e4", '"' + GIVEN])
async def test_session_that_we_did_not_give(serve, value):
    """It is replaced."""
    answer = await (await serve())("GET", "/", f"Cookie: {COOKIE}={value}")
    assert value != answer.session.partition("=")[2]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", answer.session.partition("=")[2])


async def nothing_done(asked):
    """Tell whether all is as it was."""
    return (1, ACCESS) == asked.held() and [] == asked.redeeming.codes


@pytest.fixture
async def asked(serve):
    """Serve a credential that holds tokens."""
    made = await serve(credential())
    await made.core.put("a", TOKENS, Origin.IMPORT)
    return made


WRONG = {
    "missing": {},
    "empty": {"csrf_token": ""},
    "non-ASCII": {"csrf_token": "\u00e4\u2603"},
    "a NUL": {"csrf_token": "\x00"},
    "long": {"csrf_token": "a" * 50_000},
}


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("form", WRONG.values(), ids=WRONG)
async def test_form_without_its_token(asked, path, form):
    """It is refused, and nothing is done."""
    session, _ = await asked.opened()
    answer = await asked.submit(path, session, pasted="canary-7f3a9c", **form)
    assert (403, True) == (answer.status, "not one that was given to this browser" in answer.text)
    assert await nothing_done(asked)
    assert asked.sign_in.under_way("a", session.partition("=")[2]) is None
    assert "canary-7f3a9c" not in answer.raw


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("whose", ["another session's", "tampered", "in upper case", "cut", "doubled", "of no session"])
async def test_form_with_a_wrong_token(asked, path, whose):
    """It is refused, and nothing is done."""
    session, token = await asked.opened()
    _, others = await asked.opened()
    wrong = {
        "another session's": others,
        "tampered": ("1" if token[0] == "0" else "0") + token[1:],
        "in upper case": token.upper() + "A",
        "cut": token[:-1],
        "doubled": token + token,
        "of no session": Sessions().token(""),
    }[whose]
    answer = await asked.submit(path, session, csrf_token=wrong, pasted="c")
    assert 403 == answer.status
    assert await nothing_done(asked)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("cookie", ["", "x=y", f"{COOKIE}=", f"{COOKIE}={GIVEN}"])
async def test_form_of_a_browser_without_its_session(asked, path, cookie):
    """It is refused, whatever token it bears."""
    _, token = await asked.opened()
    assert 403 == (await asked.submit(path, cookie, csrf_token=token)).status
    assert await nothing_done(asked)


async def test_token_in_the_query(asked):
    """It counts for nothing: a link could bear it."""
    session, token = await asked.opened()
    answer = await asked.submit(f"/logout/a?csrf_token={quote(token)}", session)
    assert 403 == answer.status
    assert await nothing_done(asked)


async def test_token_as_a_file(asked):
    """It is no token."""
    session, token = await asked.opened()
    body = f'--x\r\nContent-Disposition: form-data; name="csrf_token"; filename="f"\r\n\r\n{token}\r\n--x--\r\n'
    answer = await asked(
        "POST", "/logout/a", f"Cookie: {session}", "Content-Type: multipart/form-data; boundary=x", body=body
    )
    assert 403 == answer.status
    assert await nothing_done(asked)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"\xff=\xff"),
        ("application/x-www-form-urlencoded; charset=nope", b"a=b"),
        ("multipart/form-data; boundary=x", b"nope"),
        ("multipart/form-data", b"nope"),
    ],
)
async def test_form_that_cannot_be_read(asked, content_type, body):
    """It is refused as such."""
    session, _ = await asked.opened()
    answer = await asked("POST", "/logout/a", f"Cookie: {session}", f"Content-Type: {content_type}", body=body)
    assert (400, "this form cannot be read\n") == (answer.status, answer.text)
    assert await nothing_done(asked)


async def test_form_that_is_too_large(asked):
    """It is refused as such."""
    session, token = await asked.opened()
    answer = await asked.submit("/login/a/paste", session, csrf_token=token, pasted="a" * (2 << 20))
    assert 413 == answer.status
    assert await nothing_done(asked)


async def test_token_of_an_earlier_run(asked):
    """It is refused: the key that made it is gone."""
    session, _ = await asked.opened()
    token = Sessions().token(session.partition("=")[2])
    assert 403 == (await asked.submit("/logout/a", session, csrf_token=token)).status


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_method_that_is_not_a_form_s(asked, path, method):
    """It changes nothing."""
    session, token = await asked.opened()
    answer = await asked(method, f"{path}?csrf_token={token}", f"Cookie: {session}")
    assert answer.status in ((200, 405) if path == "/login/a" else (405,))
    assert await nothing_done(asked)
    assert asked.sign_in.under_way("a", session.partition("=")[2]) is None


def test_genuine():
    """A token fits the session that it was made for, and no empty one."""
    sessions = Sessions()
    token = sessions.token(GIVEN)
    cases = {
        (GIVEN, token): True,
        ("b" * 43, token): False,
        (GIVEN, None): False,
        (GIVEN, b"bytes"): False,
        ("", sessions.token("")): False,
    }
    assert cases == {case: sessions.genuine(*case) for case in cases}
