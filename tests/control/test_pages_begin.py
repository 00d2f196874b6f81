"""The form that begins a sign-in, and the one that cancels it."""

from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.config import OOB

from .conftest import MANUAL, credential, forms, page


async def test_beginning(serve):
    """It leads to the vendor, whose address bears the state as it was given out."""
    asked = await serve(credential(scopes=("a", "b"), authorize_url="https://vendor.example/auth%2Forize?x=%2F"))
    session, token = await asked.opened()
    answer = await asked.submit("/login/a", session, csrf_token=token)
    assert 303 == answer.status
    location = answer.fields["location"]
    assert location.startswith("https://vendor.example/auth%2Forize?x=%2F&response_type=code&")
    query = parse_qs(urlsplit(location).query)
    attempt = asked.sign_in.under_way("a", session.partition("=")[2])
    assert attempt is not None
    assert ([attempt.state.reveal()], ["a b"]) == (query["state"], query["scope"])
    assert "" == answer.text
    assert "no-store" == answer.fields["cache-control"]


@pytest.mark.parametrize(
    ("bound", "host", "redirect"),
    [
        (True, "127.0.0.1", "http://127.0.0.1:8081/callback"),
        (True, "127.0.0.1:9", "http://127.0.0.1:8081/callback"),
        (True, "LOCALHOST:8081", "http://localhost:8081/callback"),
        (True, "[::1]:8081", "http://[::1]:8081/callback"),
        (True, "signin.example", "https://SignIn.example/callback"),
        (False, "localhost:8081", "http://127.0.0.1:8081/callback"),
        (False, "127.0.0.1:8081", "http://localhost:8081/callback"),
        (False, "[::1]:8081", "http://127.0.0.1:8081/callback"),
        (False, "localhost:8081", OOB),
    ],
)
async def test_name_under_which_it_is_begun(serve, bound, host, redirect):
    """The browser is bound to the attempt where its session comes back with it: cookies go by host name."""
    asked = await serve(credential(redirect_uri=redirect))
    opened = await asked("GET", "/login/a", f"Host: {host}")
    fields = (f"Cookie: {opened.session}", "Content-Type: application/x-www-form-urlencoded")
    body = f"csrf_token={opened.csrf}"
    assert 303 == (await asked("POST", "/login/a", f"Host: {host}", *fields, body=body)).status
    attempt = asked.sign_in.under_way("a", opened.session.partition("=")[2])
    assert (bound, opened.session.partition("=")[2]) == (attempt.bound, attempt.session)


async def test_sign_in_under_way(serve):
    """Its browser is told, and may cancel it; another browser hears nothing of it."""
    asked = await serve()
    session, _ = await asked.begun()
    mine = await asked("GET", "/login/a", f"Cookie: {session}")
    assert ["csrf_token"] == forms(mine.text)["/login/a/cancel"]
    assert "/login/a/cancel" not in forms(await page(asked, "/login/a"))
    answer = await asked.submit("/login/a/cancel", session, csrf_token=mine.csrf)
    assert (303, "/") == (answer.status, answer.fields["location"])
    assert "/login/a/cancel" not in forms((await asked("GET", "/login/a", f"Cookie: {session}")).text)
    assert asked.sign_in.under_way("a", session.partition("=")[2]) is None


@pytest.mark.parametrize("changes", [{"grant": "client_credentials"}, MANUAL, {"client_id": ""}])
async def test_sign_in_that_cannot_begin(serve, changes):
    """It is refused by the form too, with the reason."""
    asked = await serve(credential(**changes), credential("b"))
    session, token = await asked.opened("/login/b")
    answer = await asked.submit("/login/a", session, csrf_token=token)
    assert (400, True) == (answer.status, "Not done" in answer.text)
    assert (0, None) == asked.held()
