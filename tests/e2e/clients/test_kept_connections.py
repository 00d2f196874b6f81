"""Kept connections to the server: what is left unread of one answer does not stand in the way of the next."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.conftest import Gateway
from tests.support.upstream import Do, Upstream, reply

LOOKED_AT = (16 << 10) + 1  # bytes of a rejection that are read before the exchange


@pytest.mark.parametrize("unread", [1, 1 << 16, 1 << 18, (1 << 18) + 1, 1 << 20])
async def test_rejection_whose_end_nobody_reads(gateway: Gateway, upstream: Upstream, unread: int) -> None:
    """A long 401, the rest of which comes during the exchange, holds up neither the replay nor later requests."""
    more, exchanged = asyncio.Event(), asyncio.Event()
    upstream.hold_exchange = exchanged
    head = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % (LOOKED_AT + unread)
    upstream.script([Do.READ, head + bytes(LOOKED_AT), more, bytes(unread)], *[reply()] * 5)
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await upstream.until(lambda: upstream.exchanges == 1)
        more.set()
        await upstream.until(lambda: upstream.sent >= len(head) + LOOKED_AT + min(unread, 1))
        assert [200] * 3 == [(await gateway.call("GET /t/b")).status for _ in range(3)]
        exchanged.set()
        assert (200, b"ok") == ((answer := await caller.answer()).status, answer.body)
    assert 200 == (await gateway.call("GET /t/c")).status
