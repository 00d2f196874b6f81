"""The guard time as replays go (T8), and renewal ahead of time in the background (T9)."""

import asyncio

import pytest

from proxy.credentials.answers import Passing, Uncertain
from proxy.credentials.record import Origin
from proxy.errors import RenewalDelayedError, RenewalGuardedError

from .conftest import GUARD, NAME, NOW, record, within


@pytest.fixture
async def exchanged(keep, store, vendor):
    """Give a keeper whose token an exchange brought at NOW, as generation 1."""
    await store.write(record(Origin.EXCHANGE))
    return await keep(store)


async def stored_guard(keeper, open_store):
    """Give the guard time in the store once all that is under way is written."""
    await keeper.stop()
    return (await (await open_store()).read(NAME)).guard


async def test_replays_that_are_rejected(exchanged, open_store):
    """They double the guard time once in a generation, however many there are."""
    for _ in range(50):
        exchanged.replayed(1, accepted=False)
    assert 2 * GUARD == exchanged.health().record.guard
    assert 2 * GUARD == await stored_guard(exchanged, open_store)


async def test_replays_rejected_in_one_generation_after_another(exchanged, clock):
    """The guard time doubles up to an hour, and holds."""
    for generation, expected in enumerate([60, 120, 240, 480, 960, 1920, 3600, 3600], start=1):
        exchanged.replayed(generation, accepted=False)
        clock.now += expected - 0.1
        with pytest.raises(RenewalGuardedError):
            await exchanged.replace(generation)
        clock.now += 0.2
        assert generation + 1 == (await exchanged.replace(generation)).generation


async def test_replay_that_is_accepted(exchanged, open_store):
    """The guard time returns to its start."""
    exchanged.replayed(1, accepted=False)
    exchanged.replayed(1, accepted=True)
    assert 0.0 == await stored_guard(exchanged, open_store)


async def test_replay_of_a_generation_that_has_passed(exchanged):
    """It says nothing of the present one."""
    exchanged.replayed(0, accepted=False)
    assert 0.0 == exchanged.health().record.guard


async def test_replay_of_an_imported_token(keeper):
    """It is not guarded, and so its guard time does not grow."""
    keeper.replayed(1, accepted=False)
    assert 0.0 == keeper.health().record.guard


async def test_guard_that_has_grown_before_a_restart(keep, exchanged, open_store, clock):
    """It holds."""
    exchanged.replayed(1, accepted=False)
    await exchanged.stop()
    again = await keep(await open_store())
    clock.now += 2 * GUARD - 0.1
    with pytest.raises(RenewalGuardedError):
        await again.replace(1)


async def test_guard_that_grows_while_the_store_is_looked_at(exchanged, store):
    """What was read before it grew does not undo it."""
    store.have_read.clear()
    store.read_gate.clear()
    look = asyncio.create_task(exchanged.look_again())
    await within(store.have_read.wait())
    exchanged.replayed(1, accepted=False)
    store.read_gate.set()
    await within(look)
    assert 2 * GUARD == exchanged.health().record.guard


async def test_guard_that_grows_during_an_exchange(exchanged, vendor, clock):
    """What the exchange saves does not undo it."""
    clock.now += GUARD
    vendor.answers = [Passing("later")]
    vendor.gate.clear()
    caller = asyncio.create_task(exchanged.replace(1))
    await within(vendor.entered.wait())
    exchanged.replayed(1, accepted=False)
    vendor.gate.set()
    with pytest.raises((RenewalDelayedError, RenewalGuardedError)):
        await within(caller)
    assert 2 * GUARD == exchanged.health().record.guard


async def test_guard_that_cannot_be_saved(exchanged, store, open_store, caplog):
    """It holds in memory, with a warning."""
    await store.close()
    exchanged.replayed(1, accepted=False)
    assert 0.0 == await stored_guard(exchanged, open_store)
    assert 2 * GUARD == exchanged.health().record.guard
    assert "the guard time of acme is not saved" in caplog.text


@pytest.fixture
async def ahead(keep, store, vendor):
    """Give a started keeper whose imported token lives 1000 s, and so is due at 775 s."""
    await store.write(record(expires_in=1000.0))
    vendor.expires_in = 1000.0
    keeper = await keep(store)
    keeper.start()
    return keeper


async def wake(keeper):
    """Let the background task look at the clock, and go to sleep again if it finds nothing to do."""
    await keeper.look_again()
    while keeper._changed.is_set():
        await asyncio.sleep(0)


async def test_token_before_it_is_due(ahead, vendor, clock):
    """Nothing is sent."""
    clock.now += 774.9
    await wake(ahead)
    assert not ahead.health().renewing
    assert [] == vendor.sent


async def test_token_that_is_due(ahead, vendor, clock):
    """It is renewed in the background, and the next one in its time; between them callers have a token (T9)."""
    for generation in (1, 2, 3):
        vendor.entered.clear()
        vendor.gate.clear()
        clock.now += 775
        await ahead.look_again()
        await within(vendor.entered.wait())
        assert generation == (await within(ahead.current())).generation
        vendor.gate.set()
        await within(ahead.replace(generation))
        assert generation == len(vendor.sent)
    assert Origin.EXCHANGE is ahead.health().record.origin


async def test_renewal_ahead_of_time_that_fails(ahead, vendor, clock):
    """It is tried again when its back-off is over, and callers have the token at hand meanwhile (T7)."""
    vendor.answers = [Passing("later", 60.0)]
    clock.now += 775
    await ahead.look_again()
    await within(vendor.entered.wait())
    with pytest.raises(RenewalDelayedError):
        await within(ahead.replace(1))
    clock.now += 59
    await wake(ahead)
    assert 1 == len(vendor.sent)
    assert 1 == (await ahead.current()).generation
    vendor.entered.clear()
    clock.now += 1
    await ahead.look_again()
    await within(vendor.entered.wait())
    assert 2 == (await within(ahead.replace(1))).generation


async def test_renewal_ahead_of_time_whose_answer_is_lost(ahead, vendor, clock):
    """It is not tried again by itself; a rejection tries again (T5)."""
    vendor.answers = [Uncertain("no answer")]
    clock.now += 775
    await ahead.look_again()
    await within(vendor.entered.wait())
    with pytest.raises(RenewalDelayedError):
        await within(ahead.replace(1))
    clock.now += 86400
    await wake(ahead)
    assert ["refresh-0"] == vendor.sent
    assert 1 == (await ahead.current()).generation
    assert 2 == (await ahead.replace(1)).generation


async def test_renewal_ahead_of_time_after_another_process_was_cut_off(ahead, vendor, clock, open_store):
    """It is not made, though the mark of the other is seen only under the lock (T5)."""
    await (await open_store()).write(record(expires_in=1000.0, marked_at=NOW))
    clock.now += 775
    ahead._changed.set()
    flown = asyncio.create_task(until_landed(ahead))
    await within(flown)
    assert [] == vendor.sent
    assert NOW == ahead.health().record.marked_at


async def until_landed(keeper):
    """Wait until the keeper has set off its next exchange and that is over."""
    while keeper._flight is None:
        await asyncio.sleep(0)
    await asyncio.wait([keeper._flight])


async def test_token_of_unknown_lifetime(keep, store, vendor, clock):
    """It is never renewed by itself (T9)."""
    keeper = await keep(store)
    keeper.start()
    clock.now += 10 * 365 * 86400
    await wake(keeper)
    assert [] == vendor.sent


async def test_renewal_that_falls_due_while_the_proxy_is_stopping(keep, store, vendor, clock):
    """It is not begun any more; what requests under way need still is."""
    keeper = await keep(store)
    keeper.start()
    await keeper.rest()
    clock.now += 10_000_000
    await keeper.look_again()
    await asyncio.sleep(0)
    assert [] == vendor.sent
    assert 2 == (await keeper.replace(1)).generation
