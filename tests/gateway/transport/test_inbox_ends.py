"""How a caller's side ends, and who is told: after what came whole, once, and whether somebody waits or not."""

import pytest

from proxy.errors import BadTargetError, HeadTooLargeError, ProxyLimitError, RequestTimeoutError

from .cutting import pieces
from .side import GET, POST, Side, get


@pytest.mark.parametrize("end", ["refuse", "close"])
async def test_end_in_a_body(side, end):
    """Its reader gets what came, and then the reason; nothing is taken any more."""
    side.inbox.feed(POST + b"ab")
    request = side.inbox.take()
    if end == "refuse":
        side.inbox.refuse(ProxyLimitError("no"))
    else:
        side.inbox.close()
    assert b"ab" == request.body.at_hand()
    with pytest.raises(ProxyLimitError if end == "refuse" else BadTargetError):
        await request.body.read()
    assert side.inbox.take() is None
    assert (True, False, False) == (side.inbox.closed, side.inbox.whole, request.body.ended)


async def test_refusal_between_requests(side):
    """It comes after the requests that came whole, once, and what was kept unparsed is dropped."""
    side.inbox.feed(GET)
    side.inbox.feed(GET)
    side.inbox.refuse(RequestTimeoutError("late"))
    side.inbox.refuse(ProxyLimitError("again"))
    side.inbox.close()
    assert [get("/known"), RequestTimeoutError] == await side.taken()
    assert side.wire.reading


@pytest.mark.parametrize("order", [["feed", "wait"], ["wait", "feed"]])
async def test_waiting(side, order):
    """It ends when there is something to take."""
    for step in order:
        if step == "feed":
            side.inbox.feed(GET)
        elif side.inbox.take() is None:
            waiting = side.inbox.wait()
            assert (True, False) == (side.inbox.waiting, waiting.done())
    if order[0] == "wait":
        assert (False, True) == (side.inbox.waiting, waiting.done())
        assert side.inbox.take() is not None


@pytest.mark.parametrize("end", ["finish", "refuse", "close"])
@pytest.mark.parametrize("first", [True, False])
async def test_end_while_somebody_waits(side, end, first):
    """It is told, also where the end came first."""
    act = {
        "finish": side.inbox.finish,
        "refuse": lambda: side.inbox.refuse(ProxyLimitError("no")),
        "close": side.inbox.close,
    }[end]
    if first:
        waiting = side.inbox.wait()
        act()
        assert waiting.done()
    else:
        act()
        assert end != "finish" or side.inbox.wait().done()
    assert (end == "finish") == (side.inbox.take() is None)


async def test_wait_that_was_cancelled(side):
    """Nothing is lost by it."""
    side.inbox.wait().cancel()
    side.inbox.feed(GET)
    assert [get("/known")] == await side.taken()


@pytest.mark.parametrize("size", [1, 100])
async def test_head_without_end(size):
    """It is refused at the limit, however it is cut, after the requests before it."""
    side = Side(max_request_headers=1000)
    side.inbox.feed(GET)
    found = await side.taken()
    data = b"GET / HTTP/1.1\r\nX: " + b"x" * 2000
    for piece in pieces(data, size):
        if not side.inbox.closed:
            side.inbox.feed(piece)
    assert [get("/known"), HeadTooLargeError] == found + await side.taken()
