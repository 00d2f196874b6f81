"""Bytes pass as soon as they are there, in both directions, and who hangs up is not waited for (D7)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.e2e.conftest import Caller, Gateway, Settings
from tests.support.resets import reset
from tests.support.upstream import LIMIT, PIECE, Do, Upstream, chunk, early, reply

MIB = 1 << 20
FLOOD = 96 * MIB  # bytes; far more than the kernel's buffers hold
ROOM = 48 * MIB  # bytes by which the proxy may grow while a flood passes

FRAMINGS: dict[str, tuple[bytes, bytes, bytes]] = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"first", b"later"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n",
        chunk(b"first"),
        chunk(b"later") + chunk(b""),
    ),
    "close": (b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n", b"first", b"later"),
    "events": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n",
        chunk(b"first"),
        chunk(b"later") + chunk(b""),
    ),
    "gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n", b"first", b"later"),
}


@pytest.fixture(scope="module")
def settings() -> Settings:
    """A caller that has closed its side is soon taken for gone."""
    return {"lingering_timeout": "500ms"}


def memory(gateway: Gateway) -> int:
    """The most memory that the proxy has ever held, in bytes."""
    assert gateway.proxy.process is not None
    status = Path(f"/proc/{gateway.proxy.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def gone(upstream: Upstream, connection: int = 0) -> None:
    """Wait until the proxy has closed a connection."""
    await upstream.until(lambda: connection in upstream.gone)


@pytest.mark.parametrize("name", FRAMINGS)
async def test_first_bytes(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """The first bytes of a body reach the caller before the upstream has sent the rest."""
    head, first, later = FRAMINGS[name]
    received = asyncio.Event()
    upstream.script([Do.READ, head, first, received, later, *([Do.CLOSE] if name == "close" else [])])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1", b"Connection: close"))
        await caller.until(b"first")
        received.set()
        await caller.until(b"later")
        assert await caller.ended()


@pytest.mark.parametrize("name", FRAMINGS)
async def test_head_before_any_byte(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """The head of an answer reaches the caller before the upstream has sent a byte of the body."""
    head, first, later = FRAMINGS[name]
    received = asyncio.Event()
    upstream.script([Do.READ, head, received, first, later, *([Do.CLOSE] if name == "close" else [])])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        answer = await caller.head()
        received.set()
        assert b"firstlater" == (await caller.body(answer)).body


async def test_many_events(gateway: Gateway, upstream: Upstream) -> None:
    """Each event of a stream arrives by itself, while the next is not even sent."""
    received = [asyncio.Event() for _ in range(20)]
    steps = [step for number, event in enumerate(received) for step in (chunk(b"data: %d\n\n" % number), event)]
    upstream.script([Do.READ, FRAMINGS["events"][0], *steps, chunk(b"")])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        for number, event in enumerate(received):
            await caller.until(b"data: %d\n\n" % number)
            event.set()
        await caller.until(b"0\r\n\r\n")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_request_body(gateway: Gateway, upstream: Upstream, chunked: bool) -> None:
    """Each part of a request's body reaches the upstream before the caller has sent the next."""
    async with gateway.caller() as caller:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 300000"
        await caller.send(gateway.head("POST /t/a HTTP/1.1", framing))
        for number in range(3):
            part = b"%d" % number * 100_000
            await caller.send(chunk(part) if chunked else part)
            seen = await upstream.request(body=(number + 1) * 100_000)
        await caller.send(chunk(b"") if chunked else b"")
        assert 200 == (await caller.answer()).status
    assert b"0" * 100_000 + b"1" * 100_000 + b"2" * 100_000 == seen.body


async def test_both_ways_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """An answer that comes while the request goes on passes at once, and does not end the request."""
    upstream.script([FRAMINGS["chunked"][0], chunk(b"first"), Do.READ, chunk(b"later"), chunk(b"")])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Transfer-Encoding: chunked"), chunk(b"one"))
        await caller.until(b"first")
        await caller.send(chunk(b"two"), chunk(b""))
        await caller.until(b"later")
    assert (True, b"onetwo") == (upstream.requests[0].whole, upstream.requests[0].body)


async def test_early_answer(gateway: Gateway, upstream: Upstream) -> None:
    """A refusal that does not wait for the body reaches the caller while it still has more to send."""
    upstream.script(early(reply(413, body=b"too large")))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 1000000"), b"x" * 1000)
        answer = await caller.answer()
    assert (413, b"too large") == (answer.status, answer.body)


async def hang_up(caller: Caller, how: str) -> None:
    """Leave, in order or not."""
    if how == "reset":
        reset(caller.writer)
    await caller.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_caller_hangs_up_before_the_answer(gateway: Gateway, upstream: Upstream, method: str, how: str) -> None:
    """A caller who goes while the upstream is thinking takes the upstream's connection along."""
    upstream.script([Do.READ, Do.WATCH])
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"{method} /t/a HTTP/1.1", b"Content-Length: 4"), b"data")
        await upstream.until(lambda: bool(upstream.requests) and upstream.requests[0].whole)
        await hang_up(caller, how)
        await gone(upstream)
    assert 200 == (await gateway.call("GET /t/b")).status


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_caller_hangs_up_in_the_answer(gateway: Gateway, upstream: Upstream, how: str) -> None:
    """A caller who goes while a silent stream is open takes the upstream's connection along."""
    upstream.script([Do.READ, FRAMINGS["events"][0], chunk(b"first"), Do.WATCH])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await caller.until(b"first")
        await hang_up(caller, how)
        await gone(upstream)
    assert 200 == (await gateway.call("GET /t/b")).status


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_caller_hangs_up_in_the_request(gateway: Gateway, upstream: Upstream, chunked: bool, how: str) -> None:
    """A body that its caller never finishes is never finished for the upstream either."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1000"
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", framing), chunk(b"part") if chunked else b"part")
        seen = await upstream.request(body=4)
        await hang_up(caller, how)
        await gone(upstream)
    assert not seen.whole
    assert 1 == len(upstream.requests)


async def test_caller_hangs_up_during_the_exchange(gateway: Gateway, upstream: Upstream) -> None:
    """A caller who goes after its rejection does not take the exchange along (T3)."""
    hold = asyncio.Event()
    upstream.hold_exchange = hold
    upstream.script(reply(401), reply(401))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await upstream.until(lambda: upstream.exchanges == 1)
        await hang_up(caller, "close")
    other = asyncio.create_task(gateway.call("GET /t/b"))
    await upstream.until(lambda: len(upstream.requests) == 2)
    hold.set()
    assert 200 == (await other).status
    assert (1, upstream.tokens.access) == (upstream.exchanges, upstream.requests[-1].token)


async def test_slow_caller(gateway: Gateway, upstream: Upstream) -> None:
    """A caller who does not read slows the upstream down; the proxy's memory does not grow with the body."""
    before = memory(gateway)
    pieces = [b"x" * MIB] * (FLOOD // MIB)
    upstream.script([Do.READ, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD, *pieces, Do.CLOSE])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await caller.head()
        with contextlib.suppress(TimeoutError):  # with back-pressure the upstream does not get to its end now
            await asyncio.wait_for(gone(upstream), 1)
        async with asyncio.timeout(LIMIT):
            for _ in range(FLOOD // PIECE):
                await caller.reader.readexactly(PIECE)
    assert memory(gateway) - before < ROOM


async def test_slow_upstream(gateway: Gateway, upstream: Upstream) -> None:
    """An upstream that does not read slows the caller down; the proxy's memory does not grow with the body."""
    before, hold = memory(gateway), asyncio.Event()
    upstream.script([hold, *reply()])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: %d" % FLOOD))
        sending = asyncio.create_task(caller.send(*[b"x" * MIB] * (FLOOD // MIB)))
        await asyncio.wait([sending], timeout=1)  # with back-pressure nothing happens now
        assert not sending.done()
        hold.set()
        await sending
        assert 200 == (await caller.answer()).status
    assert FLOOD == len(upstream.requests[0].body)
    assert memory(gateway) - before < ROOM
