"""Forms for a credential that a reload has removed between the page and the form."""

import pytest

from proxy.credentials.record import Origin

from .conftest import TOKENS, make_config


@pytest.mark.parametrize("path", ["/login/a", "/login/a/paste", "/login/a/cancel", "/refresh/a", "/logout/a"])
async def test_form(serve, tmp_path, path):
    """It is 404, as for any name that nobody knows."""
    asked = await serve()
    await asked.core.put("a", TOKENS, Origin.IMPORT)
    session, token = await asked.opened()
    await asked.core.reload(make_config(tmp_path))
    answer = await asked.submit(path, session, csrf_token=token, pasted="access_token=new")
    assert (404, "there is no such credential\n") == (answer.status, answer.text)
