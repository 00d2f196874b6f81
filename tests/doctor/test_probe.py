"""Probes of an upstream on the loopback: what it answers, and what else may come of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import aiohttp
import pytest

from proxy.config import Upstream
from proxy.doctor.facts import Failure
from tests.support.processes import free_port

from .conftest import DATE, NOW, SHORT, head, see, serving


async def test_an_answer():
    """The date, less half the round trip; and nothing is sent but the question."""
    async with serving(head(301, DATE, b"Location: http://127.0.0.1:1/")) as server:
        seen = await see(server.origin())
    assert (None, 301, None) == (seen.failure, seen.status, seen.certificate_until)
    assert NOW + 0.5 == seen.server_time
    assert seen.asked_at == NOW - seen.seconds / 2
    (asked,) = server.heads
    line, *fields = asked.decode().split("\r\n")
    assert "HEAD / HTTP/1.1" == line
    assert {"Host", "User-Agent", "Accept", "Connection", ""} == {one.partition(":")[0] for one in fields}


async def test_half_the_round_trip_is_taken_off(monkeypatch):
    """A slow answer is no skew: what the clock says when it comes is put back by half the wait.

    No limit but ours counts.
    """
    monkeypatch.setattr("aiohttp.client.DEFAULT_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    async with serving(None, head(200, DATE)) as server:
        probe = asyncio.create_task(see(server.origin()))
        while not server.heads:
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        await asyncio.to_thread(time.sleep, 0.4)
        server.goes_on.set()
        seen = await probe
    assert seen.seconds >= 0.4
    assert time.monotonic() - begun < 5
    assert -0.2 >= seen.asked_at - NOW
    assert seen.asked_at == NOW - seen.seconds / 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], None),
        ([b"Date: soon"], None),
        ([b"Date: Fri, 99 Jan 2027 08:00:00 GMT"], None),
        ([b"date:Fri, 15 Jan 2027 08:05:00 GMT"], 300.5),
        ([DATE, b"Age: 120"], 120.5),
        ([DATE, b"Age: often"], 0.5),
        ([DATE, b"Age: 99999999999999999999"], 0.5),
    ],
)
async def test_date(fields, expected):
    """It is read defensively; what an answer has spent in a cache is added."""
    async with serving(head(200, *fields)) as server:
        seen = await see(server.origin())
    assert expected == (None if seen.server_time is None else seen.server_time - NOW)


async def test_interim_answers_are_passed_over():
    """The answer proper is the one that counts."""
    async with serving(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", head(204, DATE)) as server:
        assert 204 == (await see(server.origin())).status


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"SSH-2.0-OpenSSH_9.6\r\n", None), Failure.NOT_HTTP),
        ((b"HTTP/1.1 200", b"\r\n\r\n"), None),
        ((b"HTTP/1.1 2000 x\r\n\r\n",), Failure.NOT_HTTP),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000 + b"\r\n\r\n",), None),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, None), Failure.NOT_HTTP),
        ((), Failure.CLOSED),
        ((b"HTTP/1.1 200 OK\r\nX: y",), Failure.CLOSED),
    ],
)
async def test_answers_that_are_none(pieces, expected):
    """What is not HTTP is known at once; a connection that ends early is another matter."""
    async with serving(*pieces) as server:
        assert expected is (await see(server.origin())).failure


async def test_a_server_that_speaks_first():
    """A banner that comes before anything was asked is no answer either."""

    async def talk(reader, writer):
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert Failure.NOT_HTTP is (await see(Upstream("http", "127.0.0.1", port))).failure


async def test_a_server_that_never_answers():
    """The limit holds, and it is known that the connection stood."""
    async with serving(None) as server:
        assert Failure.ANSWER_TIMEOUT is (await see(server.origin(), limit=SHORT)).failure


async def test_refused():
    """Nobody listens."""
    assert Failure.REFUSED is (await see(Upstream("http", "127.0.0.1", free_port()))).failure


@contextlib.contextmanager
def black_hole():
    """A port that takes no connection and refuses none: its queue is full, and the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_black_hole(host):
    """The limit holds where nobody answers a connection's first packet, whether a name was looked up or not."""
    with black_hole() as port:
        begun = time.monotonic()
        seen = await see(Upstream("http", host, port), limit=SHORT)
    assert Failure.CONNECT_TIMEOUT is seen.failure
    assert time.monotonic() - begun < 5
