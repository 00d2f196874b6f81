"""Big bodies pass with little memory, both ways, and early answers are heard by whoever still sends (D7).

1 GiB passes unless BEARER_PROXY_FLOOD names another number of MiB.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Self

import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, Settings
from tests.support.procfs import back_to, descriptors, forget_peak, peak
from tests.support.upstream import Do, Upstream, chunk, early, reply

MIB = 1 << 20
FLOOD = int(os.environ.get("BEARER_PROXY_FLOOD", "1024")) * MIB  # bytes
ROOM = 16 * MIB  # bytes by which the proxy may grow while a flood passes
PATIENCE = 0.3  # seconds for which a side does nothing
MOST = 64 * MIB  # bytes of what is uploaded in vain
WHOLE = 240.0  # seconds in which a flood must be through
OK = b"HTTP/1.1 200 OK\r\n"
EVENTS = OK + b"Transfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"lingering_timeout": "1s", "shutdown_timeout": "2s", "client_max_body_size": "2g"}


@pytest.fixture(autouse=True)
async def nothing_left(gateway: Gateway, upstream: Upstream) -> AsyncIterator[None]:
    """No test leaves the proxy with a descriptor that it did not have before; the kept upstream connections apart."""
    before = descriptors(pid(gateway))
    yield
    assert await back_to(pid(gateway), before + 2) <= before + 2


def pid(gateway: Gateway) -> int:
    assert gateway.proxy.process is not None
    return gateway.proxy.process.pid


class Endless:
    """A stand-in for the place where an upstream keeps a body: it counts only."""

    def __init__(self) -> None:
        self.size = 0

    def __iadd__(self, data: bytes) -> Self:
        self.size += len(data)
        return self

    def __len__(self) -> int:
        return self.size


async def flood(caller: Caller, framed: Callable[[bytes], bytes]) -> None:
    """Send all that there is to send."""
    piece = framed(b"x" * MIB)
    for _ in range(FLOOD // MIB):
        caller.writer.write(piece)
        await caller.writer.drain()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_slow_caller(gateway: Gateway, upstream: Upstream, chunked: bool) -> None:
    """However much an upstream sends to a caller that takes its time, the proxy holds little of it."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % FLOOD
    piece = chunk(b"x" * MIB) if chunked else b"x" * MIB
    upstream.script([Do.READ, OK + framing + b"\r\n\r\n", *[piece] * (FLOOD // MIB), *[chunk(b"")] * chunked])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await caller.head()
        before = forget_peak(pid(gateway))
        await asyncio.sleep(PATIENCE)  # with back-pressure the upstream does not get to its end now
        sent = upstream.sent
        assert sent < FLOOD
        left = len(piece) * (FLOOD // MIB) if not chunked else 0
        async with asyncio.timeout(WHOLE):
            if chunked:
                while size := int(await caller.reader.readuntil(b"\r\n"), 16):
                    await caller.reader.readexactly(size + 2)
            while left:
                left -= len(await caller.reader.read(min(left, MIB)))
        assert peak(pid(gateway)) - before < ROOM


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_slow_upstream(gateway: Gateway, upstream: Upstream, chunked: bool) -> None:
    """However much a caller sends to an upstream that takes its time, the proxy holds little of it."""
    hold = asyncio.Event()
    upstream.script([hold, *reply()])
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % FLOOD
    async with gateway.caller() as caller:
        before = forget_peak(pid(gateway))
        await caller.send(gateway.head("POST /t/a HTTP/1.1", framing))
        seen = await upstream.request()
        seen.received = Endless()  # type: ignore[assignment]
        sending = asyncio.create_task(flood(caller, chunk if chunked else bytes))
        await asyncio.wait([sending], timeout=PATIENCE)  # with back-pressure nothing happens now
        assert not sending.done()
        hold.set()
        async with asyncio.timeout(WHOLE):
            await sending
            await caller.send(chunk(b"") if chunked else b"")
            assert 200 == (await caller.answer()).status
        assert peak(pid(gateway)) - before < ROOM
    assert (FLOOD, True) == (len(seen.received), seen.whole)


async def test_events(gateway: Gateway, upstream: Upstream) -> None:
    """Each event of a stream arrives by itself, and the next is not even sent before."""
    received = [asyncio.Event() for _ in range(30)]
    steps = [step for number, gate in enumerate(received) for step in (chunk(b"data: %d\n\n" % number), gate)]
    upstream.script([Do.READ, EVENTS, *steps, chunk(b"")])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1", b"Accept: text/event-stream"))
        await caller.head()
        for number, gate in enumerate(received):
            event = b"data: %d\n\n" % number
            assert chunk(event) == await caller.until(event + b"\r\n")
            gate.set()
        assert b"0\r\n\r\n" == await caller.until(b"0\r\n\r\n")


async def test_token_expires_in_a_stream(gateway: Gateway, upstream: Upstream) -> None:
    """A stream that is open while the token is renewed for others goes on."""
    hold = asyncio.Event()
    upstream.script([Do.READ, EVENTS, chunk(b"one"), hold, chunk(b"two"), chunk(b"")], reply(401))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await caller.until(b"one")
        assert 200 == (await gateway.call("GET /t/b")).status
        hold.set()
        await caller.until(b"two")
        await caller.until(b"0\r\n\r\n")
    assert 1 == upstream.exchanges


async def upload_then_read(gateway: Gateway, target: str, *fields: bytes, framed: Callable[[bytes], bytes]) -> Answer:
    """Send all of a big body before the answer is looked at, as many programs do."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"POST {target} HTTP/1.1", *fields))
        await caller.send(*[framed(b"x" * MIB)] * (MOST // MIB))
        return await caller.answer()


UPLOADS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "length": (b"Content-Length: %d" % MOST, bytes),
    "chunked": (b"Transfer-Encoding: chunked", chunk),
}


@pytest.mark.parametrize("framing", UPLOADS)
@pytest.mark.parametrize("target", ["/t/a", "/none"], ids=["upstream's", "ours"])
async def test_early_answer(gateway: Gateway, upstream: Upstream, target: str, framing: str) -> None:
    """A caller that uploads 64 MiB before it reads can read the answer that came at once."""
    upstream.script(early(reply(413, body=b"too large")))
    field, framed = UPLOADS[framing]
    answer = await upload_then_read(gateway, target, field, framed=framed)
    assert (413 if target == "/t/a" else 404) == answer.status
    assert [b"close"] == answer.values(b"connection")


@pytest.mark.parametrize("end", [Do.CLOSE, Do.RESET], ids=["close", "reset"])
async def test_early_answer_and_gone(gateway: Gateway, upstream: Upstream, end: Do) -> None:
    """An upstream that answers early and goes is heard, or its end is told as 502: the caller has an answer anyway."""
    upstream.script([b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno", end])
    answer = await upload_then_read(gateway, "/t/a", UPLOADS["length"][0], framed=bytes)
    assert answer.status in (413, 502)


async def test_early_rejection(gateway: Gateway, upstream: Upstream) -> None:
    """A 401 before the end of a body that is too long to keep is passed on, and the token is renewed all the same."""
    upstream.script(early(reply(401, body=b"no")))
    answer = await upload_then_read(gateway, "/t/a", UPLOADS["length"][0], framed=bytes)
    assert (401, [b"0"]) == (answer.status, answer.values(b"retry-after"))
    assert 1 == upstream.exchanges


async def expecting(gateway: Gateway, caller: Caller, target: str, *before: bytes) -> Answer:
    """The first head that comes when 100 Continue is waited for."""
    fields = (b"Content-Length: 4", b"Expect: 100-continue")
    await caller.send(b"".join(before) + gateway.head(f"POST {target} HTTP/1.1", *fields))
    return await caller.head()


async def test_continue(gateway: Gateway, upstream: Upstream) -> None:
    """Who waits for 100 Continue gets one when its body is wanted, and then the answer."""
    async with gateway.caller() as caller:
        assert 100 == (await expecting(gateway, caller, "/t/a")).status
        await caller.send(b"body")
        assert 200 == (await caller.answer()).status
    assert b"body" == upstream.requests[0].body


async def test_continue_after_a_rejection(gateway: Gateway, upstream: Upstream) -> None:
    """A token that expired costs no second 100 Continue: the body is at hand."""
    upstream.script(reply(401))
    async with gateway.caller() as caller:
        assert 100 == (await expecting(gateway, caller, "/t/a")).status
        await caller.send(b"body")
        assert 200 == (await caller.answer()).status
    assert [b"body", b"body"] == [seen.body for seen in upstream.requests]


async def test_continue_in_a_pipeline(gateway: Gateway, upstream: Upstream) -> None:
    """100 Continue comes behind the answers of the requests before, and before the one it belongs to."""
    async with gateway.caller() as caller:
        first = await expecting(gateway, caller, "/t/b", gateway.head("GET /t/a HTTP/1.1"))
        assert 200 == first.status
        await caller.body(first)
        assert 100 == (await caller.head()).status
        await caller.send(b"body" + gateway.head("GET /t/c HTTP/1.1"))
        assert [200, 200] == [(await caller.answer()).status for _ in range(2)]
    assert [b"/a", b"/b", b"/c"] == [seen.target for seen in upstream.requests]


@pytest.mark.parametrize(("target", "status"), [("/none", 404), ("/t/oauth/x", 403), ("/t/../a", 400)])
async def test_no_continue_before_a_refusal(gateway: Gateway, upstream: Upstream, target: str, status: int) -> None:
    """What is refused by its head is refused at once: nobody asks for the body, and the connection ends in order."""
    async with gateway.caller() as caller:
        answer = await caller.body(await expecting(gateway, caller, target))
        assert (status, [b"close"]) == (answer.status, answer.values(b"connection"))
        assert await caller.ended()
    assert [] == upstream.requests


async def test_no_continue_where_the_body_is_there(gateway: Gateway, upstream: Upstream) -> None:
    """A caller that did not wait is not told to go on."""
    head = gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 4", b"Expect: 100-continue")
    async with gateway.caller() as caller:
        await caller.send(head + b"body")
        assert 200 == (await caller.answer()).status
