"""What a caller sends: however its bytes are cut, whatever came before, each request is its own and in its order."""

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Limits
from proxy.errors import (
    BadTargetError,
    ContentTooLargeError,
    HeadTooLargeError,
    MethodNotImplementedError,
    ProxyLimitError,
    RequestError,
    RequestTimeoutError,
)
from proxy.gateway.memo import Memo
from proxy.gateway.transport.deadlines import Deadlines
from proxy.gateway.transport.inbox import Inbox
from proxy.gateway.transport.stream import HIGH, Stream
from tests.support.gateway import Wire, whole

PIECE = 16 << 10
HOST = b"Host: h\r\n"
GET = b"GET /known HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Side:
    """One caller's side, and what all callers share."""

    def __init__(self, known=None, **limits):
        self.wire = Wire()
        self.asked = 0
        self.known = Memo() if known is None else known
        self.late = Deadlines(60, Stream.expire)
        self.inbox: Any = Inbox(self.wire, Limits(**limits), self.known, self.late, self._ask)

    def _ask(self):
        self.asked += 1

    async def taken(self):
        """Take all there is, bodies read; give each as plain values."""
        found: list[Any] = []
        body: Any
        while (item := self.inbox.take()) is not None:
            if isinstance(item, RequestError):
                found.append(type(item))
                break
            try:
                body = None if item.body is None else await whole(item.body)
            except RequestError as error:
                body = type(error)
            fields = (item.version, item.host, item.length, item.has_body, item.keep_alive, item.expects, item.upgrade)
            found.append((item.method, item.target, [*item.headers], *fields, body))
        return found


@pytest.fixture
async def side():
    return Side()


def get(target, **more):
    """Give what a plain GET is taken as."""
    return ("GET", target, [("Host", "h"), *more.get("headers", [])], "1.1", "h", None, False, True, False, "", None)


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
    bounds = [0, *sorted(cuts), len(data)]
    for begin, end in itertools.pairwise(bounds):
        if begin < end and not side.inbox.closed:
            side.inbox.feed(data[begin:end])
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


# A request that is known.


async def test_request_that_came_before(side):
    """It is the same request, remembered by its bytes; its own things are its own."""
    side.inbox.feed(GET)
    first = side.inbox.take()
    other = Side(side.known)
    other.inbox.feed(GET)
    again = other.inbox.take()
    assert GET == first.raw == again.raw
    assert ("GET", "/known", "h", "1.1", True) == (
        again.method,
        again.target,
        again.host,
        again.version,
        again.keep_alive,
    )
    assert first is not again
    assert first.trail is not again.trail
    assert (1, True, True) == (len(side.known), side.inbox.fresh, other.inbox.fresh)


@pytest.mark.parametrize(
    "before",
    [
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nPOST /theirs HTTP/1.1\r\nX: ",
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nPOST /theirs HTTP/1.1\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nG",
        POST + b"abcPOST /theirs HTTP/1.1\r\nX: ",
        CHUNKED + b"0\r\n\r\nPOST /theirs HTTP/1.1\r\nX: ",
        b"POST /theirs HTTP/1.1\r\nX: ",
        b"POST /theirs HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\n",
        CHUNKED,
        CHUNKED + b"3e7\r\n",
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_request_in_the_middle_of_another(before, known):
    """Its bytes belong to that one; nobody else who sends them later is taken for it."""
    side = Side()
    if known:
        side.inbox.feed(GET)
        side.inbox.take()
    one = Side(side.known)
    one.inbox.feed(before)
    first = one.inbox.take()
    body = getattr(first, "body", None)
    one.inbox.feed(GET)
    rest = one.inbox.take()
    assert "/known" != getattr(rest, "target", None) or body is not None
    if body is not None and not body.ended:
        assert rest is None
    victim = Side(side.known)
    victim.inbox.feed(GET)
    assert [get("/known")] == await victim.taken()


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n", b"\n\n", b"\n\r\n\r\n", b"\r\n\r\n\r\n\r\n"])
async def test_empty_lines_before_a_request(blank):
    """They say nothing (RFC 9112 section 2.2), and are not remembered as the request after them."""
    side = Side()
    side.inbox.feed(blank + b"POST /theirs HTTP/1.1\r\n" + HOST + b"\r\n")
    side.inbox.take()
    other = Side(side.known)
    other.inbox.feed(blank)
    assert other.inbox.take() is None
    other.inbox.feed(GET)
    assert [get("/known")] == await other.taken()


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + b"0\r\n\r\n",
        UPGRADE,
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /" + b"x" * 2048 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h",
        b"NONSENSE\r\n\r\n",
        POST + b"ab",
        GET + GET,
        GET + b"G",
    ],
)
async def test_request_that_is_not_remembered(side, data):
    """What is long, not whole, not alone, or changes the connection is parsed each time."""
    side.inbox.feed(data)
    assert {} == side.known


async def test_body_of_a_known_head():
    """It is the bytes that came with it, none of another's; where not all of it came, it is waited for."""
    known: Any = Memo()
    for expected in (b"abc", b"def"):
        side = Side(known)
        side.inbox.feed(POST + expected)
        assert [expected] == [item[-1] for item in await side.taken()]
    side = Side(known)
    side.inbox.feed(POST + b"g")
    request = side.inbox.take()
    assert not request.body.ended
    side.inbox.feed(b"hi" + GET)
    assert b"ghi" == await whole(request.body)
    assert [get("/known")] == await side.taken()
    side = Side(known)
    side.inbox.feed(POST + b"jklGET")
    assert [b"jkl"] == [item[-1] for item in await side.taken()]
    assert not side.inbox.fresh


async def test_known_head_whose_body_is_too_large():
    """It is refused each time."""
    known: Any = Memo()
    for _ in range(3):
        side = Side(known, client_max_body_size=2)
        side.inbox.feed(POST + b"abc")
        with pytest.raises(ContentTooLargeError):
            await whole(side.inbox.take().body)
        assert side.inbox.closed


# Requests that do not wait for their answers.


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


# Bodies.


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


# Ends.


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
    for begin in range(0, len(data), size):
        if not side.inbox.closed:
            side.inbox.feed(data[begin : begin + size])
    assert [get("/known"), HeadTooLargeError] == found + await side.taken()
