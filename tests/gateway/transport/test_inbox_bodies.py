"""Bodies that callers send: read when somebody wants them, up to a limit, and asked for where a caller waits."""

import asyncio

import pytest

from proxy.errors import ContentTooLargeError
from proxy.gateway.transport.stream import HIGH
from tests.support.gateway import whole

from .side import CHUNKED, GET, HOST, POST, Side


async def test_body_that_nobody_reads(side):
    """Its connection is read no more; it is again when somebody does."""
    side.inbox.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999999\r\n\r\n")
    request = side.inbox.take()
    side.inbox.feed(b"x" * (HIGH - 1))
    assert side.wire.reading
    side.inbox.feed(b"x")
    assert not side.wire.reading
    assert HIGH == len(request.body.at_hand())
    assert side.wire.reading


@pytest.mark.parametrize(("size", "data"), [(3, POST + b"abc"), (3, CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")])
async def test_body_as_large_as_may_be(size, data):
    """It passes; one byte more does not, declared or not, and its connection is at its end."""
    side = Side(client_max_body_size=size)
    side.inbox.feed(data)
    assert [b"abc"] == [item[-1] for item in await side.taken()]
    side = Side(client_max_body_size=size - 1)
    side.inbox.feed(data + GET)
    with pytest.raises(ContentTooLargeError):
        await whole(side.inbox.take().body)
    assert side.inbox.take() is None
    assert side.inbox.closed


async def test_caller_that_waits_for_100(side):
    """It is asked once, when somebody wants its body and it is not there."""
    side.inbox.feed(POST[:-2] + b"Expect: 100-Continue\r\n\r\n")
    request = side.inbox.take()
    assert (True, 0) == (request.expects, side.asked)
    reading = asyncio.create_task(whole(request.body))
    await asyncio.sleep(0)
    assert 1 == side.asked
    side.inbox.feed(b"a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    side.inbox.feed(b"bc")
    assert (b"abc", 1) == (await reading, side.asked)


async def test_caller_that_does_not_wait_for_100(side):
    """It is not asked."""
    side.inbox.feed(POST[:-2] + b"Expect: 100-continue\r\n\r\nabc")
    assert b"abc" == await whole(side.inbox.take().body)
    assert 0 == side.asked
