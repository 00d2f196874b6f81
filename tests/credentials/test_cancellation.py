"""Callers that go away and a keeper that stops, during an exchange: the state they leave behind (T3)."""

import asyncio
import contextlib
import logging

import pytest

from proxy.credentials.answers import Passing
from proxy.credentials.record import Origin
from proxy.errors import BearerProxyError, RenewalDelayedError
from proxy.secret import Secret

from .conftest import NAME, NOW, record, within


@pytest.fixture
async def under_way(keeper, vendor):
    """Give forty callers that wait for an exchange which is held at the vendor."""
    vendor.gate.clear()
    callers = [asyncio.create_task(keeper.replace(1)) for _ in range(40)]
    await within(vendor.entered.wait())
    return callers


async def gone(tasks):
    """Cancel the tasks, and wait until each has ended as cancelled."""
    for task in tasks:
        task.cancel()
    await within(asyncio.wait(tasks))
    assert all(task.cancelled() for task in tasks)


async def test_all_callers_cancelled(keeper, vendor, under_way, open_store, caplog):
    """The exchange goes on and is saved; the next caller has its token without another one."""
    await gone(under_way)
    assert keeper.health().renewing
    vendor.gate.set()
    assert 2 == (await within(keeper.replace(1))).generation
    found = await (await open_store()).read(NAME)
    assert (2, Secret("refresh-1"), None, Origin.EXCHANGE) == (
        found.generation,
        found.refresh_token,
        found.marked_at,
        found.origin,
    )
    assert ["refresh-0"] == vendor.sent
    assert [] == [told for told in caplog.records if told.levelno >= logging.ERROR]


async def test_one_caller_cancelled(vendor, under_way):
    """The others get the token."""
    await gone(under_way[:1])
    vendor.gate.set()
    assert {2} == {(await within(caller)).generation for caller in under_way[1:]}
    assert ["refresh-0"] == vendor.sent


async def test_all_callers_cancelled_before_an_exchange_that_fails(keeper, vendor, under_way, store, caplog):
    """What came of it is saved, and nothing complains that nobody heard of it."""
    vendor.answers = [Passing("later", 60.0)]
    await gone(under_way)
    vendor.gate.set()
    with pytest.raises(RenewalDelayedError):
        await within(keeper.replace(1))
    found = await store.read(NAME)
    assert found.trouble is not None
    assert ("later", NOW + 60, None) == (found.trouble.reason, found.trouble.retry_at, found.marked_at)
    assert [] == [told for told in caplog.records if told.levelno >= logging.ERROR]


async def test_caller_whose_time_is_over(keeper, vendor):
    """It gets its time-out; the exchange goes on."""
    vendor.gate.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await keeper.replace(1)
    await within(vendor.entered.wait())
    vendor.gate.set()
    assert 2 == (await within(keeper.replace(1))).generation
    assert ["refresh-0"] == vendor.sent


async def test_person_who_goes_away(keeper, vendor):
    """The exchange that was asked for goes on."""
    vendor.gate.clear()
    asking = asyncio.create_task(keeper.refresh())
    await within(vendor.entered.wait())
    await gone([asking])
    vendor.gate.set()
    assert 2 == (await within(keeper.replace(1))).generation
    assert ["refresh-0"] == vendor.sent


async def test_callers_cancelled_while_the_lock_is_waited_for(keeper, vendor, open_store):
    """The lock is taken when it is free, and given back; no caller is needed for it."""
    lock = (await open_store()).lock(NAME)
    await lock.acquire(1)
    caller = asyncio.create_task(keeper.replace(1))
    while not keeper.health().renewing:
        await asyncio.sleep(0)
    await gone([caller])
    lock.release()
    await within(vendor.entered.wait())
    await within(keeper.stop())
    assert 2 == (await (await open_store()).read(NAME)).generation
    assert lock.try_acquire()
    lock.release()


async def test_callers_cancelled_while_the_new_tokens_are_written(keeper, store, open_store):
    """They are written, and the lock is given back."""
    saving, save = asyncio.Event(), asyncio.Event()
    write = store.write

    async def slow_write(kept):
        if kept.generation > 1:
            saving.set()
            await save.wait()
        await write(kept)

    store.write = slow_write
    caller = asyncio.create_task(keeper.replace(1))
    await within(saving.wait())
    await gone([caller])
    save.set()
    await within(keeper.stop())
    assert 2 == (await (await open_store()).read(NAME)).generation
    assert store.lock(NAME).try_acquire()


async def test_stop_during_an_exchange(keeper, vendor, under_way, store, open_store):
    """It waits for it; then all is saved, callers have their answer, and the lock is free."""
    stopping = asyncio.create_task(keeper.stop())
    assert NOW == (await store.read(NAME)).marked_at
    assert not stopping.done()
    vendor.gate.set()
    await within(stopping)
    assert 2 == (await store.read(NAME)).generation
    assert {2} == {(await within(caller)).generation for caller in under_way}
    lock = (await open_store()).lock(NAME)
    assert lock.try_acquire()
    lock.release()


async def test_stop_during_a_renewal_ahead_of_time(keep, vendor, clock, store):
    """It waits for that too, and no further one is set off."""
    await store.write(record(expires_in=1000.0))
    vendor.expires_in = 0.5
    vendor.gate.clear()
    keeper = await keep(store)
    keeper.start()
    clock.now += 800
    await keeper.look_again()
    await within(vendor.entered.wait())
    stopping = asyncio.create_task(keeper.stop())
    clock.now += 1
    vendor.gate.set()
    await within(stopping)
    assert 2 == (await store.read(NAME)).generation
    assert ["refresh-0"] == vendor.sent


async def test_stop_that_is_cancelled(keeper, vendor, under_way, store):
    """The exchange goes on, and stopping again waits for it."""
    stopping = asyncio.create_task(keeper.stop())
    await asyncio.sleep(0)
    await gone([stopping])
    again = asyncio.create_task(keeper.stop())
    vendor.gate.set()
    await within(again)
    assert 2 == (await store.read(NAME)).generation
    await asyncio.wait(under_way)


async def test_rejection_after_the_stop(keeper, vendor, store):
    """Nothing is sent: nobody would wait for the answer, and the store is about to close."""
    await keeper.stop()
    with contextlib.suppress(BearerProxyError):
        await keeper.replace(1)
    assert [] == vendor.sent
    assert record() == await store.read(NAME)
    with pytest.raises(BearerProxyError):
        await keeper.replace(1)


async def test_token_after_the_stop(keeper):
    """The one at hand is still given, to requests that are under way."""
    await keeper.stop()
    assert 1 == (await keeper.current()).generation


async def test_tasks_after_the_stop(keep, store, vendor, clock):
    """None is left, however often it is stopped and whatever was under way."""
    before = asyncio.all_tasks()
    keeper = await keep(store)
    keeper.start()
    store.fails = lambda kept: kept.generation > 1
    generation = (await within(keeper.replace(1))).generation
    keeper.replayed(generation, accepted=False)
    store.fails = lambda _: False
    await within(keeper.stop())
    await within(keeper.stop())
    assert before == asyncio.all_tasks()


async def test_end_at_the_very_moment_of_a_change(keep, store):
    """The task that renews ahead of time hears the end, though it was just about to wake."""
    keeper = await keep(store)
    keeper.start()
    for _ in range(5):
        await asyncio.sleep(0)
    keeper._changed.set()
    await within(keeper.rest())
