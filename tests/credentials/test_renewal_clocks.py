"""Renewal ahead of time (T9) by clocks that jump or go wrong, and by lifetimes that make no sense."""

import asyncio
import json
import statistics
from email.utils import formatdate

import pytest
from multidict import CIMultiDict

from proxy.config import Limits
from proxy.credentials import keeper as keeper_module
from proxy.credentials import policy
from proxy.credentials.answers import Granted, read_answer
from proxy.credentials.keeper import Keeper

from .conftest import GUARD, NAME, NOW, credential, provider, record, terms, within

LIFETIME = 1000.0


class WatchedClock:
    """A clock that only tests move, and that tells how often it was read."""

    def __init__(self):
        self.now = NOW
        self._read = asyncio.Event()

    def __call__(self):
        self._read.set()
        return self.now

    async def looked_at(self, times=3):
        """Wait until it has been read so often from now on."""
        for _ in range(times):
            self._read.clear()
            await within(self._read.wait())


@pytest.fixture
async def watched():
    return WatchedClock()


@pytest.fixture
async def ahead(watched, store, vendor, monkeypatch):
    """Give a started keeper whose imported token lives 1000 s, and so is due at 775 s; it looks every few ms."""
    monkeypatch.setattr(keeper_module, "_LONGEST_SLEEP", 0.005)
    await store.write(record(expires_in=LIFETIME))
    vendor.expires_in = LIFETIME
    keeper = Keeper(credential(), store, vendor, Limits(renewal_guard=GUARD), clock=watched, chance=lambda: 0.5)
    await keeper.load()
    keeper.start()
    yield keeper
    vendor.gate.set()
    await within(keeper.stop())


async def landed(keeper, generation):
    """Wait until the keeper has got that far."""
    async with asyncio.timeout(20):
        while keeper.health().record.generation < generation:
            await asyncio.sleep(0)


@pytest.mark.parametrize("later", [775.0, 999.0, LIFETIME, 86400.0 * 365])
async def test_clock_that_jumps_forwards(ahead, watched, vendor, later):
    """What has become due is renewed by itself: nothing has to wake it, as nothing does after the machine slept."""
    await watched.looked_at()
    watched.now += later
    await landed(ahead, 2)
    await watched.looked_at()
    assert (["refresh-0"], 2) == (vendor.sent, ahead.health().record.generation)


@pytest.mark.parametrize("back", [1.0, 774.0, 86400.0])
async def test_clock_that_is_set_back(ahead, watched, vendor, back):
    """Nothing is renewed before the time that was to be, and then it is."""
    watched.now += 774.9
    await watched.looked_at()
    watched.now -= back
    await watched.looked_at()
    watched.now = NOW + 774.9
    await watched.looked_at()
    assert [] == vendor.sent
    watched.now = NOW + 775
    await landed(ahead, 2)
    assert ["refresh-0"] == vendor.sent


async def test_clock_that_is_set_back_after_a_renewal(ahead, watched, vendor):
    """It is not renewed again and again: the next is due by the time of the last."""
    watched.now += 775
    await landed(ahead, 2)
    watched.now -= 3600
    await watched.looked_at()
    watched.now = NOW + 775 + 774.9
    await watched.looked_at()
    assert 1 == len(vendor.sent)
    watched.now += 0.2
    await landed(ahead, 3)
    assert 2 == len(vendor.sent)


@pytest.mark.parametrize("skew", [-86400.0, -60.0, 0.0, 60.0, 86400.0])
def test_vendor_whose_clock_is_wrong(skew):
    """A lifetime is counted from our own clock: the vendor's Date shifts no renewal, nor do times in its answer."""
    body = {"access_token": "abc", "expires_in": 1000, "created_at": NOW + skew, "expires_at": NOW + skew + 1000}
    headers = CIMultiDict({"Date": formatdate(NOW + skew, usegmt=True)})
    outcome = read_answer(200, headers, json.dumps(body).encode(), provider(), NOW)
    kept = policy.after(outcome, record(), terms(), NOW, 0.5)
    assert (NOW + 1000, NOW + 800) == (kept.expires_at, policy.renewal_time(kept, terms(), 0.0))


@pytest.mark.parametrize(
    "value", [None, 0, -1, -0.5, "0", "-60", "soon", "", [], {}, True, False, float("nan"), float("inf"), "1e999"]
)
async def test_lifetime_that_makes_no_sense(keep, store, vendor, clock, value):
    """It is unknown: such a token is renewed when it is rejected, and only then."""
    body = json.dumps({"access_token": "abc", "refresh_token": "refresh-1", "expires_in": value})
    outcome = read_answer(200, {}, body.encode(), provider(), NOW)
    assert isinstance(outcome, Granted)
    vendor.answers = [outcome]
    keeper = await keep(store)
    assert 2 == (await keeper.replace(1)).generation
    assert keeper.health().record.expires_at is None
    vendor.newest = "refresh-1"
    keeper.start()
    clock.now += 86400.0 * 3650
    await keeper.look_again()
    while keeper._changed.is_set():
        await asyncio.sleep(0)
    assert 1 == len(vendor.sent)
    assert 3 == (await keeper.replace(2)).generation


def test_lifetime_that_is_missing():
    """It is unknown."""
    outcome = read_answer(200, {}, b'{"access_token": "abc"}', provider(), NOW)
    assert policy.renewal_time(policy.after(outcome, record(), terms(), NOW, 0.5), terms(), 0.5) is None


async def test_hundreds_that_were_signed_in_at_once(store, vendor):
    """They are due over a twentieth of their lifetime, not at one moment."""
    limits = Limits()
    kept = record(expires_in=LIFETIME)
    keepers = [Keeper(credential(name=f"{NAME}-{index}"), store, vendor, limits) for index in range(300)]
    due = [policy.renewal_time(kept, terms(), keeper._spread) for keeper in keepers]
    times = sorted(at - NOW for at in due if at is not None)
    assert (300, True) == (len(times), times[0] >= 750 and times[-1] <= 800)
    assert 5 < statistics.stdev(times)
    assert 300 == len(set(times))


async def test_jitter_of_the_next_generation(watched, store, vendor, monkeypatch):
    """It is drawn anew: two that fell together once part again."""
    monkeypatch.setattr(keeper_module, "_LONGEST_SLEEP", 0.005)
    await store.write(record(expires_in=LIFETIME))
    vendor.expires_in = LIFETIME
    drawn = [0.0]
    keeper = Keeper(credential(), store, vendor, Limits(renewal_guard=GUARD), clock=watched, chance=lambda: drawn[0])
    await keeper.load()
    keeper.start()
    try:
        await watched.looked_at()
        drawn[0] = 1.0
        watched.now = NOW + 799.9
        await watched.looked_at()
        assert [] == vendor.sent
        watched.now = NOW + 800
        await landed(keeper, 2)
        watched.now = NOW + 800 + 749.9
        await watched.looked_at()
        assert 1 == len(vendor.sent)
        watched.now = NOW + 800 + 750
        await landed(keeper, 3)
    finally:
        await within(keeper.stop())
