"""Sign-ins under way: begun, and completed by what comes back, once, in time, and by the browser that began."""

import asyncio

import pytest

from proxy.credentials.answers import Granted
from proxy.credentials.exchange import Code
from proxy.credentials.record import Tokens
from proxy.errors import SignInError, TokenFormatError
from proxy.secret import Secret
from tests.credentials.conftest import NOW, within

from .conftest import AFTER, BEFORE, BROWSER, CANARY, DONE, MOST, OTHER, REDIRECT, TIMEOUT, begun, kept


async def test_code_that_comes_back(sign_in, core, redeeming):
    """It is redeemed with the attempt's own verifier and redirect, and its tokens are the next generation."""
    attempt_state = begun(sign_in, session=BROWSER)
    attempt = sign_in.under_way("code", BROWSER)
    assert DONE == await sign_in.returned({"code": "c", "state": attempt_state}, BROWSER)
    assert [Code(Secret("c"), attempt.verifier, REDIRECT)] == redeeming.redeemed
    assert AFTER == kept(core)
    record = await core.store.read("code")
    assert (NOW + 3600.0, "order") == (record.expires_at, record.scope)
    assert sign_in.under_way("code", BROWSER) is None


async def test_tokens_that_come_back(sign_in, core, redeeming):
    """They are stored as they are: there is nothing to redeem. What differs from what was asked is told."""
    fields = {"access_token": "new-access", "refresh_token": "new-refresh", "scope": "note", "expires_in": "x"}
    done = await sign_in.returned({**fields, "state": begun(sign_in, "implicit")})
    assert "an access token, a refresh token; its lifetime is not known" == done.held
    assert ("its scopes are not those of the configuration: lacking: order; more: note",) == done.warnings
    assert (AFTER, []) == (kept(core, "implicit"), redeeming.redeemed)


@pytest.mark.parametrize(
    ("expected", "state"),
    [
        ("the vendor's answer bears no state", None),
        ("the vendor's answer bears no state", ""),
        ("no sign-in that is under way here: it is over, took longer than 10 min, or its state", CANARY),
        ("no sign-in that is under way here", "\ud800"),
        ("no sign-in that is under way here", "\u00e4"),
    ],
)
@pytest.mark.parametrize("answer", [{"code": "c"}, {"access_token": "abc"}, {"error": "access_denied"}])
async def test_answer_to_nothing_that_was_begun(sign_in, core, redeeming, expected, state, answer):
    """It is refused, redeems nothing and ends nothing."""
    good = begun(sign_in)
    with pytest.raises(SignInError, match=expected) as caught:
        await sign_in.returned(answer if state is None else {**answer, "state": state})
    assert CANARY not in repr(caught.value)
    assert (BEFORE, []) == (kept(core), redeeming.redeemed)
    assert DONE == await sign_in.returned({"code": "c", "state": good})


@pytest.mark.parametrize("answer", [{"code": "c"}, {"error": "access_denied"}, {"code": ""}, {"access_token": "a b"}])
async def test_answer_that_comes_twice(sign_in, core, answer):
    """An attempt is answered once, whatever the answer is."""
    fields = {**answer, "state": begun(sign_in)}
    if answer == {"code": "c"}:
        await sign_in.returned(fields)
    else:
        with pytest.raises((SignInError, TokenFormatError)):
            await sign_in.returned(fields)
    before = kept(core)
    with pytest.raises(SignInError, match="no sign-in that is under way here"):
        await sign_in.returned({**fields, "code": "c", "error": ""})
    assert before == kept(core)


async def test_answer_that_comes_twice_while_it_is_being_redeemed(sign_in, core, redeeming):
    """The second is refused: a code is sent once."""
    gate = redeeming.hold("c")
    fields = {"code": "c", "state": begun(sign_in)}
    first = asyncio.create_task(sign_in.returned(fields))
    await within(redeeming.entered.wait())
    with pytest.raises(SignInError, match="no sign-in that is under way here"):
        await sign_in.returned(fields)
    gate.set()
    assert DONE == await within(first)
    assert 1 == len(redeeming.redeemed)


@pytest.mark.parametrize("session", [OTHER, "", "\u00e4"])
async def test_answer_that_another_browser_brings(sign_in, core, redeeming, session):
    """It is refused, and the one that began may still finish."""
    fields = {"code": "c", "state": begun(sign_in, session=BROWSER)}
    with pytest.raises(SignInError, match="begun in another browser"):
        await sign_in.returned(fields, session)
    assert (BEFORE, []) == (kept(core), redeeming.redeemed)
    assert DONE == await sign_in.returned(fields, BROWSER)


@pytest.mark.parametrize("session", [BROWSER, OTHER, ""])
async def test_attempt_that_cannot_be_bound_to_a_browser(sign_in, session):
    """The state alone has to do."""
    fields = {"code": "c", "state": begun(sign_in, session=BROWSER, bound=False)}
    assert DONE == await sign_in.returned(fields, session)


@pytest.mark.parametrize(("completes", "later"), [(True, TIMEOUT), (False, TIMEOUT + 0.01), (True, -3600.0)])
async def test_time_for_a_person(sign_in, core, clock, completes, later):
    """An attempt stands for `login_timeout`, to the moment; a clock that is set back does not end it."""
    begun(sign_in, session=OTHER)
    fields = {"code": "c", "state": begun(sign_in, session=BROWSER)}
    clock.now += later
    if completes:
        assert DONE == await sign_in.returned(fields, BROWSER)
    else:
        with pytest.raises(SignInError, match="took longer than 10 min"):
            await sign_in.returned(fields, BROWSER)
        assert BEFORE == kept(core)
    assert completes is (sign_in.under_way("code", OTHER) is not None)


async def test_many_attempts(sign_in):
    """There are 256 at most: with one more, the oldest gives way."""
    states = [begun(sign_in) for _ in range(MOST)]
    assert DONE == await sign_in.returned({"code": "c", "state": states[0]})
    states = [*states[1:], begun(sign_in), begun(sign_in)]
    with pytest.raises(SignInError, match="no sign-in that is under way here"):
        await sign_in.returned({"code": "c", "state": states[0]})
    for state in (states[1], states[-1]):
        assert DONE == await sign_in.returned({"code": "c", "state": state})


async def test_attempts_of_others(sign_in):
    """Each browser has its own, and the last one that it began."""
    begun(sign_in, session=BROWSER)
    last = begun(sign_in, session=BROWSER)
    begun(sign_in, "other", BROWSER)
    begun(sign_in)
    attempt = sign_in.under_way("code", BROWSER)
    assert (Secret(last), None) == (attempt.state, sign_in.under_way("code", OTHER))


async def test_cancelled_attempt(sign_in):
    """What this browser began for this credential is over, and nothing else."""
    mine = [begun(sign_in, session=BROWSER) for _ in range(3)]
    others = [(begun(sign_in, session=OTHER), OTHER), (begun(sign_in, "other", BROWSER), BROWSER)]
    sign_in.cancel("code", BROWSER)
    sign_in.cancel("code", "never seen")
    for state in mine:
        with pytest.raises(SignInError, match="no sign-in that is under way here"):
            await sign_in.returned({"code": "c", "state": state}, BROWSER)
    for state, session in others:
        assert "an access" in (await sign_in.returned({"code": "c", "state": state}, session)).held


async def test_secrets(sign_in, core, redeeming, caplog):
    """Nothing of a code, a token, a state or a verifier is told or logged."""
    caplog.set_level(0)
    redeeming.outcomes[CANARY] = Granted(Tokens(access_token=Secret(f"{CANARY}-access")))
    state = begun(sign_in)
    verifier = sign_in.under_way("code").verifier.reveal()
    done = await sign_in.returned({"code": CANARY, "state": state})
    told = f"{done!r} {caplog.text} {sign_in.__dict__!r}"
    assert [] == [secret for secret in (CANARY, state, verifier) if secret in told]
