"""Probes against real servers on the loopback: each step of the way fails in its own way."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import trustme

from proxy.config import Address, Upstream
from proxy.doctor.facts import Failure, Holder
from proxy.doctor.probe import see_addresses, see_origin
from tests.support.processes import free_port

from .conftest import DATE, NOW, PATIENCE, head, serving

ROOT = Path(__file__).parents[2]
SHORT = 0.3  # seconds, for what never ends


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def presenting(ca: trustme.CA, name: str = "127.0.0.1", *, begins: float = -10, ends: float = 90) -> ssl.SSLContext:
    """A server's context whose certificate begins and ends so many days from now."""
    now = dt.datetime.now(dt.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(
        name, not_before=now + dt.timedelta(days=begins), not_after=now + dt.timedelta(days=ends)
    ).configure_cert(context)
    return context


async def see(upstream: Upstream, context: ssl.SSLContext | None = None, limit: float = PATIENCE):
    return await see_origin(upstream, limit, context or ssl.create_default_context(), clock=lambda: NOW)


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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_one_of_two_addresses_is_enough(monkeypatch, host):
    """A name with an IPv6 and an IPv4 address is reached where only one of them answers."""
    real = socket.getaddrinfo

    def both(_, port, **how):
        return [found for one in ("::1", "127.0.0.1") for found in real(one, port, **how)]

    async with serving(head(), host=host) as server:
        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert 200 == (await see(server.origin(host="two.example"))).status


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "canary"), Failure.NO_ADDRESS),
        (socket.gaierror(socket.EAI_NODATA, "canary"), Failure.NO_ADDRESS),
        (socket.gaierror(socket.EAI_AGAIN, "canary"), Failure.LOOK_UP_FAILED),
        (socket.gaierror(socket.EAI_FAIL, "canary"), Failure.LOOK_UP_FAILED),
        (UnicodeError("label too long"), Failure.NO_ADDRESS),
    ],
)
async def test_look_up_that_fails(monkeypatch, error, expected):
    """A name without an address is another matter than a DNS server that does not answer."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert expected is (await see(Upstream("https", "acme.example", 443))).failure


def test_look_up_that_never_ends():
    """The limit holds, and the command can end while the look-up still hangs."""
    program = """
import asyncio, socket, ssl, threading
from proxy.config import Upstream
from proxy.doctor.probe import see_origin

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
upstream, context = Upstream("https", "acme.example", 443), ssl.create_default_context()
print(asyncio.run(see_origin(upstream, 0.3, context)).failure.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert ("LOOK_UP_TIMEOUT\n", "") == (done.stdout, done.stderr)


async def test_look_up_that_ends_late(monkeypatch):
    """Nobody waits for its result any more, and nothing is said of that."""
    goes_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: goes_on.wait(PATIENCE) and [])
    before = set(threading.enumerate())
    assert Failure.LOOK_UP_TIMEOUT is (await see(Upstream("https", "acme.example", 443), limit=SHORT)).failure
    (thread,) = set(threading.enumerate()) - before
    goes_on.set()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()


async def test_a_good_certificate(ca, trusting):
    """It is known how long it lasts."""
    async with serving(head(), tls=presenting(ca, ends=20)) as server:
        seen = await see(server.origin("https"), trusting)
    assert (None, 200) == (seen.failure, seen.status)
    assert 19.9 < (seen.certificate_until - time.time()) / 86400 < 20.1


@pytest.mark.parametrize(
    ("name", "days", "expected"),
    [
        ("127.0.0.1", {"begins": -10, "ends": -1}, Failure.EXPIRED),
        ("127.0.0.1", {"begins": 1, "ends": 10}, Failure.NOT_YET_VALID),
        ("127.0.0.2", {}, Failure.WRONG_NAME),
        ("other.example", {}, Failure.WRONG_NAME),
    ],
)
async def test_a_bad_certificate(ca, trusting, name, days, expected):
    """It is said which way it is bad, and nothing is asked."""
    async with serving(head(), tls=presenting(ca, name, **days)) as server:
        assert expected is (await see(server.origin("https"), trusting)).failure
    assert [] == server.heads


async def test_a_certificate_for_another_host_name(ca, trusting):
    """A name that the certificate does not have is told as such."""
    async with serving(head(), tls=presenting(ca, "other.example")) as server:
        assert Failure.WRONG_NAME is (await see(server.origin("https", "localhost"), trusting)).failure


async def test_an_authority_that_nobody_trusts(ca):
    """The CA is good, but not this machine's."""
    async with serving(head(), tls=presenting(ca)) as server:
        assert Failure.UNTRUSTED is (await see(server.origin("https"))).failure
    assert [] == server.heads


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_tls_with_garbage(said):
    """What answers a handshake with something else, or ends it, fails it at once."""

    async def talk(reader, writer):
        await reader.read(1)
        writer.write(said)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert Failure.TLS_FAILED is (await see(Upstream("https", "127.0.0.1", port))).failure


async def test_tls_that_never_comes():
    """A server that says nothing is known to have failed before there was a connection to ask on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = await see(Upstream("https", "127.0.0.1", listener.getsockname()[1]), limit=SHORT)
    assert Failure.CONNECT_TIMEOUT is seen.failure


async def holders(admin=(), listen=()):
    config: Any = SimpleNamespace(admin=tuple(admin), listen=tuple(listen), routes=())
    return [one.holder for one in await see_addresses(config)]


async def test_nobody_listens():
    """A free port, a unix socket that is not there and a dead one; a port that is chosen later is not looked at."""
    free = Address("127.0.0.1", free_port())
    assert [Holder.NOBODY] * 2 == await holders([free], [Address(path="/nowhere/at/all.sock"), Address("localhost", 0)])


async def test_a_dead_unix_socket(tmp_path: Path):
    """A name that nobody listens at any more is nobody."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert [Holder.NOBODY] == await holders(listen=[Address(path=path)])


async def test_a_unix_socket_of_another_user(monkeypatch):
    """Who listens there is hidden from this one."""

    async def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "canary")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", refuse)
    assert [Holder.HIDDEN] == await holders(listen=[Address(path="/hidden.sock")])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (head(400, b'Proxy-Status: bearer-proxy; error=x; details="y"'), Holder.OURS),
        (head(400, b"Proxy-Status: squid; error=x"), Holder.ANOTHER),
        (head(200), Holder.ANOTHER),
        (b"220 mail.example ESMTP\r\n", Holder.ANOTHER),
        (b"", Holder.ANOTHER),
        (None, Holder.SILENT),
    ],
)
async def test_who_holds_the_data_plane(monkeypatch, answer, expected):
    """Only what signs its refusals is ours."""
    monkeypatch.setattr("proxy.doctor.probe._LOCAL_LIMIT", SHORT if answer is None else PATIENCE)
    async with serving(answer) as server:
        assert [expected] == await holders(listen=[Address("*", server.port)])
    assert all(one.startswith(b"GET /.. HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port) for one in server.heads)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b'{"status": "ok"}', 200, Holder.OURS),
        (b'{"status": "fine"}', 200, Holder.ANOTHER),
        (b"ok", 200, Holder.ANOTHER),
        (b"\xff", 200, Holder.ANOTHER),
        (b"[" * 4000, 200, Holder.ANOTHER),
        (b"", 200, Holder.ANOTHER),
        (b'{"status": "ok"}', 503, Holder.ANOTHER),
        (b'{"status": "ok"}'.ljust(4095), 200, Holder.OURS),
        (b'{"status": "ok"}'.ljust(4096), 200, Holder.ANOTHER),
    ],
)
async def test_who_holds_the_control_plane(body, status, expected):
    """Only what says of itself what ours says, and not more, is ours."""
    answer = b"HTTP/1.1 %d Fine\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
    async with serving(answer) as server:
        assert [expected] == await holders(admin=[Address("127.0.0.1", server.port)])


async def test_a_control_plane_that_never_ends(monkeypatch):
    """What does not say how long it is, is not read."""
    monkeypatch.setattr("proxy.doctor.probe._LOCAL_LIMIT", PATIENCE)
    async with serving(b'HTTP/1.1 200 Fine\r\n\r\n{"status": "ok"}', None) as server:
        assert [Holder.ANOTHER] == await holders(admin=[Address("127.0.0.1", server.port)])


@pytest.mark.parametrize(("status", "expected"), [(200, Holder.OURS), (503, Holder.NOT_READY)])
async def test_a_control_plane_at_a_unix_socket(tmp_path: Path, status, expected):
    """It is asked there, and whether it is ready."""

    async def answer(reader, writer):
        health = (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /healthz ")
        body = b'{"status": "ok"}' if health else b""
        writer.write(b"HTTP/1.1 %d Fine\r\nContent-Length: %d\r\n\r\n%s" % (200 if health else status, len(body), body))
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    path = str(tmp_path / "s")
    async with await asyncio.start_unix_server(answer, path):
        assert [expected] == await holders(admin=[Address(path=path)])
