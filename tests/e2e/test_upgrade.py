"""Tunnels: what follows a request for another protocol and the upstream's 101, or what the upstream says instead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, Settings, listening, running
from tests.support.procfs import back_to, descriptors, forget_peak, peak
from tests.support.resets import reset
from tests.support.upstream import LIMIT, reply

MIB = 1 << 20
TIME = 0.6  # seconds
ASKS = (b"Connection: Upgrade", b"Upgrade: echo/1")
GRANTS = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
FLOOD = 64 * MIB  # bytes
ROOM = 16 * MIB  # bytes by which the proxy may grow


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {"lingering_timeout": "500ms", "tunnel_timeout": f"{int(TIME * 1000)}ms", "shutdown_timeout": "10s"}


class Peers:
    """The upstream's end of each connection, as raw as a caller's; the token endpoint answers by itself."""

    def __init__(self, gateway: Gateway) -> None:
        self._tokens = gateway.tokens
        self._come: asyncio.Queue[tuple[Caller, Answer]] = asyncio.Queue()
        self._all: list[Caller] = []
        self.exchanges = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        peer = Caller(reader, writer)
        self._all.append(peer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            head = await peer.head()
            if not head.line.startswith(b"POST /token "):
                self._come.put_nowait((peer, head))
                return
            body = await reader.readexactly(int(head.values(b"content-length")[0]))
            self.exchanges += 1
            await peer.send(*[step for step in self._tokens.answer(body) if isinstance(step, bytes)])

    async def next(self) -> tuple[Caller, Answer]:
        """The next connection with the head of its first request."""
        async with asyncio.timeout(LIMIT):
            return await self._come.get()

    async def close(self) -> None:
        for peer in self._all:
            peer.writer.transport.abort()
            await peer.close()


@contextlib.asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[Peers]:
    """Peers while the context is open."""
    peers = Peers(gateway)
    server = await asyncio.start_server(peers.take, sock=gateway.listener.dup(), limit=MIB)
    try:
        yield peers
    finally:
        server.close()
        await peers.close()


@pytest.fixture
async def peers(gateway: Gateway) -> AsyncIterator[Peers]:
    """The upstream's side; when it is gone, the proxy has no more descriptors than before."""
    assert gateway.proxy.process is not None
    before = descriptors(gateway.proxy.process.pid)
    async with serving(gateway) as peers:
        yield peers
    assert await back_to(gateway.proxy.process.pid, before) <= before


def asking(gateway: Gateway, target: str = "/t/a") -> bytes:
    """A request for another protocol."""
    return gateway.head(f"GET {target} HTTP/1.1", *ASKS)


@contextlib.asynccontextmanager
async def tunnel(gateway: Gateway, peers: Peers) -> AsyncIterator[tuple[Caller, Caller]]:
    """Both ends of a tunnel."""
    async with gateway.caller() as caller:
        await caller.send(asking(gateway))
        peer, _ = await peers.next()
        await peer.send(GRANTS)
        assert 101 == (await caller.head()).status
        yield caller, peer


async def test_heads(gateway: Gateway, peers: Peers) -> None:
    """What asks for a protocol and what grants it pass, the token goes along, other hop-by-hop fields do not."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1", b"Connection: upgrade, x-mine", b"X-Mine: 1", ASKS[1]))
        peer, asked = await peers.next()
        await peer.send(GRANTS[:-2] + b"X-More: 1\r\n\r\n")
        granted = await caller.head()
    assert [b"upgrade"] == [value.lower() for value in asked.values(b"connection")]
    assert ([b"echo/1"], []) == (asked.values(b"upgrade"), asked.values(b"x-mine"))
    assert [b"Bearer " + gateway.tokens.access] == asked.values(b"authorization")
    assert ([b"echo/1"], [b"1"]) == (granted.values(b"upgrade"), granted.values(b"x-more"))
    assert [b"upgrade"] == [value.lower() for value in granted.values(b"connection")]


async def test_bytes_right_behind_the_heads(gateway: Gateway, peers: Peers) -> None:
    """What either side sends in one segment with its head arrives, the caller's only behind the 101."""
    async with gateway.caller() as caller:
        await caller.send(asking(gateway) + b"GET /early HTTP/1.1\r\n\r\n\x00\xff")
        peer, _ = await peers.next()
        assert not peer.reader._buffer  # type: ignore[attr-defined]
        await peer.send(GRANTS + b"\x00at once")
        assert 101 == (await caller.head()).status
        assert b"\x00at once" == await caller.until(b"once")
        assert b"GET /early HTTP/1.1\r\n\r\n\x00\xff" == await peer.until(b"\xff")


async def test_both_ways(gateway: Gateway, peers: Peers) -> None:
    """Each byte passes as soon as it is there, whatever it is."""
    async with tunnel(gateway, peers) as (caller, peer):
        for number in range(100):
            data = bytes([number, 255, 13, 10, 0])
            await caller.send(data)
            assert data == await peer.reader.readexactly(5)
            await peer.send(data[::-1])
            assert data[::-1] == await caller.reader.readexactly(5)


async def test_refusal(gateway: Gateway, peers: Peers) -> None:
    """An upstream that does not change the protocol is heard, and both connections go on, pipelined requests too."""
    async with gateway.caller() as caller:
        await caller.send(asking(gateway) + gateway.head("GET /t/b HTTP/1.1"))
        peer, _ = await peers.next()
        await peer.send(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno")
        answer = await caller.answer()
        assert (426, b"no") == (answer.status, answer.body)
        assert (await peer.head()).line.startswith(b"GET /b ")
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert b"ok" == (await caller.answer()).body


async def test_renewal(gateway: Gateway, peers: Peers) -> None:
    """A token that expired is renewed, and the protocol asked for again with the new one."""
    async with gateway.caller() as caller:
        await caller.send(asking(gateway) + b"early")
        peer, _ = await peers.next()
        await peer.send(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        again, asked = await peers.next()
        assert [b"Bearer " + gateway.tokens.access] == asked.values(b"authorization")
        assert [b"echo/1"] == asked.values(b"upgrade")
        await again.send(GRANTS)
        assert 101 == (await caller.head()).status
        assert b"early" == await again.until(b"early")
    assert 1 == peers.exchanges


@pytest.mark.parametrize("fields", [(), (*ASKS, b"Content-Length: 2"), (b"Upgrade: echo/1",)], ids=["", "body", "half"])
async def test_nobody_asked(gateway: Gateway, peers: Peers, fields: tuple[bytes, ...]) -> None:
    """A 101 to a request that did not ask for another protocol is 502, and its connection is closed."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", *fields), b"hi" if len(fields) > 1 else b"")
        peer, asked = await peers.next()
        assert [] == asked.values(b"upgrade")
        await peer.send(GRANTS)
        answer = await caller.answer()
        assert (502, [b"application/problem+json"]) == (answer.status, answer.values(b"content-type"))
        await peer.ended()


async def test_http_1_0_does_not_ask(gateway: Gateway, peers: Peers) -> None:
    """A caller of HTTP/1.0 cannot change the protocol: the field does not pass (RFC 9110 section 7.8)."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.0", *ASKS))
        peer, asked = await peers.next()
        assert [] == asked.values(b"upgrade")
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert b"ok" == (await caller.answer()).body


@pytest.mark.parametrize("first", ["caller", "upstream"])
async def test_closing(gateway: Gateway, peers: Peers, first: str) -> None:
    """One side ends, the other says its last and ends too: both see all of it, and an end in order."""
    async with tunnel(gateway, peers) as ends:
        one, other = ends if first == "caller" else reversed(ends)
        await one.send(b"bye")
        one.writer.write_eof()
        assert b"bye" == await other.until(b"bye")
        assert b"" == await other.some()
        await other.send(b"and bye")
        other.writer.write_eof()
        assert b"and bye" == await one.until(b"and bye")
        assert await one.ended()


@pytest.mark.parametrize("first", ["caller", "upstream"])
async def test_breaking(gateway: Gateway, peers: Peers, first: str) -> None:
    """A side that resets ends the tunnel for the other too."""
    async with tunnel(gateway, peers) as ends:
        one, other = ends if first == "caller" else reversed(ends)
        reset(one.writer)
        await other.ended()


@pytest.mark.parametrize("way", ["down", "up"])
async def test_back_pressure(gateway: Gateway, peers: Peers, way: str) -> None:
    """A side that does not read slows the other down; the proxy's memory does not grow."""
    assert gateway.proxy.process is not None
    pid = gateway.proxy.process.pid
    async with tunnel(gateway, peers) as (caller, peer):
        reader, writer = (caller, peer) if way == "down" else (peer, caller)
        before = forget_peak(pid)
        sending = asyncio.create_task(writer.send(*[b"x" * MIB] * (FLOOD // MIB)))
        await asyncio.wait([sending], timeout=TIME / 2)
        assert not sending.done()
        for _ in range(FLOOD // MIB):
            await reader.reader.readexactly(MIB)
        await sending
        assert peak(pid) - before < ROOM


@pytest.mark.parametrize("count", [0, 3])
async def test_silence(gateway: Gateway, peers: Peers, count: int) -> None:
    """A tunnel ends when nothing went through for `tunnel_timeout`, and not while something does."""
    async with tunnel(gateway, peers) as (caller, peer):
        for _ in range(count):
            await asyncio.sleep(TIME / 2)  # the pause is what is tried
            await peer.send(b"x")
            assert b"x" == await caller.some()
        begin = time.monotonic()
        await asyncio.gather(caller.ended(), peer.ended())
        assert time.monotonic() - begin >= TIME * 0.8


async def test_shutdown(tmp_path: Path) -> None:
    """A proxy that is told to stop does not wait for open tunnels."""
    with listening() as listener:
        async with (
            running(tmp_path, listener, {"shutdown_timeout": "10s"}) as gateway,
            serving(gateway) as peers,
            tunnel(gateway, peers) as (caller, peer),
        ):
            begin = time.monotonic()
            assert 0 == await gateway.proxy.stop()
            assert time.monotonic() - begin < 5
            await asyncio.gather(caller.ended(), peer.ended())


async def test_tunnel_counts_no_upstream_place(gateway: Gateway, peers: Peers) -> None:
    """Beside an open tunnel other requests go on."""
    async with tunnel(gateway, peers), gateway.caller() as other:
        await other.send(gateway.head("GET /t/b HTTP/1.1"))
        peer, _ = await peers.next()
        await peer.send(*[step for step in reply() if isinstance(step, bytes)])
        assert 200 == (await other.answer()).status
