"""How tunnels end: by themselves, long before any limit, and nothing of them is left."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.conftest import Gateway
from tests.support.procfs import back_to, descriptors
from tests.support.upstream import Do, Upstream

ASKS = (b"Connection: Upgrade", b"Upgrade: echo/1")
GRANTS = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"


@pytest.mark.parametrize("first", ["caller", "upstream"])
async def test_both_sides_end_in_order(gateway: Gateway, upstream: Upstream, first: str) -> None:
    """When neither sends any more both connections are closed."""
    assert gateway.proxy.process is not None
    pid = gateway.proxy.process.pid
    before = descriptors(pid)
    hold = asyncio.Event()
    upstream.script([GRANTS, hold, b"bye", Do.CLOSE])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/tunnel HTTP/1.1", *ASKS))
        assert 101 == (await caller.head()).status
        if first == "caller":
            caller.writer.write_eof()
        hold.set()
        assert b"bye" == await caller.until(b"bye")
        assert await caller.ended()
    assert await back_to(pid, before) <= before
