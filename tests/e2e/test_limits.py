"""Sizes and times that callers and upstreams have to keep to: over one there is a clear answer, never a hang (D9)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, Settings
from tests.support.procfs import back_to, descriptors
from tests.support.upstream import LIMIT, Do, Upstream, chunk, reply

MIB = 1 << 20
TIME = 0.6  # seconds of every time limit
HEAD, FIELDS, BODY = 4096, 20, 100_000
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def settings() -> Settings:
    times = (
        "client_header_timeout",
        "client_body_timeout",
        "send_timeout",
        "keepalive_timeout",
        "lingering_timeout",
        "proxy_send_timeout",
        "shutdown_timeout",
    )
    return {
        **dict.fromkeys(times, f"{int(TIME * 1000)}ms"),
        "max_request_headers": HEAD,
        "max_response_headers": HEAD,
        "max_headers_count": FIELDS,
        "client_max_body_size": BODY,
    }


@pytest.fixture(autouse=True)
async def nothing_left(gateway: Gateway, upstream: Upstream) -> AsyncIterator[None]:
    """No test leaves the proxy with a descriptor that it did not have before; the kept upstream connection apart."""
    assert gateway.proxy.process is not None
    before = descriptors(gateway.proxy.process.pid)
    yield
    assert await back_to(gateway.proxy.process.pid, before + 1) <= before + 1


def refused(answer: Answer, status: int) -> bool:
    """Whether it is an answer of the proxy's own, with that status."""
    kinds, told = answer.values(b"content-type"), answer.values(b"proxy-status")
    return (status, [b"application/problem+json"], True) == (answer.status, kinds, bool(told))


async def lasting(caller: Caller) -> float:
    """Seconds until the connection ends in order, with nothing more sent on it."""
    begin = time.monotonic()
    assert b"" == await caller.some()
    return time.monotonic() - begin


@pytest.mark.parametrize("sent", [b"G", b"GET /t/a HTTP/1.1\r\nHost: a\r\n", b"GET /t/a HTTP/1.1\r\nHost: a\r\nX: "])
@pytest.mark.parametrize("again", [False, True], ids=["first", "kept"])
async def test_head_too_slow(gateway: Gateway, upstream: Upstream, sent: bytes, again: bool) -> None:
    """A head that is begun and not ended within `client_header_timeout` is 408, on a kept connection too."""
    async with gateway.caller() as caller:
        if again:
            await caller.send(gateway.head("GET /t/0 HTTP/1.1"))
            await caller.answer()
        await caller.send(sent)
        assert refused(await caller.answer(), 408)
        assert await caller.ended()
    assert [b"/0"] * again == [seen.target for seen in upstream.requests]


async def test_head_in_drops(gateway: Gateway, upstream: Upstream) -> None:
    """The limit is for the whole head: bytes that trickle in do not lengthen it."""
    async with gateway.caller() as caller:
        begin, answer = time.monotonic(), asyncio.create_task(caller.answer())
        await caller.send(b"GET /t/")
        while not answer.done():
            await caller.send(b"a")
            await asyncio.wait([answer], timeout=TIME / 10)
        assert refused(await answer, 408)
        assert TIME * 0.9 <= time.monotonic() - begin < LIMIT
    assert [] == upstream.requests


async def test_nothing_said(gateway: Gateway, upstream: Upstream) -> None:
    """A connection on which nothing is asked is closed in order, without a word."""
    async with gateway.caller() as caller:
        assert await lasting(caller) >= TIME * 0.9


async def test_idle(gateway: Gateway, upstream: Upstream) -> None:
    """A kept connection is closed in order when it was idle for `keepalive_timeout`, and not sooner."""
    async with gateway.caller() as caller:
        for _ in range(4):
            await caller.send(gateway.head("GET /t/a HTTP/1.1"))
            assert 200 == (await caller.answer()).status
            await asyncio.sleep(TIME / 3)  # the pause is what is tried
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await caller.answer()
        assert await lasting(caller) >= TIME * 0.9


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"], ids=["length", "chunked"])
async def test_body_too_slow(gateway: Gateway, upstream: Upstream, framing: bytes) -> None:
    """A body that stops for `client_body_timeout` is 408, and the upstream gets no end of it."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", framing), chunk(b"part") if b"T" in framing else b"part")
        assert refused(await caller.answer(), 408)
        assert await caller.ended()
    await upstream.until(lambda: 0 in upstream.gone)
    assert not upstream.requests[0].whole


async def test_body_in_drops(gateway: Gateway, upstream: Upstream) -> None:
    """A body that goes on now and then may take longer than the limit."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 6"))
        for byte in b"slowly":
            await asyncio.sleep(TIME / 3)  # the pause is what is tried
            await caller.send(bytes([byte]))
        assert 200 == (await caller.answer()).status
    assert b"slowly" == upstream.requests[0].body


async def test_body_too_slow_behind_the_answer(gateway: Gateway, upstream: Upstream) -> None:
    """Where the answer has begun, a body that stops is broken off on both sides."""
    upstream.script([OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"begin"), *reply()])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 100"), b"part")
        await caller.until(b"begin")
        assert not await caller.ended()
    await upstream.until(lambda: 0 in upstream.gone)


@pytest.mark.parametrize("size", [64 * MIB, 6 * MIB], ids=["stream", "rest"])
async def test_answer_not_taken(gateway: Gateway, upstream: Upstream, size: int) -> None:
    """A caller that takes nothing for `send_timeout` is reset; upstream and descriptors are let go of."""
    upstream.script([Do.READ, OK + b"Content-Length: %d\r\n\r\n" % size, *[b"x" * MIB] * (size // MIB)])
    assert gateway.proxy.process is not None
    before = descriptors(gateway.proxy.process.pid)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", gateway.proxy.port))
        await loop.sock_sendall(sock, gateway.head("GET /t/a HTTP/1.1"))
        await upstream.request()
        assert await back_to(gateway.proxy.process.pid, before + 1) <= before + 1


@pytest.mark.parametrize("size", [BODY, BODY + 1])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_body_size(gateway: Gateway, upstream: Upstream, size: int, chunked: bool) -> None:
    """A body of `client_max_body_size` passes; one more byte is 413, and the upstream gets no end of it."""
    body = b"x" * size
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    pieces = [chunk(body[:50_000]), chunk(body[50_000:]), chunk(b"")] if chunked else [body]
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", framing), *pieces)
        answer = await caller.answer()
        assert 200 == answer.status if size == BODY else refused(answer, 413)
    assert [True] * (size == BODY) == [seen.whole for seen in upstream.requests if seen.whole]


async def test_length_too_large(gateway: Gateway, upstream: Upstream) -> None:
    """A length that is too large is 413 before a byte of the body has come, and is not asked for with 100."""
    async with gateway.caller() as caller:
        fields = (b"Content-Length: %d" % (BODY + 1), b"Expect: 100-continue")
        await caller.send(gateway.head("POST /t/a HTTP/1.1", *fields))
        assert refused(await caller.answer(), 413)
    assert [] == upstream.requests


LONG = b"X-Long: " + b"x" * HEAD


@pytest.mark.parametrize(
    "head",
    [
        b"GET /t/" + b"a" * HEAD + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /t/a HTTP/1.1\r\nHost: a\r\n" + LONG + b"\r\n\r\n",
        b"GET /t/a HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * FIELDS + b"\r\n",
        b"GET /t/a HTTP/1.1\r\nHost: a\r\n" + b"x" * HEAD * 2,
        b"GET /t/" + b"a" * HEAD * 2,
        b"G" * HEAD * 2,
    ],
    ids=["target", "field", "fields", "endless name", "endless target", "endless method"],
)
async def test_head_too_large(gateway: Gateway, upstream: Upstream, head: bytes) -> None:
    """A head of more bytes or fields than may be is 431 (what cannot become a head, 400), at once."""
    async with gateway.caller() as caller:
        begin = time.monotonic()
        await caller.send(head)
        answer = await caller.answer()
        assert refused(answer, 400 if head.startswith(b"GG") else 431)
        assert time.monotonic() - begin < TIME
        assert await caller.ended()
    assert [] == upstream.requests


async def test_head_just_small_enough(gateway: Gateway, upstream: Upstream) -> None:
    """A head within both limits passes."""
    fields = [b"X: x"] * (FIELDS - 2)
    answer = await gateway.call("GET /t/a", b"X-Long: " + b"x" * (HEAD - 300), *fields)
    assert 200 == answer.status


async def test_trailers_too_large(gateway: Gateway, upstream: Upstream) -> None:
    """Trailers without end are refused, and the upstream gets no end of the body."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Transfer-Encoding: chunked"), chunk(b"body") + b"0\r\n")
        await caller.send(b"X: x\r\n" * 10_000)  # what comes in one segment with the body is not counted
        assert refused(await caller.answer(), 431)
        assert await caller.ended()
    assert [] == [seen for seen in upstream.requests if seen.whole]


@pytest.mark.parametrize("over", [False, True], ids=["under", "over"])
@pytest.mark.parametrize("kind", ["long", "many"])
async def test_answer_head(gateway: Gateway, upstream: Upstream, kind: str, over: bool) -> None:
    """An answer's head within `max_response_headers` and `max_headers_count` passes; one beyond is 502."""
    long = [b"X-Long: " + b"x" * (HEAD if over else HEAD - 200)]
    many = [b"X: x"] * (FIELDS if over else FIELDS - 1)
    upstream.script(reply(200, *(long if kind == "long" else many)))
    answer = await gateway.call("GET /t/a")
    assert refused(answer, 502) if over else 200 == answer.status


async def test_answer_head_without_end(gateway: Gateway, upstream: Upstream) -> None:
    """An answer's head that never ends is 502 as soon as it is too long."""
    upstream.script([Do.READ, OK, b"X: x\r\n" * HEAD, Do.WATCH])
    assert refused(await gateway.call("GET /t/a"), 502)


async def test_upload_not_taken(gateway: Gateway, upstream: Upstream) -> None:
    """Bodies under the limit never block; an upstream that reads nothing and answers is heard."""
    upstream.script([b"HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n", Do.READ])
    answer = await gateway.post("/t/a", b"x" * BODY)
    assert 507 == answer.status


async def test_lingering(gateway: Gateway, upstream: Upstream) -> None:
    """A caller that goes on sending behind a refusal is taken from; one that is then silent is closed."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /none HTTP/1.1", b"Content-Length: 90000"))
        assert refused(await caller.answer(), 404)
        for _ in range(4):
            await caller.send(b"x" * 1000)
            await asyncio.sleep(TIME / 3)  # the pause is what is tried
        await caller.ended()
