"""Callers beyond `worker_connections`: those for whom nothing is under way give way, those who are served stay (D9)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.conftest import Answer, Caller
from tests.e2e.listener_tls import Tls, listening_tls
from tests.support.procfs import back_to, descriptors
from tests.support.tls import Authority
from tests.support.upstream import LIMIT, Upstream

CALLERS = 70  # more than are looked at for one that gives way
HANDSHAKES = 512  # at a time
FEW = 40  # further connections that may be open: those that are being closed, or told that there are too many
SOON = 3  # seconds, less than `lingering_timeout`


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> AsyncIterator[Tls]:
    """The proxy that all tests of this module share, whose callers have all the time they want."""
    times = {
        "client_header_timeout": "10m",
        "keepalive_timeout": "10m",
        "lingering_timeout": "1m",
        "upstream_keepalive_timeout": "100ms",
    }
    authority = Authority(tmp_path_factory.mktemp("tls"))
    async with listening_tls(authority, listener, worker_connections=CALLERS, **times, shutdown_timeout="1s") as tls:
        yield tls


@pytest.fixture(autouse=True)
async def nothing_left(gateway: Tls, upstream: Upstream) -> AsyncIterator[None]:
    """No test leaves the proxy with a descriptor that it did not have before."""
    before = descriptors(pid(gateway))
    yield
    assert await back_to(pid(gateway), before) <= before


def pid(gateway: Tls) -> int:
    assert gateway.proxy.process is not None
    return gateway.proxy.process.pid


@contextlib.asynccontextmanager
async def callers(gateway: Tls, count: int, said: bytes = b"", port: int = 0) -> AsyncIterator[list[Caller]]:
    """So many connections to the proxy, on each of which that is said."""
    async with contextlib.AsyncExitStack() as stack:
        made = [await stack.enter_async_context(gateway.caller(port or None)) for _ in range(count)]
        for one in made:
            await one.send(said)
        yield made


async def get(gateway: Tls, caller: Caller, *fields: bytes) -> Answer:
    await caller.send(gateway.head("GET /t/a HTTP/1.1", *fields))
    return await caller.answer()


def begun(gateway: Tls) -> bytes:
    """A request whose body is still to come."""
    return gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 2")


@pytest.mark.parametrize("said", [b"", b"G", b"GET /t/a HTTP/1.1\r\nHost: localhost\r\n"], ids=["none", "byte", "most"])
async def test_heads_that_do_not_come(gateway: Tls, said: bytes) -> None:
    """The caller that is longest in sending its head is closed for a new one, which is served; the next stays."""
    async with callers(gateway, CALLERS, said) as slow, gateway.caller() as new:
        assert 200 == (await get(gateway, new)).status
        assert await slow[0].ended()
        head = gateway.head("GET /t/a HTTP/1.1")
        await slow[1].send(head.removeprefix(said) if head.startswith(said) else b"\r\n")
        assert 200 == (await slow[1].answer()).status


async def test_idle_before_slow(gateway: Tls) -> None:
    """A caller that was idle since its last request gives way before one that is in sending its head."""
    async with callers(gateway, CALLERS - 1, b"GET /t/a HTTP/1.1\r\n") as slow, gateway.caller() as idle:
        assert 200 == (await get(gateway, idle)).status
        async with gateway.caller() as new:
            assert 200 == (await get(gateway, new)).status
            assert await idle.ended()
            await slow[0].send(b"Host: localhost\r\n\r\n")
            assert 200 == (await slow[0].answer()).status


ANSWERED = {
    "no route": b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
    "no request": b"NONSENSE\r\n\r\n",
}


@pytest.mark.parametrize("others", [0, 2], ids=["alone", "before others"])
@pytest.mark.parametrize("what", ANSWERED)
async def test_answered_and_still_sending(gateway: Tls, what: str, others: int) -> None:
    """Who has an answer already gives way first, and hides nobody else who can."""
    async with callers(gateway, CALLERS - others, ANSWERED[what]) as done, callers(gateway, others):
        for caller in done:
            assert (await caller.answer()).status in (400, 404)
        for _ in range(3):
            async with gateway.caller() as new:
                assert 200 == (await get(gateway, new)).status


async def test_all_busy(gateway: Tls, upstream: Upstream) -> None:
    """With a request under way on every connection, a further one is 503 and closed, and the others go on."""
    async with callers(gateway, CALLERS, begun(gateway)) as busy:
        await upstream.until(lambda: len(upstream.requests) == CALLERS)
        async with gateway.caller() as late:
            answer = await get(gateway, late)
            assert (503, [b"1"]) == (answer.status, answer.values(b"retry-after"))
            assert await late.ended()
        for caller in busy:
            await caller.send(b"ab")
            assert 200 == (await caller.answer()).status


@pytest.mark.parametrize("idle", [False, True], ids=["first", "later"])
async def test_silent_behind_busy(gateway: Tls, upstream: Upstream, idle: bool) -> None:
    """However many are busy, with their first requests or later ones, one for whom nothing is under way is found."""
    many = CALLERS - 2
    async with callers(gateway, many) as busy, callers(gateway, 2) as others:
        for caller in (*busy, *others) if idle else ():
            assert 200 == (await get(gateway, caller)).status
        served = len(upstream.requests)
        for caller in busy:
            await caller.send(begun(gateway))
        await upstream.until(lambda: len(upstream.requests) == served + many)
        async with gateway.caller() as new:
            assert 200 == (await get(gateway, new)).status
            assert await others[0].ended()


async def test_many_at_once(gateway: Tls) -> None:
    """Whoever comes in one go with more silent callers than there are places is served."""
    process = gateway.proxy.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        async with callers(gateway, 2 * CALLERS), gateway.caller() as new:
            await new.send(gateway.head("GET /t/a HTTP/1.1"))
            process.send_signal(signal.SIGCONT)
            assert 200 == (await new.answer()).status
    finally:
        process.send_signal(signal.SIGCONT)


async def test_handshakes_that_do_not_come(gateway: Tls) -> None:
    """Beside more silent sockets than there may be handshakes, callers who shake hands are served."""
    async with callers(gateway, HANDSHAKES + 200, port=gateway.tls_port):
        for _ in range(5):
            async with gateway.tls_caller() as caller:
                assert 200 == (await get(gateway, caller)).status
        assert descriptors(pid(gateway)) < HANDSHAKES + CALLERS + FEW


@pytest.mark.parametrize("field", [b"Connection: keep-alive", b"Connection: close"], ids=["idle", "done"])
async def test_callers_who_do_not_close(gateway: Tls, field: bytes) -> None:
    """With TLS, callers who ignore that they are told to close take neither places nor files beyond the limit."""
    trust, head = gateway.authority.trust(), gateway.head("GET /t/a HTTP/1.1", field)
    before = descriptors(pid(gateway))

    def answered(stack: contextlib.ExitStack) -> ssl.SSLSocket:
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.tls_port), LIMIT))
        caller = trust.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
        stack.enter_context(caller).sendall(head)
        assert caller.recv(100).startswith(b"HTTP/1.1 200 ")
        return caller

    with contextlib.ExitStack() as stack:
        held = [await asyncio.to_thread(answered, stack) for _ in range(3 * CALLERS)]
        assert descriptors(pid(gateway)) < before + CALLERS + FEW
        async with asyncio.timeout(SOON):
            assert 200 == (await gateway.call("GET /t/a")).status
        assert b"" == await asyncio.to_thread(held[0].recv, 100)  # it was told, and not only cut off
