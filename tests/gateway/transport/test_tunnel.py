"""Two connections joined: bytes both ways, the ends in the order in which they come, and nothing left open."""

import asyncio
import itertools

import pytest

from proxy.gateway.message import Upgraded
from proxy.gateway.transport.deadlines import Deadlines
from proxy.gateway.transport.tunnel import Tunnel
from tests.support.gateway import Wire

CALLER, UPSTREAM = 0, 1


class Joined:
    """A tunnel between two connections that are played."""

    def __init__(self, *, early=(b"", b""), half_closes=(True, True), closing=(False, False), stalled=60):
        self.wires = [Wire(half_closes=one) for one in half_closes]
        for wire, closed in zip(self.wires, closing, strict=True):
            wire.reading = False
            if closed:
                wire.close()
        self.limit = Deadlines(60, Tunnel.abort)
        self.stalled = Deadlines(stalled, Tunnel.abort)
        ends = [Upgraded(wire, data) for wire, data in zip(self.wires, early, strict=True)]
        self.tunnel = Tunnel(ends[CALLER], ends[UPSTREAM], self.limit, self.stalled)
        self.task = asyncio.create_task(self.tunnel.carry())

    def says(self, side):
        return self.wires[side].protocol

    def lose(self, side, error=None):
        """Tell what a loop tells once a connection is closed."""
        self.says(side).connection_lost(error)

    async def over(self):
        await asyncio.wait_for(self.task, 5)
        assert all(wire.is_closing() for wire in self.wires)
        assert 0 == self.limit.waiting


async def test_bytes():
    """They go to the other side as they are; those to the caller are counted."""
    joined = Joined()
    assert [True, True] == [wire.reading for wire in joined.wires]
    joined.says(CALLER).data_received(b"up")
    joined.says(UPSTREAM).data_received(b"do")
    joined.says(UPSTREAM).data_received(b"wn")
    assert ([b"down", b"up"], 4) == ([wire.written for wire in joined.wires], joined.tunnel.sent)
    for side in (CALLER, UPSTREAM):
        joined.lose(side)
    await joined.over()


async def test_bytes_that_came_before():
    """They go first."""
    joined = Joined(early=(b"a", b"bc"))
    joined.says(CALLER).data_received(b"d")
    assert ([b"bc", b"ad"], 2) == ([wire.written for wire in joined.wires], joined.tunnel.sent)
    joined.tunnel.abort()
    for side in (CALLER, UPSTREAM):
        joined.lose(side)
    await joined.over()


@pytest.mark.parametrize("first", [CALLER, UPSTREAM])
async def test_end_of_one_way(first):
    """It is sent on, and the other way stays open until its own end."""
    joined = Joined()
    assert joined.says(first).eof_received()
    assert ["eof"] == joined.wires[1 - first].ends
    joined.says(1 - first).data_received(b"still")
    assert b"still" == joined.wires[first].written
    assert not joined.says(1 - first).eof_received()  # which closes this side, for nothing comes from either any more
    joined.lose(1 - first)
    assert ["close"] == joined.wires[first].ends
    joined.lose(first)
    await joined.over()


@pytest.mark.parametrize("half_closes", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("first", [CALLER, UPSTREAM])
async def test_end_where_a_side_cannot_be_half_closed(half_closes, first):
    """The end of one way is that of both, as on TLS."""
    joined = Joined(half_closes=half_closes)
    assert not joined.says(first).eof_received()
    assert "eof" not in joined.wires[1 - first].ends
    joined.lose(first)
    assert ["close"] == joined.wires[1 - first].ends
    joined.lose(1 - first)
    await joined.over()


@pytest.mark.parametrize("first", [CALLER, UPSTREAM])
@pytest.mark.parametrize(("error", "expected"), [(None, "close"), (ConnectionResetError(), "abort")])
async def test_connection_that_is_lost(first, error, expected):
    """The other is closed in order, so that what was sent arrives, or broken off as this one broke."""
    joined = Joined()
    joined.lose(first, error)
    await asyncio.sleep(0)
    assert (False, expected) == (joined.task.done(), joined.wires[1 - first].ends[0])
    joined.lose(1 - first)
    await joined.over()


@pytest.mark.parametrize("order", list(itertools.permutations(["eof0", "eof1", "lost0", "lost1"])))
async def test_ends_in_any_order(order):
    """The tunnel ends when both connections are closed."""
    joined = Joined()
    lost = set()
    for step in order:
        assert not joined.task.done()
        side = int(step[-1])
        if step.startswith("eof") and side not in lost:
            joined.says(side).eof_received()
        elif step.startswith("lost"):
            lost.add(side)
            joined.lose(side)
    await joined.over()


@pytest.mark.parametrize("closing", [(True, False), (False, True), (True, True)])
async def test_connection_that_is_closing_already(closing):
    """The other goes with it, and the tunnel ends."""
    joined = Joined(closing=closing, early=(b"a", b"b"))
    for side in (CALLER, UPSTREAM):
        if not closing[side]:
            assert joined.wires[side].is_closing()
            joined.lose(side)
    await joined.over()


async def test_side_that_takes_no_more():
    """The other is read no more until it does."""
    joined = Joined()
    for side in (CALLER, UPSTREAM):
        joined.says(side).pause_writing()
        assert (True, False) == (joined.wires[side].reading, joined.wires[1 - side].reading)
        joined.says(side).resume_writing()
        assert joined.wires[1 - side].reading
    joined.wires[UPSTREAM].close()
    joined.says(CALLER).pause_writing()
    joined.says(CALLER).resume_writing()
    for side in (CALLER, UPSTREAM):
        joined.lose(side)
    await joined.over()


@pytest.mark.parametrize("side", [CALLER, UPSTREAM])
async def test_silence(side):
    """It has a limit, which each byte in either direction begins anew; then both are closed at once."""
    joined = Joined()
    await asyncio.sleep(0)
    assert [joined.tunnel] == list(joined.limit)
    joined.limit.stop(joined.tunnel)
    joined.says(side).data_received(b"x")
    assert [joined.tunnel] == list(joined.limit)
    joined.tunnel.abort()
    assert [["abort"], ["abort"]] == [wire.ends for wire in joined.wires]
    for each in (CALLER, UPSTREAM):
        joined.lose(each)
    await joined.over()


async def test_cancelled():
    """Neither connection outlives it."""
    joined = Joined()
    await asyncio.sleep(0)
    joined.task.cancel()
    await asyncio.wait([joined.task])
    assert [["abort"], ["abort"], 0] == [*(wire.ends for wire in joined.wires), joined.limit.waiting]
    for each in (CALLER, UPSTREAM):
        joined.lose(each)


@pytest.mark.parametrize("side", [CALLER, UPSTREAM])
async def test_side_that_takes_nothing(side):
    """Both connections are broken off when it has taken nothing for as long as it may."""
    joined = Joined(stalled=0.02)
    joined.says(side).pause_writing()
    joined.says(side).resume_writing()
    assert 0 == joined.stalled.waiting
    joined.says(side).pause_writing()
    async with asyncio.timeout(5):
        while not all(wire.is_closing() for wire in joined.wires):
            await asyncio.sleep(0.005)
    for each in (CALLER, UPSTREAM):
        joined.lose(each)
    await joined.over()
