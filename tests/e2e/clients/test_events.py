"""Server-sent events: each reaches a real client by itself, before the server has sent the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import requests
from aiohttp import web

from tests.e2e.clients.conftest import Handler, Live
from tests.e2e.clients.programs import WITHIN, environment, program
from tests.support.upstream import LIMIT

COUNT = 10  # events of a stream
FRESH_AND_EXPIRED = pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])

Got = Callable[[], None]
Client = Callable[[str, Path, Got], Awaitable[list[str]]]


async def by_aiohttp(url: str, folder: Path, got: Got) -> list[str]:
    lines = []
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        async for line in answer.content:
            if line.strip():
                lines.append(line.decode().strip())
                got()
    return lines


async def by_requests(url: str, folder: Path, got: Got) -> list[str]:
    loop = asyncio.get_running_loop()

    def read() -> list[str]:
        lines = []
        with requests.get(url, stream=True, timeout=WITHIN) as answer:
            for line in answer.iter_lines(chunk_size=1):
                if line:
                    lines.append(line.decode())
                    loop.call_soon_threadsafe(got)
        return lines

    return await asyncio.to_thread(read)


async def by_curl(url: str, folder: Path, got: Got) -> list[str]:
    lines = []
    process = await asyncio.create_subprocess_exec(
        *(program("curl"), "-sSN", "--max-time", "15", url), stdout=asyncio.subprocess.PIPE, env=environment(folder)
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if line.strip():
            lines.append(line.decode().strip())
            got()
    assert 0 == await process.wait()
    return lines


CLIENTS: dict[str, Client] = {"aiohttp": by_aiohttp, "requests": by_requests, "curl": by_curl}


def events(received: asyncio.Semaphore) -> Handler:
    """A stream that sends an event when the client has got the one before."""

    async def answer(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await stream.prepare(request)
        for number in range(COUNT):
            await stream.write(b"data: %d\n\n" % number)
            await received.acquire()
        return stream

    return answer


@FRESH_AND_EXPIRED
@pytest.mark.parametrize("client", CLIENTS)
async def test_events(live: Live, tmp_path: Path, client: str, expired: bool) -> None:
    """Events arrive one by one while the stream is open."""
    if expired:
        live.grant.expire()
    received = asyncio.Semaphore(0)
    async with asyncio.timeout(LIMIT), live.serving(events(received)):
        lines = await CLIENTS[client](live.url, tmp_path, received.release)
    assert [f"data: {number}" for number in range(COUNT)] == lines
    assert int(expired) == live.grant.exchanges


async def test_reconnecting(live: Live) -> None:
    """A client that comes back after an expiry goes on where it was: what it says of that reaches the server."""
    sent: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Last-Event-ID", ""))
        return web.Response(text=f"id: {len(sent)}\nretry: 1\ndata: x\n\n", content_type="text/event-stream")

    async with asyncio.timeout(LIMIT), live.serving(answer), aiohttp.ClientSession() as session:
        for last in ("", "1", "2"):
            live.grant.expire()
            async with session.get(live.url, headers={"Last-Event-ID": last} if last else {}) as stream:
                assert (200, "text/event-stream") == (stream.status, stream.content_type)
                assert "data: x" in await stream.text()
    assert (["", "1", "2"], 3) == (sent, live.grant.exchanges)


async def test_events_while_the_client_still_sends(live: Live) -> None:
    """Answers to a request that goes on arrive one by one, each before the client sends the next line."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        async for line in request.content:
            await stream.write(b"data: " + line)
        return stream

    async def lines() -> AsyncIterator[bytes]:
        yield b"0\n"
        for number in range(1, COUNT):
            assert b"data: %d\n" % (number - 1) == await heard.get()
            yield b"%d\n" % number

    async with (
        asyncio.timeout(LIMIT),
        live.serving(answer),
        aiohttp.ClientSession() as session,
        session.post(live.url, data=lines()) as stream,
    ):
        async for line in stream.content:
            heard.put_nowait(line)
    assert b"data: %d\n" % (COUNT - 1) == heard.get_nowait()
