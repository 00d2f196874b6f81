"""What a caller sends: however its bytes are cut, whatever came before, each request is its own and in its order."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadTargetError, MethodNotImplementedError
from proxy.gateway.memo import Memo

from .cutting import cut
from .side import CHUNKED, GET, HOST, POST, UPGRADE, Side, get

PIECE = 16 << 10

EXCHANGES = [
    GET,
    GET + GET,
    b"\r\n\r\n" + GET,
    POST + b"abc",
    POST + b"abc" + GET,
    CHUNKED + b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\n" + GET,
    b"GET /0 HTTP/1.0\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: h\r\nX: caf\xe9 \r\nx: \r\n\r\n" + POST + b"abc",
    b"HEAD /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    GET + b"NONSENSE\r\n\r\n",
    GET + POST + b"abc" + b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    CHUNKED + b"zz\r\n",
]


async def in_parts(side, data, cuts):
    """Feed `data` cut at `cuts`, and take what comes as a connection does: between."""
    found = []
    for part in cut(data, cuts):
        if not side.inbox.closed:
            side.inbox.feed(part)
        if side.inbox.whole or side.inbox.closed:
            found += await side.taken()
    return [BadTargetError if item is MethodNotImplementedError else item for item in found + await side.taken()]


@pytest.mark.parametrize("data", EXCHANGES)
@settings(max_examples=40, deadline=None)
@given(choice=st.data())
def test_bytes_cut_anywhere(data, choice):
    """They make the same requests, bodies and refusals as in one piece, with what others sent before or without."""

    async def compare():
        expected = await in_parts(Side(), data, [])
        cuts = choice.draw(st.lists(st.integers(0, len(data)), max_size=6))
        shared: Any = Memo()
        for _ in range(2):
            assert expected == await in_parts(Side(shared), data, cuts)
            assert expected == await in_parts(Side(shared), data, [])

    asyncio.run(compare())


async def test_pipelined_requests(side):
    """No more than one piece's worth is parsed ahead, and none is read, until the one before is answered."""
    one = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    data = one * (5 * PIECE // len(one))
    side.inbox.feed(data)
    assert not side.wire.reading
    most, count = 0, 0
    while side.inbox.take() is not None:
        count += 1
        most = max(most, len(side.inbox._items))
    assert (len(data) // len(one), True) == (count, side.wire.reading)
    assert most <= PIECE // len(one) + 1


async def test_bytes_after_a_request_that_waits(side):
    """They are kept, unparsed, and reading stops."""
    side.inbox.feed(GET + GET)
    side.inbox.feed(b"NONSENSE")
    assert (False, False) == (side.wire.reading, side.inbox.closed)
    assert [get("/known"), get("/known"), BadTargetError] == await side.taken()
    assert side.wire.reading


async def test_bytes_after_an_upgrade(side):
    """They are for the other protocol, or, if it is not to be, for the next request."""
    side.inbox.feed(UPGRADE + b"early")
    assert "websocket" == side.inbox.take().upgrade
    side.inbox.feed(b" bird")
    assert b"early bird" == side.inbox.rest()
    assert b"" == side.inbox.rest()


@pytest.mark.parametrize("count", [1, 2000])
async def test_request_after_an_upgrade_that_was_not_taken(side, count):
    """It is parsed once that is answered, and not before."""
    side.inbox.feed(UPGRADE)
    side.inbox.take()
    side.inbox.feed(GET * count)
    assert (False, {}) == (side.inbox.fresh, side.known)
    assert [get("/known")] * count == await side.taken()
