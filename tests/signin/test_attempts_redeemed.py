"""Codes that come back are redeemed, and what that brings is stored: whole or not at all, whoever else is at work."""

import asyncio
import gc

import pytest

from proxy.credentials.answers import Granted, Outcome, Passing, Refused, Uncertain, Unusable
from proxy.credentials.record import Origin, Tokens, TroubleKind
from proxy.errors import SignInError, StoreBusyError
from proxy.secret import Secret
from proxy.signin.attempts import redeemed
from tests.credentials.conftest import within

from .conftest import AFTER, BEFORE, DONE, NEW, begun, kept

FAILURES: list[tuple[str, Outcome]] = [
    ("works once and only for minutes; sign in again", Refused(TroubleKind.GRANT, "invalid_grant")),
    ("refuses this client (invalid_client): check client_id", Refused(TroubleKind.CLIENT, "invalid_client")),
    ("(invalid_request): check redirect_uri, token_url", Refused(TroubleKind.REFUSED, "invalid_request")),
    ("nothing that can be used: no usable access token", Unusable(Tokens(), "no usable access token")),
    ("could not be exchanged: it refuses connections; sign in again", Passing("it refuses connections")),
    ("could not be exchanged: it did not answer; sign in again", Uncertain("it did not answer")),
]


@pytest.mark.parametrize("later", ["a", "b"])
async def test_two_sign_ins_at_once(sign_in, core, redeeming, later):
    """The later one stands, whole: its code is redeemed when the first is done, and nothing of that is left."""
    redeeming.outcomes["a"] = Granted(NEW)
    redeeming.outcomes["b"] = Granted(Tokens(access_token=Secret("b-access")))
    tasks, gates = {}, {}
    order = ("b", "a") if later == "a" else ("a", "b")
    for code in order:
        gates[code] = redeeming.hold(code)
    for code in order:
        tasks[code] = asyncio.create_task(sign_in.returned({"code": code, "state": begun(sign_in)}))
        await within(redeeming.entered.wait())
    assert [order[0]] == [code.code.reveal() for code in redeeming.redeemed]
    for code in order:
        gates[code].set()
        await within(tasks[code])
    whole = {"a": ("new-access", "new-refresh"), "b": ("b-access", None)}[later]
    assert (3, Origin.LOGIN, *whole) == kept(core)
    record = core.keeper("code").health().record
    assert ({"a": "order", "b": ""}[later], later == "a") == (record.scope, record.expires_at is not None)


async def test_browser_that_goes_away(sign_in, core, redeeming):
    """A code that is being redeemed is redeemed to its end, and stopping waits for that (T3)."""
    gate = redeeming.hold("c")
    waiting = asyncio.create_task(sign_in.returned({"code": "c", "state": begun(sign_in)}))
    await within(redeeming.entered.wait())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    stopping = asyncio.create_task(sign_in.stop())
    await core.store.read("code")  # as long as anything that does not wait would take
    assert (False, BEFORE) == (stopping.done(), kept(core))
    gate.set()
    await within(stopping)
    assert AFTER == kept(core)


async def test_stop_with_nothing_under_way(sign_in):
    """It is over at once, attempts that nobody has answered with it."""
    begun(sign_in)
    await within(sign_in.stop())


async def test_failure_that_nobody_waits_for(sign_in, core, redeeming):
    """It makes no noise: whom it concerned has gone."""
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    gate = redeeming.hold("c")
    redeeming.outcomes["c"] = Refused(TroubleKind.GRANT, "invalid_grant")
    waiting = asyncio.create_task(sign_in.returned({"code": "c", "state": begun(sign_in)}))
    await within(redeeming.entered.wait())
    waiting.cancel()
    await asyncio.wait([waiting])
    gate.set()
    await within(sign_in.stop())
    del waiting
    gc.collect()
    assert ([], BEFORE) == (heard, kept(core))


@pytest.mark.parametrize(("expected", "outcome"), FAILURES)
async def test_code_that_cannot_be_redeemed(sign_in, core, redeeming, expected, outcome):
    """The old tokens stay in force, and what happened has a sentence of its own."""
    redeeming.outcomes["c"] = outcome
    with pytest.raises(SignInError) as caught:
        await sign_in.returned({"code": "c", "state": begun(sign_in)})
    assert expected in str(caught.value)
    assert (BEFORE, None) == (kept(core), core.keeper("code").health().record.trouble)


def test_sentences():
    """No two ways to fail are told in the same words."""
    told = set()
    for _, outcome in FAILURES:
        with pytest.raises(SignInError) as caught:
            redeemed(outcome)
        told.add(str(caught.value))
    assert len(FAILURES) == len(told)


async def test_tokens_that_cannot_be_stored(sign_in, core, monkeypatch):
    """The old ones stay in force; it is said that the vendor has granted, and why that was lost."""

    async def busy(*_):
        raise StoreBusyError("another process is changing the tokens of code")

    monkeypatch.setattr(core.store, "write", busy)
    monkeypatch.setattr("proxy.credentials.core._SAVE_WITHIN", 0)
    monkeypatch.setattr("proxy.credentials.core._SAVE_AGAIN", 0)
    with pytest.raises(SignInError, match=r"the vendor has granted, but .* another process is changing the tokens"):
        await sign_in.returned({"code": "c", "state": begun(sign_in)})
    assert BEFORE == kept(core)


async def test_store_that_is_busy_for_a_while(sign_in, core, monkeypatch):
    """What a code has brought is saved as soon as that is possible."""
    write, tries = core.store.write, []

    async def busy_twice(record):
        tries.append(record)
        if len(tries) < 3:
            raise StoreBusyError("another process is writing")
        await write(record)

    monkeypatch.setattr(core.store, "write", busy_twice)
    monkeypatch.setattr("proxy.credentials.core._SAVE_AGAIN", 0)
    assert DONE == await within(sign_in.returned({"code": "c", "state": begun(sign_in)}))
    assert (3, AFTER) == (len(tries), kept(core))


async def test_lock_that_is_held(sign_in, core, redeeming, monkeypatch):
    """The code is not even sent: what it brings could not be stored."""
    monkeypatch.setattr("proxy.credentials.lock._CHANGE_TIMEOUT", 0.0)
    lock = core.store.lock("code")
    await lock.acquire(1)
    with pytest.raises(StoreBusyError):
        await within(sign_in.returned({"code": "c", "state": begun(sign_in)}))
    lock.release()
    assert ([], BEFORE) == (redeeming.redeemed, kept(core))


async def test_exchange_under_way(sign_in, core):
    """What a person brings is stored after it, and stands (T1)."""
    lock = core.store.lock("code")
    await lock.acquire(1)
    waiting = asyncio.create_task(sign_in.returned({"code": "c", "state": begun(sign_in)}))
    await core.store.read("code")
    assert (False, BEFORE) == (waiting.done(), kept(core))
    lock.release()
    assert DONE == await within(waiting)
    assert AFTER == kept(core)
