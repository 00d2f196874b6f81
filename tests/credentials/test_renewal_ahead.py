"""Renewal ahead of time (T9) of many credentials at once: the core on real sockets, one vendor of two dead."""

import asyncio

import pytest
from aiohttp import web

from proxy.config import Callers, Config, Limits
from proxy.credentials.core import open_core
from proxy.credentials.record import Origin, Tokens
from proxy.secret import Secret

from .conftest import credential, within

AT_ONCE = 4
LIFETIME = 1000.0
MANY, FEW = 12, 3


class Vendors:
    """Two token endpoints: one that answers, one that stays silent until its gate is opened."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.status = 200
        self.url = ""
        self.asked: dict[str, list[str]] = {"silent": [], "quick": []}
        self.in_flight = self.most = 0
        self._news = asyncio.Event()

    async def handle(self, request):
        name = request.match_info["vendor"]
        self.asked[name].append((await request.post())["refresh_token"])
        if name == "silent":
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            self._news.set()
            await self.gate.wait()
            self.in_flight -= 1
        self._news.set()
        return web.json_response({"access_token": "abc", "expires_in": LIFETIME}, status=self.status)

    async def until(self, condition):
        """Wait until something has come that makes `condition` true."""
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def vendors(aiohttp_server):
    made = Vendors()
    app = web.Application()
    app.router.add_post("/{vendor}", made.handle)
    made.url = str((await aiohttp_server(app)).make_url("/"))
    yield made
    made.gate.set()


@pytest.fixture
async def core(vendors, tmp_path, clock):
    """Give a core that was started when every token of both vendors had long been due: a machine slept."""
    names = [("silent", f"silent-{index}") for index in range(MANY)] + [("quick", f"quick-{n}") for n in range(FEW)]
    config = Config(
        path=tmp_path / "config.yaml",
        listen=(),
        admin=(),
        store=tmp_path / "tokens.db",
        spool_dir=tmp_path,
        callers=Callers(),
        credentials={name: credential(name=name, token_url=vendors.url + vendor) for vendor, name in names},
        routes=(),
        limits=Limits(),
    )
    async with open_core(config, clock=clock) as opened:
        for name in config.credentials:
            tokens = Tokens(access_token=Secret("abc"), refresh_token=Secret(f"r-{name}"), expires_in=LIFETIME)
            await opened.put(name, tokens, Origin.IMPORT)
        clock.now += LIFETIME
        opened.start()
        yield opened
        vendors.gate.set()


def generations(core):
    return [health.record.generation for health in core.health()]


async def all_landed(core):
    """Wait until nobody renews any more."""
    async with asyncio.timeout(20):
        while flights := [one._flight for one in core._keepers.values() if one.health().renewing]:
            await asyncio.wait(flights)
            await asyncio.sleep(0)


async def test_many_that_are_due_at_once(core, vendors):
    """Four at a time go to one token endpoint, and all get there, each once."""
    await vendors.until(lambda: vendors.in_flight == AT_ONCE)
    vendors.gate.set()
    await vendors.until(lambda: len(vendors.asked["silent"]) == MANY and vendors.in_flight == 0)
    await all_landed(core)
    assert (AT_ONCE, [2] * (MANY + FEW)) == (vendors.most, generations(core))
    assert sorted(f"r-silent-{index}" for index in range(MANY)) == sorted(vendors.asked["silent"])


async def test_vendor_that_is_dead(core, vendors):
    """It holds up its own renewals, and no other vendor's."""
    await vendors.until(lambda: len(vendors.asked["quick"]) == FEW and vendors.in_flight == AT_ONCE)
    await all_landed_of(core, "quick")
    assert (AT_ONCE, AT_ONCE) == (len(vendors.asked["silent"]), vendors.most)
    assert [1] * MANY + [2] * FEW == generations(core)


async def all_landed_of(core, vendor):
    """Wait until the renewals at one vendor are stored."""
    async with asyncio.timeout(20):
        while any(one.record.generation < 2 for one in core.health() if one.config.name.startswith(vendor)):
            await asyncio.sleep(0)


async def test_renewals_that_fail(core, vendors):
    """They give their turns to the next, and are not made again before their back-off is over."""
    vendors.status = 503
    await vendors.until(lambda: vendors.in_flight == AT_ONCE)
    vendors.gate.set()
    await vendors.until(lambda: len(vendors.asked["silent"]) == MANY and vendors.in_flight == 0)
    await all_landed(core)
    assert (AT_ONCE, MANY) == (vendors.most, len(set(vendors.asked["silent"])))
    assert MANY == len(vendors.asked["silent"])


async def test_rejection_while_others_renew_ahead_of_time(core, vendors):
    """It waits for no turn; and whoever waits for one finds nothing left to do."""
    await vendors.until(lambda: vendors.in_flight == AT_ONCE)
    waiting = next(name for name in core._keepers if name.startswith("silent") and not renewing(core, name))
    caller = asyncio.create_task(core.keeper(waiting).replace(1))
    await vendors.until(lambda: f"r-{waiting}" in vendors.asked["silent"])
    assert AT_ONCE + 1 == vendors.in_flight
    vendors.gate.set()
    assert 2 == (await within(caller)).generation
    await vendors.until(lambda: len(vendors.asked["silent"]) == MANY and vendors.in_flight == 0)
    await all_landed(core)
    assert [2] * (MANY + FEW) == generations(core)
    assert 1 == vendors.asked["silent"].count(f"r-{waiting}")


def renewing(core, name):
    return core.keeper(name).health().renewing


async def test_stop_while_many_wait_for_a_turn(core, vendors):
    """Those whose renewal is under way end it; the others begin none (T3)."""
    await vendors.until(lambda: vendors.in_flight == AT_ONCE)
    await within(core.rest())
    vendors.gate.set()
    await within(core.stop())
    assert AT_ONCE == len(vendors.asked["silent"])
    assert AT_ONCE == generations(core)[:MANY].count(2)
