"""What is committed before what (T4, T5), and what happens when it cannot be, on the real store."""

import asyncio

import pytest

from proxy.credentials import policy
from proxy.credentials.answers import Granted, Passing, Refused, Uncertain, Unusable
from proxy.credentials.record import Origin, Record, TroubleKind
from proxy.errors import BearerProxyError, LoginRequiredError, RenewalDelayedError, StoreBusyError, StoreError
from proxy.secret import Secret

from .conftest import NAME, NOW, record, tokens, within

LOST = Uncertain("no answer")
REFUSED_GRANT = Refused(TroubleKind.GRANT, "invalid_grant")
CUT_OFF = r"cut off at 2027-01-15 07:59:00 UTC .* refuses the old refresh token \(invalid_grant\)"


@pytest.fixture
def fast(monkeypatch):
    """Make saving again, and waiting for a lock, a matter of moments."""
    monkeypatch.setattr("proxy.credentials.saver._SAVE_AGAIN", 0.001)
    monkeypatch.setattr("proxy.credentials.saver._LAST_TRIES", 0.01)
    monkeypatch.setattr("proxy.credentials.keeper._LOCK_GRACE", 0.0)


@pytest.fixture
async def cut_off(keep, store):
    """Give a keeper whose last run was killed in an exchange, a minute ago."""
    await store.write(record(now=NOW - 3600, marked_at=NOW - 60, expires_in=4000.0))
    return await keep(store)


def is_new(kept):
    return kept.generation > 1


async def test_mark(keeper, vendor, open_store):
    """It is committed, for every process to see, before the token endpoint is called."""
    other, seen = await open_store(), []

    async def look():
        seen.append(await other.read(NAME))

    vendor.before = look
    await keeper.replace(1)
    assert [record(marked_at=NOW)] == seen


async def test_mark_that_cannot_be_committed(keeper, vendor, store):
    """Nothing is sent; it is tried again when a back-off is over, and callers learn at once."""
    store.fails = lambda _: True
    for _ in range(20):
        with pytest.raises(RenewalDelayedError, match="token store"):
            await within(keeper.replace(1))
    assert [] == vendor.sent
    assert 1 == (await keeper.current()).generation
    assert store.lock(NAME).try_acquire()


async def test_mark_that_cannot_be_committed_for_long(keeper, vendor, store, clock):
    """The back-off grows as any other (T7)."""
    store.fails = lambda _: True
    for expected in (1.0, 2.0, 4.0, 8.0):
        with pytest.raises(RenewalDelayedError) as caught:
            await within(keeper.replace(1))
        assert caught.value.retry_after is not None
        assert expected <= caught.value.retry_after <= expected + 1
        clock.now += expected
    store.fails = lambda _: False
    assert 2 == (await keeper.replace(1)).generation
    assert 1 == len(vendor.sent)


async def test_new_tokens(keeper, store):
    """Nobody has them before they are committed."""
    saving, save = asyncio.Event(), asyncio.Event()
    write = store.write

    async def slow_write(kept):
        if is_new(kept):
            saving.set()
            await save.wait()
        await write(kept)

    store.write = slow_write
    caller = asyncio.create_task(keeper.replace(1))
    await within(saving.wait())
    assert 1 == (await keeper.current()).generation
    assert not caller.done()
    save.set()
    assert 2 == (await within(caller)).generation
    assert [None, NOW, None] == [kept.marked_at for kept in store.committed]


async def test_new_tokens_that_cannot_be_saved(keeper, vendor, store, open_store, fast, caplog):
    """They are used from memory, the lock kept, and saved as soon as that works."""
    other = await open_store()
    store.fails = is_new
    assert 2 == (await within(keeper.replace(1))).generation
    assert keeper.health().unsaved
    assert "ALARM" in caplog.text
    assert NOW == (await other.read(NAME)).marked_at
    with pytest.raises(StoreBusyError):
        await other.lock(NAME).acquire(0.05)
    store.tried.clear()
    await within(store.tried.wait())
    assert keeper.health().unsaved
    store.fails = lambda _: False
    lock = other.lock(NAME)
    await within(lock.acquire(10))
    found = await other.read(NAME)
    assert (2, Secret("refresh-1"), None) == (found.generation, found.refresh_token, found.marked_at)
    assert not keeper.health().unsaved
    lock.release()


async def test_other_process_while_new_tokens_are_unsaved(keep, keeper, vendor, store, open_store, fast):
    """It does not take the mark for a crash: it sends nothing, and has the tokens once they are saved."""
    store.fails = is_new
    await within(keeper.replace(1))
    second = await keep(await open_store(), exchange_timeout=0.05)
    with pytest.raises(RenewalDelayedError):
        await within(second.replace(1))
    assert ["refresh-0"] == vendor.sent
    store.fails = lambda _: False
    async with (await open_store()).lock(NAME):
        await second.look_again()
    assert 2 == (await second.replace(1)).generation


async def test_renewal_while_tokens_are_unsaved(keeper, vendor, store, open_store, clock, fast):
    """It starts from the tokens in memory, and all that was unsaved is saved in the end."""
    store.fails = is_new
    await within(keeper.replace(1))
    clock.now += 60
    with pytest.raises(RenewalDelayedError):
        await within(keeper.replace(2))
    assert ["refresh-0"] == vendor.sent
    clock.now += 60
    store.fails = lambda kept: kept.generation == 3
    assert 3 == (await within(keeper.replace(2))).generation
    assert ["refresh-0", "refresh-1"] == vendor.sent
    store.fails = lambda _: False
    async with (other := await open_store()).lock(NAME):
        assert Secret("refresh-2") == (await other.read(NAME)).refresh_token


async def test_look_at_the_store_while_tokens_are_unsaved(keeper, store, fast):
    """The newer ones in memory stay."""
    store.fails = is_new
    await within(keeper.replace(1))
    await keeper.look_again()
    assert 2 == (await keeper.current()).generation
    store.fails = lambda _: False
    await within(keeper.stop())


async def test_stop_while_tokens_are_unsaved(keeper, store, open_store):
    """They are saved at last."""
    store.fails = is_new
    await within(keeper.replace(1))
    store.fails = lambda _: False
    await within(keeper.stop())
    assert 2 == (await (await open_store()).read(NAME)).generation
    assert store.lock(NAME).try_acquire()


async def test_stop_while_tokens_still_cannot_be_saved(keeper, store, open_store, fast):
    """It tries for a while, leaves the mark, and ends with an error that says that they are lost."""
    store.fails = is_new
    await within(keeper.replace(1))
    with pytest.raises(StoreError, match="lost; run: bearer-proxy import acme"):
        await within(keeper.stop())
    assert record(marked_at=NOW) == await (await open_store()).read(NAME)
    store.fails = lambda _: False
    await within(keeper.stop())


async def test_start_after_a_crash(cut_off, vendor, clock):
    """The access token is used, and nothing is renewed ahead of time."""
    cut_off.start()
    clock.now += 10_000
    await cut_off.look_again()
    while cut_off._changed.is_set():
        await asyncio.sleep(0)
    assert 1 == (await cut_off.current()).generation
    assert not cut_off.health().renewing
    assert [] == vendor.sent


async def test_rejection_after_a_crash_that_the_vendor_had_not_seen(cut_off, vendor, store):
    """The old refresh token is sent again, and the uncertainty is over."""
    assert 2 == (await cut_off.replace(1)).generation
    assert ["refresh-0"] == vendor.sent
    assert (await store.read(NAME)).marked_at is None


async def test_rejection_after_a_crash_in_which_the_vendor_rotated(cut_off, vendor, store):
    """The refusal asks for a sign-in, tells of the cut-off, and is final."""
    vendor.newest = "refresh-that-was-lost"
    for _ in range(5):
        with pytest.raises(LoginRequiredError, match=CUT_OFF):
            await cut_off.replace(1)
    assert ["refresh-0"] == vendor.sent
    assert (await store.read(NAME)).marked_at is None


async def test_person_who_asks_again_after_such_a_refusal(cut_off, vendor):
    """The text still tells of the cut-off: that has not changed."""
    vendor.newest = "refresh-that-was-lost"
    with pytest.raises(LoginRequiredError, match=CUT_OFF):
        await cut_off.replace(1)
    await cut_off.refresh()
    with pytest.raises(LoginRequiredError, match=CUT_OFF):
        await cut_off.replace(1)


@pytest.mark.parametrize(
    "outcome",
    [Passing("later"), LOST, Refused(TroubleKind.CLIENT, "invalid_client"), Refused(TroubleKind.REFUSED, "HTTP 404")],
)
async def test_rejection_after_a_crash_that_brings_no_answer_for_the_grant(cut_off, vendor, store, outcome):
    """The uncertainty stays, and its time, unless the refresh token was sent once more without an answer."""
    vendor.answers = [outcome]
    with pytest.raises((RenewalDelayedError, LoginRequiredError)):
        await cut_off.replace(1)
    assert (NOW if outcome is LOST else NOW - 60) == (await store.read(NAME)).marked_at


@pytest.mark.parametrize(
    "outcome",
    [
        Passing("nothing was sent"),
        REFUSED_GRANT,
        Refused(TroubleKind.CLIENT, "invalid_client"),
        Refused(TroubleKind.REFUSED, "HTTP 404"),
        Unusable(tokens("new", access=None), "unusable"),
        Granted(tokens("new")),
    ],
)
async def test_complete_answer_or_nothing_sent(keeper, vendor, store, outcome):
    """No mark is left."""
    vendor.answers = [outcome]
    await keeper.refresh()
    assert (await store.read(NAME)).marked_at is None


async def test_lost_answer(keep, keeper, vendor, clock, open_store):
    """The mark stays; the old token is sent again under back-off only, until the vendor answers."""
    vendor.answers = [LOST, LOST]
    for _ in range(2):
        for one in (keeper, await keep(await open_store())):
            with pytest.raises(RenewalDelayedError):
                await one.replace(1)
        assert clock.now == (await (await open_store()).read(NAME)).marked_at
        clock.now += 100
    assert ["refresh-0", "refresh-0"] == vendor.sent
    assert 2 == (await keeper.replace(1)).generation
    assert 3 == len(vendor.sent)


async def test_answer_without_a_usable_access_token(keeper, vendor, store, clock):
    """Its refresh token is saved and used next; the spent one is never sent again."""
    vendor.answers = [Unusable(tokens("refresh-x", access=None), "unusable")]
    await keeper.refresh()
    assert Secret("refresh-x") == (await store.read(NAME)).refresh_token
    vendor.newest = "refresh-x"
    clock.now += 601
    generation = (await keeper.current()).generation
    assert generation + 1 == (await keeper.replace(generation)).generation
    assert ["refresh-0", "refresh-x"] == vendor.sent


async def test_exchange_that_fails_in_a_way_nobody_foresaw(keeper, vendor, store):
    """It counts as a lost answer, the caller gets an error of ours, and the keeper goes on."""

    async def fail():
        raise KeyError("canary")

    vendor.before = fail
    with pytest.raises(BearerProxyError) as caught:
        await within(keeper.replace(1))
    assert "canary" not in str(caught.value)
    assert NOW == (await store.read(NAME)).marked_at
    assert NOW == keeper.health().record.marked_at


async def test_logout_by_another_process_before_an_exchange(keeper, vendor, open_store):
    """Nothing is sent."""
    await (await open_store()).write(policy.logged_out(record(), NOW))
    with pytest.raises(LoginRequiredError, match="it was logged out"):
        await keeper.replace(1)
    assert [] == vendor.sent
    logged_out = Record(name=NAME, generation=2, origin=Origin.LOGOUT, obtained_at=NOW, brought_at=NOW)
    assert logged_out == keeper.health().record
