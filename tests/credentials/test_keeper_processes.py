"""Several processes on one store (T1): keepers with stores of their own, and real processes."""

import asyncio
import signal

import pytest

from proxy.credentials.answers import Passing
from proxy.errors import RenewalDelayedError

from .conftest import HOLDER, NAME, record, said, script, tell, within


@pytest.fixture
async def pair(keep, store, open_store):
    """Give two keepers of one file, as two processes have them."""
    return await keep(store), await keep(await open_store())


@pytest.fixture
def impatient(monkeypatch):
    """Let keepers wait for a lock no longer than for an exchange."""
    monkeypatch.setattr("proxy.credentials.keeper._LOCK_GRACE", 0.0)


async def test_rejections_in_two_processes(pair, vendor):
    """They make one exchange; the second process takes over its tokens."""
    vendor.gate.clear()
    callers = [asyncio.create_task(pair[n % 2].replace(1)) for n in range(100)]
    await within(vendor.entered.wait())
    assert all(keeper.health().renewing for keeper in pair)
    vendor.gate.set()
    assert {2} == {snapshot.generation for snapshot in await within(asyncio.gather(*callers))}
    assert ["refresh-0"] == vendor.sent


async def test_rejection_after_another_process_renewed(pair, vendor):
    """It takes over the tokens, of which it had not heard, and exchanges nothing."""
    await pair[0].replace(1)
    assert 2 == (await pair[1].replace(1)).generation
    assert ["refresh-0"] == vendor.sent


async def test_rejection_after_another_process_failed(pair, vendor):
    """It takes over the back-off."""
    vendor.answers = [Passing("later", 60.0)]
    for keeper in pair:
        with pytest.raises(RenewalDelayedError):
            await keeper.replace(1)
    assert ["refresh-0"] == vendor.sent


async def test_renewal_ahead_of_time_in_two_processes(keep, open_store, vendor, clock):
    """It is made by one of them."""
    stores = [await open_store(), await open_store()]
    await stores[0].write(record(expires_in=1000.0))
    vendor.expires_in = 1000.0
    vendor.gate.clear()
    pair = [await keep(store) for store in stores]
    for keeper in pair:
        keeper.start()
    clock.now += 800
    for keeper in pair:
        keeper._changed.set()
    await within(vendor.entered.wait())
    waiting = [asyncio.create_task(keeper.replace(1)) for keeper in pair]
    vendor.gate.set()
    assert [2, 2] == [snapshot.generation for snapshot in await within(asyncio.gather(*waiting))]
    assert ["refresh-0"] == vendor.sent


async def test_tokens_that_another_process_stored(pair, open_store):
    """They are taken over when looked for; older ones never."""
    await (await open_store()).write(record(generation=7))
    await pair[0].look_again()
    assert 7 == (await pair[0].current()).generation
    await (await open_store()).write(record(generation=3))
    await pair[0].look_again()
    assert 7 == (await pair[0].current()).generation


async def test_process_that_holds_the_lock_for_too_long(keep, store, tmp_path, vendor, impatient, clock):
    """Nothing is sent, callers learn in bounded time, and renew as soon as it lets go."""
    keeper = await keep(store, exchange_timeout=0.1)
    async with script(HOLDER, tmp_path / "tokens.db") as process:
        assert "held" == await said(process)
        with pytest.raises(RenewalDelayedError):
            await within(asyncio.gather(*(keeper.replace(1) for _ in range(50))))
        assert 1 == (await keeper.current()).generation
        assert [] == vendor.sent
        tell(process)
        assert "released" == await said(process)
    clock.now += 2
    assert 2 == (await within(keeper.replace(1))).generation


async def test_process_that_is_killed_while_it_holds_the_lock(keep, store, tmp_path, vendor):
    """The lock is free, and waiters go on at once."""
    keeper = await keep(store)
    async with script(HOLDER, tmp_path / "tokens.db") as process:
        assert "held" == await said(process)
        caller = asyncio.create_task(keeper.replace(1))
        while not keeper.health().renewing:
            await asyncio.sleep(0)
        assert [] == vendor.sent
        process.send_signal(signal.SIGKILL)
        assert 2 == (await within(caller)).generation


async def test_lock_after_an_exchange(keeper, open_store, vendor):
    """It is held while the exchange is under way, and free when it is over."""
    lock = (await open_store()).lock(NAME)
    vendor.gate.clear()
    caller = asyncio.create_task(keeper.replace(1))
    await within(vendor.entered.wait())
    assert not lock.try_acquire()
    vendor.gate.set()
    await within(caller)
    assert lock.try_acquire()
    lock.release()
