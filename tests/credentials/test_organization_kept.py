"""An organization that was found: doubted once a minute at most, and kept or dropped as the tokens change."""

import asyncio

import pytest

from proxy.credentials.answers import Passing, Uncertain
from proxy.credentials.organization import AGAIN
from proxy.credentials.record import Origin
from proxy.errors import ShuttingDownError, UpstreamError, UpstreamReadTimeoutError

from .conftest import listing, over, record, stored, within


@pytest.fixture
async def found(organization):
    """Give one that has been found."""
    await organization.current()
    return organization


async def test_doubt(found, orgs, keeper, open_store):
    """It is looked up again in the background; who comes meanwhile waits, and gets the new one."""
    orgs.keys = ["new"]
    orgs.gate.clear()
    found.doubt("7kQ2f")
    caller = asyncio.create_task(found.current())
    await asyncio.sleep(0)
    assert not caller.done()
    orgs.gate.set()
    assert "new" == await within(caller)
    assert 2 == orgs.asked
    assert "new" == await stored(keeper, open_store)


async def test_doubt_again_and_again(found, orgs, clock):
    """It is looked up once a minute at most."""
    for moved, expected in [(0, 2), (0, 2), (AGAIN - 0.1, 2), (0.1, 3), (AGAIN - 0.1, 3), (0.1, 4)]:
        clock.now += moved
        for _ in range(20):
            found.doubt("7kQ2f")
            await over(found)
        assert expected == orgs.asked


async def test_doubt_that_is_settled_as_it_was(found, orgs, keeper, monkeypatch):
    """Nothing is written."""
    notes = []
    monkeypatch.setattr(keeper._seen, "note", lambda *note: notes.append(note))
    found.doubt("7kQ2f")
    await over(found)
    assert (2, []) == (orgs.asked, notes)


async def test_doubt_after_the_clock_was_set_back(found, orgs, clock):
    """It is looked up all the same."""
    found.doubt("7kQ2f")
    await over(found)
    clock.now -= 3600
    found.doubt("7kQ2f")
    await over(found)
    assert 3 == orgs.asked


async def test_doubt_of_another(found, orgs):
    """A late answer about one that is not kept any more says nothing."""
    found.doubt("gone")
    found.doubt("")
    assert found._under_way() is None
    assert 1 == orgs.asked


@pytest.mark.parametrize(
    "answer",
    [(503, b""), (403, b""), listing("a", "b"), listing(), UpstreamReadTimeoutError("too slow"), RuntimeError("x")],
)
async def test_doubt_that_cannot_be_settled(found, orgs, caplog, answer):
    """What was found before stays in force, and nobody hears of it but the log, which does not show it."""
    orgs.answers = [answer]
    found.doubt("7kQ2f")
    assert "7kQ2f" == await found.current()
    assert "7kQ2f" == await found.current()
    assert 2 == orgs.asked
    assert "the organization of acme" in caplog.text
    assert "7kQ2f" not in caplog.text


@pytest.mark.parametrize("origin", [Origin.IMPORT, Origin.LOGIN, Origin.LOGOUT])
async def test_tokens_that_another_process_brought(found, orgs, keeper, open_store, origin):
    """What was found for the old ones is dropped."""
    orgs.keys = ["new"]
    await (await open_store()).write(record(origin, generation=2))
    await keeper.look_again()
    assert "new" == await found.current()


async def test_tokens_that_another_process_renewed(found, orgs, keeper, keep, open_store):
    """What was found stays."""
    await keeper._seen.settle()
    other = await keep(await open_store())
    await other.replace(1)
    await keeper.look_again()
    assert ((2, "7kQ2f"), (2, "7kQ2f")) == (keeper.grant, other.grant)
    assert "7kQ2f" == await found.current()
    assert 1 == orgs.asked


async def test_what_another_process_found(found, keeper, keep, open_store, orgs, find):
    """It is taken over."""
    other = find(await keep(await open_store()))
    await keeper._seen.settle()
    await other._keeper.look_again()
    assert "7kQ2f" == await other.current()
    assert 1 == orgs.asked


@pytest.mark.parametrize("answer", [listing("old"), (403, b""), (503, b""), listing("a", "b")])
async def test_tokens_that_come_during_a_look_up(organization, orgs, keeper, open_store, answer):
    """What it finds for the old ones, or fails of, is nobody's; it is looked up for the new."""
    orgs.answers = [answer]
    orgs.gate.clear()
    caller = asyncio.create_task(organization.current())
    await within(orgs.entered.wait())
    await (await open_store()).write(record(generation=2))
    await keeper.look_again()
    orgs.gate.set()
    assert "7kQ2f" == await within(caller)
    assert (2, (2, "7kQ2f")) == (orgs.asked, keeper.grant)


async def test_tokens_that_change_again_and_again(organization, orgs, keeper, open_store):
    """A caller does not wait for ever."""
    store = await open_store()

    async def changing(*arguments):
        await store.write(record(generation=keeper.grant[0] + 1))
        await keeper.look_again()
        return await orgs(*arguments)

    organization._ask = changing
    with pytest.raises(UpstreamError, match="again and again"):
        await within(organization.current())
    assert 3 == orgs.asked


@pytest.mark.parametrize(("generation", "outcomes"), [(2, []), (1, [Passing("later")]), (1, [Uncertain("cut off")])])
async def test_exchange_during_a_look_up(organization, vendor, keeper, open_store, generation, outcomes):
    """What is found while an exchange is under way is kept with the tokens that it brings, or does not bring."""
    vendor.answers = outcomes
    vendor.gate.clear()
    exchange = asyncio.create_task(keeper.replace(1))
    await within(vendor.entered.wait())
    assert "7kQ2f" == await within(organization.current())
    vendor.gate.set()
    await within(asyncio.wait([exchange]))
    assert (exchange.exception() is None) is (generation == 2)
    assert (generation, "7kQ2f") == keeper.grant
    assert "7kQ2f" == await stored(keeper, open_store)


async def test_exchange_that_is_being_saved_during_a_look_up(organization, store, keeper, open_store):
    """It is kept then too."""
    write, saving, save = store.write, asyncio.Event(), asyncio.Event()

    async def slow_write(kept):
        if kept.generation > 1:
            saving.set()
            await save.wait()
        await write(kept)

    store.write = slow_write
    exchange = asyncio.create_task(keeper.replace(1))
    await within(saving.wait())
    assert "7kQ2f" == await within(organization.current())
    save.set()
    await within(exchange)
    assert (2, "7kQ2f") == keeper.grant
    assert "7kQ2f" == await stored(keeper, open_store)


async def test_store_that_cannot_be_written(organization, orgs, keeper, store, caplog):
    """It is kept in memory, with a warning."""
    await store.close()
    assert ["7kQ2f"] * 2 == [await organization.current() for _ in range(2)]
    await keeper._seen.settle()
    assert (1, True) == (orgs.asked, "the organization of acme is not saved" in caplog.text)


async def test_stop_during_a_look_up(organization, orgs):
    """It is given up, and callers are told; nothing new is begun."""
    orgs.gate.clear()
    caller = asyncio.create_task(organization.current())
    await within(orgs.entered.wait())
    await within(organization.stop())
    for work in (caller, organization.current()):
        with pytest.raises(ShuttingDownError):
            await within(work)
    assert 1 == orgs.asked


async def test_stop_after_it_was_found(found):
    """Requests under way still get it, and no doubt is looked into."""
    await found.stop()
    assert "7kQ2f" == await found.current()
    found.doubt("7kQ2f")
    assert found._under_way() is None
