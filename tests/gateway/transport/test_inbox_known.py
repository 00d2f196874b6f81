"""A request whose bytes came before: it is remembered, and nothing of one caller becomes another's."""

from typing import Any

import pytest

from proxy.errors import ContentTooLargeError
from proxy.gateway.memo import Memo
from tests.support.gateway import whole

from .side import CHUNKED, GET, HOST, POST, UPGRADE, Side, get


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
    assert {} == side.known
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
