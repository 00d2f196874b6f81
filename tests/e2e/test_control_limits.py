"""The control plane before callers who take their time, or all of its places: it stays open for others (D9)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Caller, Gateway, Settings, running
from tests.e2e.test_reload import reloaded
from tests.support.upstream import LIMIT

PLACES = 512
KEY = "the-key-of-the-operator"
BODY_BEGUN = b"POST /callback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\nx"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
PIECE_EVERY = 0.05  # seconds: far oftener than any time limit


@pytest.fixture(scope="module")
def settings() -> Settings:
    times = dict.fromkeys(("client_header_timeout", "client_body_timeout", "keepalive_timeout"), "1s")
    return {**times, "shutdown_timeout": "1s", "admin_key": KEY}


@contextlib.asynccontextmanager
async def connected(gateway: Gateway, count: int, begun: bytes) -> AsyncIterator[list[Caller]]:
    """So many connections to the control plane, each with something sent."""
    async with contextlib.AsyncExitStack() as stack:
        callers = []
        for _ in range(count):
            caller = await stack.enter_async_context(gateway.caller(gateway.proxy.admin_port))
            await caller.send(begun)
            callers.append(caller)
        yield callers


async def dripping(caller: Caller) -> None:
    """Send a byte now and then until the connection is gone."""
    with contextlib.suppress(ConnectionError):
        while True:
            await caller.send(b"x")
            await asyncio.sleep(PIECE_EVERY)


@contextlib.asynccontextmanager
async def drips(caller: Caller) -> AsyncIterator[None]:
    """Go on sending bytes meanwhile."""
    sending = asyncio.create_task(dripping(caller))
    try:
        yield
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def health(gateway: Gateway) -> int:
    async with gateway.caller(gateway.proxy.admin_port) as caller:
        await caller.send(HEALTH)
        return (await caller.answer()).status


async def test_slow_form(gateway: Gateway) -> None:
    """Its time is for the whole of it: one whose bytes keep coming is 408 too."""
    async with connected(gateway, 1, BODY_BEGUN) as (caller,), drips(caller):
        answer = await caller.answer()
    assert (408, b"this form did not come in time\n") == (answer.status, answer.body)
    assert [b"close"] == answer.values(b"connection")


@pytest.mark.parametrize("answered", [0, 1, 2])
async def test_slow_head(gateway: Gateway, answered: int) -> None:
    """The first head and every later one have a time in all: who sends a byte now and then is cut off."""
    async with connected(gateway, 1, b"") as (caller,):
        for _ in range(answered):
            await caller.send(HEALTH)
            assert 200 == (await caller.answer()).status
        await caller.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        async with drips(caller), asyncio.timeout(LIMIT):
            with contextlib.suppress(ConnectionError):
                assert b"" == await caller.some()


@pytest.mark.parametrize("begun", [b"", b"GET /he", BODY_BEGUN, HEALTH], ids=["nothing", "head", "body", "idle"])
async def test_all_places_taken(tmp_path: Path, listener: socket.socket, begun: bytes) -> None:
    """The connection that has been waiting longest for its caller gives way, long before its time is over."""
    settings = {"shutdown_timeout": "1s"}
    async with running(tmp_path, listener, settings) as patient, connected(patient, PLACES, begun):
        assert [200] * 3 == [await health(patient) for _ in range(3)]


async def test_unknown_expectation(gateway: Gateway) -> None:
    """It is 417, in our own words: what was expected is not repeated."""
    async with connected(gateway, 1, HEALTH.replace(b"\r\n\r\n", b"\r\nExpect: c4nary\r\n\r\n")) as (caller,):
        answer = await caller.answer()
    assert (417, b"no other expectation than 100-continue is met\n") == (answer.status, answer.body)
    assert "c4nary" not in gateway.proxy.log


async def guess(gateway: Gateway, key: str) -> int:
    head = f"GET /api/credentials HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    async with connected(gateway, 1, head.encode()) as (caller,):
        return (await caller.answer()).status


async def test_guesses_across_a_reload(gateway: Gateway) -> None:
    """Who has guessed too often stays slowed."""
    while await guess(gateway, "wrong") != 429:
        pass
    await reloaded(gateway.proxy)
    assert 429 in [await guess(gateway, "wrong") for _ in range(3)]


async def test_nothing_unforeseen(gateway: Gateway) -> None:
    """A caller who goes away, or is sent away, is no failure that the log tells of."""
    async with connected(gateway, 1, BODY_BEGUN):
        pass
    assert 200 == await health(gateway)
    assert [] == [text for text in ("Traceback", "not foreseen") if text in gateway.proxy.log]
