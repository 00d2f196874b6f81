"""How many connections there may be, to callers and upstreams, and how long idle ones are kept (D9)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, Settings
from tests.support.procfs import back_to, descriptors
from tests.support.resets import reset
from tests.support.upstream import LIMIT, Do, Step, Upstream, reply

CALLERS, CONNECTIONS, PENDING, KEPT = 8, 3, 2, 2
TIME = 0.6  # seconds
AGE = 1.5  # seconds
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxy listens beside its port."""
    return tmp_path_factory.mktemp("unix") / "s"


@pytest.fixture(scope="module")
def settings(socket_path: Path) -> Settings:
    times = ("send_timeout", "lingering_timeout", "upstream_keepalive_timeout", "proxy_connect_timeout")
    return {
        **dict.fromkeys(times, f"{int(TIME * 1000)}ms"),
        "keepalive_timeout": "1s",
        "upstream_keepalive_time": f"{int(AGE * 1000)}ms",
        "shutdown_timeout": "1s",
        "worker_connections": CALLERS,
        "max_connections": CONNECTIONS,
        "max_pending_requests": PENDING,
        "keepalive": KEPT,
        "routes": [{"listen": f"unix:{socket_path}", "credential": "test", "name": "unix"}],
    }


@pytest.fixture(autouse=True)
async def nothing_left(gateway: Gateway, upstream: Upstream) -> AsyncIterator[None]:
    """No test leaves the proxy with a descriptor that it did not have before."""
    assert gateway.proxy.process is not None
    before = descriptors(gateway.proxy.process.pid)
    yield
    assert await back_to(gateway.proxy.process.pid, before) <= before


def refused(answer: Answer, status: int = 503) -> bool:
    """Whether it is an answer of the proxy's own, with that status, that says when to come again."""
    kind, later = answer.values(b"content-type"), answer.values(b"retry-after")
    return (status, [b"application/problem+json"], [b"1"]) == (answer.status, kind, later)


@contextlib.asynccontextmanager
async def callers(gateway: Gateway, count: int) -> AsyncIterator[list[Caller]]:
    """So many connections to the proxy."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(gateway.caller()) for _ in range(count)]


async def get(gateway: Gateway, caller: Caller) -> Answer:
    await caller.send(gateway.head("GET /t/a HTTP/1.1"))
    return await caller.answer()


async def nobody_waits(gateway: Gateway) -> None:
    """Return as soon as no request waits for a connection to the upstream."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(LIMIT):
        while True:
            async with session.get(f"{gateway.proxy.admin_url}/metrics") as response:
                if re.search(r"^bearer_proxy_requests_pending 0(?:\.0)?$", await response.text(), re.MULTILINE):
                    return


async def test_idle_callers_give_way(gateway: Gateway, upstream: Upstream) -> None:
    """With all places taken, the caller that was idle longest is closed in order for a new one, which is served."""
    async with callers(gateway, CALLERS) as old:
        for caller in old:
            assert 200 == (await get(gateway, caller)).status
        async with gateway.caller() as new:
            assert 200 == (await get(gateway, new)).status
            assert b"" == await old[0].some()
            assert 200 == (await get(gateway, old[-1])).status


async def test_connections_to_the_upstream(gateway: Gateway, upstream: Upstream) -> None:
    """Beyond `max_connections` requests wait, in order; beyond `max_pending_requests` they are 503 at once."""
    hold = asyncio.Event()
    upstream.script(*[[Do.READ, hold, *reply()]] * CONNECTIONS)
    async with callers(gateway, CONNECTIONS + PENDING + 1) as all_of_them:
        for caller in all_of_them[:-1]:
            await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await upstream.until(lambda: len(upstream.requests) == CONNECTIONS)
        assert refused(await get(gateway, all_of_them[-1]))
        hold.set()
        assert [200] * (CONNECTIONS + PENDING) == [(await caller.answer()).status for caller in all_of_them[:-1]]
    assert CONNECTIONS == upstream.connections


async def test_waiting_too_long(gateway: Gateway, upstream: Upstream) -> None:
    """A request that waits for a connection for `proxy_connect_timeout` is 503, and those under way go on."""
    hold = asyncio.Event()
    upstream.script(*[[Do.READ, hold, *reply()]] * CONNECTIONS)
    async with callers(gateway, CONNECTIONS + 1) as all_of_them:
        for caller in all_of_them[:-1]:
            await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await upstream.until(lambda: len(upstream.requests) == CONNECTIONS)
        begin = time.monotonic()
        assert refused(await get(gateway, all_of_them[-1]))
        assert TIME * 0.9 <= time.monotonic() - begin < LIMIT
        hold.set()
        assert [200] * CONNECTIONS == [(await caller.answer()).status for caller in all_of_them[:-1]]


async def test_caller_leaves_while_waiting(gateway: Gateway, upstream: Upstream) -> None:
    """A caller that resets while its request waits for a connection gives its place in the queue to another."""
    hold = asyncio.Event()
    upstream.script(*[[Do.READ, hold, *reply()]] * CONNECTIONS)
    async with callers(gateway, CONNECTIONS + PENDING) as busy:
        for caller in busy:
            await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await upstream.until(lambda: len(upstream.requests) == CONNECTIONS)
        for caller in busy[CONNECTIONS:]:
            reset(caller.writer)
        await nobody_waits(gateway)
        async with gateway.caller() as late:
            answer = asyncio.create_task(get(gateway, late))
            await asyncio.wait([answer], timeout=TIME / 3)
            hold.set()
            assert 200 == (await answer).status
    assert CONNECTIONS + 1 == len(upstream.requests)


async def test_connections_lost_while_others_wait(gateway: Gateway, upstream: Upstream) -> None:
    """The place of a connection that breaks goes to a request that waits for one."""
    hold = asyncio.Event()
    broken: list[Step] = [Do.READ, hold, Do.RESET]
    upstream.script(*[broken] * CONNECTIONS)
    async with callers(gateway, CONNECTIONS + PENDING) as all_of_them:
        for caller in all_of_them:
            await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 0"))
        await upstream.until(lambda: len(upstream.requests) == CONNECTIONS)
        hold.set()
        answers = [(await caller.answer()).status for caller in all_of_them]
    assert [502] * CONNECTIONS + [200] * PENDING == answers


async def test_idle_connections_to_the_upstream(gateway: Gateway, upstream: Upstream) -> None:
    """No more than `keepalive` are kept, and those for `upstream_keepalive_timeout`."""
    hold = asyncio.Event()
    upstream.script(*[[Do.READ, hold, *reply()]] * CONNECTIONS)
    async with callers(gateway, CONNECTIONS) as some:
        for caller in some:
            await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await upstream.until(lambda: len(upstream.requests) == CONNECTIONS)
        begin = time.monotonic()
        hold.set()
        for caller in some:
            await caller.answer()
        await upstream.until(lambda: len(upstream.gone) >= CONNECTIONS - KEPT)
        assert CONNECTIONS - KEPT == len(upstream.gone)
        await upstream.until(lambda: len(upstream.gone) == CONNECTIONS)
        assert time.monotonic() - begin >= TIME * 0.9


async def test_old_connections_to_the_upstream(gateway: Gateway, upstream: Upstream) -> None:
    """A connection is used again and again, but none that is older than `upstream_keepalive_time`."""
    begin = time.monotonic()
    async with gateway.caller() as caller:
        while upstream.connections < 2:
            assert 200 == (await get(gateway, caller)).status
            await asyncio.sleep(TIME / 10)  # time is what is tried
            assert time.monotonic() - begin < LIMIT
    assert time.monotonic() - begin >= AGE * 0.9
    assert len(upstream.requests) > 5


@pytest.mark.parametrize("field", [b"X: x", b"Connection: close"], ids=["kept", "last"])
async def test_last_part_of_an_answer_is_not_taken(
    gateway: Gateway, upstream: Upstream, socket_path: Path, field: bytes
) -> None:
    """A caller that leaves the last part of its answer with the proxy is let go of, like any that takes nothing."""
    assert gateway.proxy.process is not None
    before = descriptors(gateway.proxy.process.pid)
    upstream.script(reply(body=b"x" * 400_000))  # more than the kernel takes for it, and that no more than is buffered
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, str(socket_path))
        await loop.sock_sendall(sock, b"GET /a HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")
        await upstream.request()
        assert before == await back_to(gateway.proxy.process.pid, before)


async def test_answer_taken_slowly(gateway: Gateway, upstream: Upstream, socket_path: Path) -> None:
    """A caller that takes a little now and then may take longer than `send_timeout` for what the proxy holds."""
    size, sip = 2 << 20, 20 << 10
    upstream.script(reply(body=b"x" * size))
    begin = time.monotonic()
    caller = Caller(*await asyncio.open_unix_connection(socket_path, limit=sip))
    await caller.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await caller.head()
    while size:
        data = await caller.reader.readexactly(min(sip, size))
        size -= len(data)
        await asyncio.sleep(TIME / 30)  # the pause is what is tried
    await caller.close()
    assert time.monotonic() - begin > 2 * TIME
