"""The forms that renew tokens and forget them, and what is said where that cannot be."""

import pytest

from proxy.credentials.answers import Refused
from proxy.credentials.record import Origin, Tokens, TroubleKind
from proxy.errors import StoreBusyError
from proxy.secret import Secret

from .conftest import ACCESS, TOKENS, credential, page


async def test_log_out(serve):
    """The tokens are forgotten."""
    asked = await serve()
    await asked.core.put("a", TOKENS, Origin.IMPORT)
    session, token = await asked.opened()
    answer = await asked.submit("/logout/a", session, csrf_token=token)
    assert (303, "/", (2, None)) == (answer.status, answer.fields["location"], asked.held())


async def test_renewal(serve, monkeypatch):
    """One exchange is made, and what came of it stands on the page that follows."""
    asked = await serve()
    await asked.core.put("a", TOKENS, Origin.IMPORT)
    sent = []

    async def exchange(*_):
        sent.append(1)
        return Refused(TroubleKind.GRANT, "invalid_grant")

    monkeypatch.setattr(asked.core.keeper("a"), "_exchange", exchange)
    session, token = await asked.opened()
    answer = await asked.submit("/refresh/a", session, csrf_token=token)
    assert (303, "/", [1]) == (answer.status, answer.fields["location"], sent)
    assert "the vendor refused the refresh token (invalid_grant)" in await page(asked, "/")


@pytest.mark.parametrize(
    ("expected", "tokens", "changes"),
    [
        ("login required for a: nobody has signed in yet; run: bearer-proxy login a", None, {}),
        ("login required for a: its tokens cannot be renewed", TOKENS, {"renew": "none"}),
        ("login required for a: the vendor gave no refresh token", Tokens(access_token=Secret(ACCESS)), {}),
        ("a is not configured: it lacks client_id", TOKENS, {"missing": ("client_id",)}),
    ],
)
async def test_renewal_that_cannot_be(serve, expected, tokens, changes):
    """It is 503, with the reason."""
    asked = await serve(credential(**changes))
    if tokens is not None:
        await asked.core.put("a", tokens, Origin.IMPORT)
    session, token = await asked.opened()
    answer = await asked.submit("/refresh/a", session, csrf_token=token)
    assert (503, True) == (answer.status, expected in answer.text)


@pytest.mark.parametrize(("path", "what"), [("/logout/a", {}), ("/login/a/paste", {"pasted": "access_token=new"})])
async def test_store_that_is_busy(serve, monkeypatch, path, what):
    """It is 503, in the store's own words, and nothing has changed."""
    asked = await serve()
    await asked.core.put("a", TOKENS, Origin.IMPORT)
    session, token = await asked.opened()

    async def busy(*_):
        raise StoreBusyError("another process is changing the <tokens> of a")

    monkeypatch.setattr(asked.core.store, "write", busy)
    answer = await asked.submit(path, session, csrf_token=token, **what)
    assert (503, True) == (answer.status, "another process is changing the &lt;tokens&gt; of a" in answer.text)
    assert (1, ACCESS) == asked.held()
