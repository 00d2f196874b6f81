"""Probes of our own addresses: who holds them, if anybody."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.config import Address
from proxy.doctor.facts import Holder
from proxy.doctor.probe import see_addresses
from tests.support.processes import free_port

from .conftest import PATIENCE, SHORT, head, serving


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
