"""One connection to an upstream, on a wire without a socket: when it is kept for the next request, and when not."""

import asyncio

import pytest

from proxy.config import Limits, Upstream
from proxy.gateway.body import PassOverError, WholeBody
from proxy.gateway.message import Outbound
from proxy.gateway.transport.deadlines import Deadlines
from proxy.gateway.transport.pool import Pool
from proxy.gateway.transport.stream import Drain, Stream
from proxy.gateway.transport.upstream import Times, UpstreamConnection
from tests.support.gateway import Wire

UPSTREAM = Upstream.parse("http://127.0.0.1:9")
ANSWER = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"


class Parts:
    """A body in parts; after them `ends` is raised."""

    error = None
    replayable = False
    length = 10
    whole = None

    def __init__(self, *parts, ends=None):
        self.parts = parts
        self.ends = ends

    async def rest(self):
        return False

    async def __aiter__(self):
        for part in self.parts:
            yield part
        if self.ends is not None:
            raise self.ends


async def answered(body):
    """Send a request and answer it; give the pool and the wire."""
    wire, limits = Wire(), Limits()
    times = Times(Deadlines(9, UpstreamConnection.expire), Deadlines(9, Stream.expire), Deadlines(9, Drain.expire))

    async def dial():
        connection = UpstreamConnection(UPSTREAM, pool, limits, times)
        connection.connection_made(wire)
        return connection

    pool = Pool(dial, limits, Deadlines(9, UpstreamConnection.idle_too_long))
    connection = await pool.fresh()
    request = asyncio.create_task(connection.request(b"HEAD", Outbound("POST", UPSTREAM, "/", [], body)))
    for _ in range(5):
        await asyncio.sleep(0)
    connection.data_received(ANSWER)
    answer = await request
    assert (401, b"no", True) == (answer.status, answer.at_hand(), answer.ended)
    answer.close()
    return pool, wire


@pytest.mark.parametrize("body", [None, WholeBody(b"0123456789", 10), Parts(b"01234", b"56789")])
async def test_request_that_was_sent_whole(body):
    """Its connection is kept."""
    pool, wire = await answered(body)
    assert (1, 1, []) == (pool.open, pool.idle, wire.ends)


async def test_body_that_cannot_go_on():
    """What it began is not at its end for the upstream: the next request would be read as its rest."""
    pool, wire = await answered(Parts(b"01234", ends=PassOverError("over")))
    assert (0, 0, ["abort"]) == (pool.open, pool.idle, wire.ends)
