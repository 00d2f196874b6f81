"""The form into which a person pastes tokens, a code, or the address at which the browser ended."""

from html import unescape

import pytest

from proxy.config import OOB
from proxy.credentials.record import Origin

from .conftest import ACCESS, MANUAL, REFRESH, credential

CANARY = "canary-7f3a9c"


@pytest.mark.parametrize(
    ("expected", "form"),
    [
        ((ACCESS, None, None), {"pasted": ACCESS}),
        ((ACCESS, None, None), {"pasted": f" {ACCESS}\r\n"}),
        ((ACCESS, REFRESH, None), {"pasted": ACCESS, "refresh_token": REFRESH}),
        ((ACCESS, REFRESH, None), {"pasted": f"{ACCESS} ", "refresh_token": f" {REFRESH}\n"}),
        ((ACCESS, REFRESH, 60.0), {"pasted": ACCESS, "refresh_token": REFRESH, "expires_in": " 60 "}),
        ((ACCESS, None, 60.0), {"pasted": ACCESS, "expires_in": "60"}),
        ((None, REFRESH, None), {"pasted": "", "refresh_token": REFRESH}),
        ((ACCESS, 'r"\\', None), {"pasted": ACCESS, "refresh_token": 'r"\\'}),
        ((ACCESS, REFRESH, 60.0), {
            "pasted": f'{{"access_token": "{ACCESS}", "refresh_token": "{REFRESH}", "expires_in": 60}}',
            "refresh_token": " ", "expires_in": "",
        }),
        ((ACCESS, REFRESH, None), {"pasted": f"access_token={ACCESS}&refresh_token={REFRESH}"}),
    ],
)  # fmt: skip
async def test_tokens_pasted_by_hand(serve, expected, form):
    """They are taken in every form in which a vendor shows them, and not shown again."""
    asked = await serve(credential(**MANUAL))
    session, token = await asked.opened()
    answer = await asked.submit("/login/a/paste", session, csrf_token=token, **form)
    assert (200, True) == (answer.status, "Signed in to a" in answer.text)
    record = asked.core.keeper("a").health().record
    lifetime = None if record.expires_at is None else record.expires_at - record.obtained_at
    texts = [None if one is None else one.reveal() for one in (record.access_token, record.refresh_token)]
    assert (*expected, Origin.LOGIN) == (*texts, lifetime, record.origin)
    assert [] == [secret for secret in (ACCESS, REFRESH) if secret in answer.raw]


@pytest.mark.parametrize(
    ("expected", "form"),
    [
        ("nothing was given", {"pasted": ""}),
        ("nothing was given", {"pasted": " ", "refresh_token": " ", "expires_in": " "}),
        ("there is no access_token in it", {"pasted": f"{CANARY} {CANARY}"}),
        ("the access token has characters that no bearer token has", {"pasted": f"{CANARY} x", "expires_in": "60"}),
        ("a lifetime is a number of seconds", {"pasted": CANARY, "expires_in": "soon"}),
        ("a lifetime is a number of seconds", {"pasted": CANARY, "expires_in": "-1"}),
        ("consent was denied at the vendor", {"pasted": f"error=access_denied&x={CANARY}"}),
        ("the state that came back is not the one that was sent", {"pasted": f"access_token=x&state={CANARY}"}),
    ],
)
async def test_wrong_paste_by_hand(serve, expected, form):
    """It is refused in a sentence of its own, repeats nothing and changes nothing."""
    asked = await serve(credential(**MANUAL))
    session, token = await asked.opened()
    answer = await asked.submit("/login/a/paste", session, csrf_token=token, **form)
    assert (400, True) == (answer.status, expected in unescape(answer.text))
    assert (0, None) == asked.held()
    assert CANARY not in answer.raw


async def test_pasted_answer(serve):
    """The address at which the browser ended completes the sign-in of its browser, and of no other."""
    asked = await serve()
    session, state = await asked.begun()
    token = (await asked("GET", "/login/a", f"Cookie: {session}")).csrf
    stranger, strange = await asked.opened()
    text = f"http://127.0.0.1:8081/callback?code=c0de&state={state}"
    refused = await asked.submit("/login/a/paste", stranger, csrf_token=strange, pasted=text)
    assert (400, [], (0, None)) == (refused.status, asked.redeeming.codes, asked.held())
    answer = await asked.submit("/login/a/paste", session, csrf_token=token, pasted=text)
    assert (200, ["c0de"], (1, ACCESS)) == (answer.status, asked.redeeming.codes, asked.held())


async def test_pasted_code(serve):
    """It is redeemed by the sign-in that is under way, and refused where none is."""
    asked = await serve(credential(redirect_uri=OOB))
    session, _ = await asked.begun()
    token = (await asked("GET", "/login/a", f"Cookie: {session}")).csrf
    for expected in (200, 400):
        answer = await asked.submit("/login/a/paste", session, csrf_token=token, pasted="c0de")
        assert (expected, ["c0de"]) == (answer.status, asked.redeeming.codes)
    assert "no sign-in to a is under way here that this code could belong to" in answer.text


async def test_pasted_tokens_of_client_credentials(serve):
    """They are refused."""
    asked = await serve(credential(grant="client_credentials"), credential("b"))
    session, token = await asked.opened("/login/b")
    answer = await asked.submit("/login/a/paste", session, csrf_token=token, pasted="abc")
    assert (400, (0, None)) == (answer.status, asked.held())
