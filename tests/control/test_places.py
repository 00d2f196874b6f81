"""All places of the control plane taken: who gives way, and who stays."""

import asyncio
import contextlib
import socket
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from proxy.control import plane as module
from proxy.control.plane import ControlPlane
from proxy.credentials.core import open_core

from .conftest import PATIENCE, Redeeming, Served, credential, make_config

PLACES = 2
UNREAD = b"GET /callback HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000  # answers that no buffer holds


class HeldRedeeming(Redeeming):
    """Redeems behind a gate."""

    def __init__(self):
        super().__init__()
        self.entered, self.gate = asyncio.Event(), asyncio.Event()

    async def __call__(self, credential, code):
        self.entered.set()
        await self.gate.wait()
        return await super().__call__(credential, code)


@pytest.fixture
async def plane(tmp_path, monkeypatch):
    """Give a control plane with few places, and a caller of it."""
    monkeypatch.setattr(module, "_MOST_CONNECTIONS", PLACES)
    config = make_config(tmp_path, credential(), admin=("127.0.0.1:0",))
    config = replace(config, limits=replace(config.limits, shutdown_timeout=0.05))
    async with open_core(config) as core:
        made, redeeming = ControlPlane(config, core), HeldRedeeming()
        made._sign_in._redeem = redeeming
        await made.start()
        yield made, Served(core, made._sign_in, redeeming, int(made.listening[0].rpartition(":")[2]))
        redeeming.gate.set()
        await made.stop()


def connections(made):
    """Give the connections that there are."""
    return made._runner.server.connections


async def until(condition):
    """Let everything else go on until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_request_that_is_worked_on(plane):
    """It stays, however many come after it, and gets its answer."""
    made, served = plane
    state = dict(parse_qsl(urlsplit(made._sign_in.begin("a", bound=False)).query))["state"]
    asking = asyncio.create_task(served("GET", f"/callback?code=c&state={state}"))
    await served.redeeming.entered.wait()
    others = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(2 * PLACES)]
    for reader, _ in others[: 1 - PLACES]:
        with contextlib.suppress(ConnectionError):
            assert b"" == await asyncio.wait_for(reader.read(), PATIENCE)
    served.redeeming.gate.set()
    assert 200 == (await asking).status
    for _, writer in others:
        writer.close()


async def test_answers_that_nobody_reads(plane):
    """They hold no place: the connection is gone at once, not when they are sent."""
    made, served = plane
    sock = socket.create_connection(("127.0.0.1", served.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    _, stuck = await asyncio.open_connection(sock=sock, limit=1024)
    stuck.write(UNREAD)
    await until(lambda: connections(made))
    (first,) = connections(made)
    await until(lambda: first.transport is not None and first.transport.get_write_buffer_size() > 0 and first._paused)
    others = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(PLACES)]
    await until(lambda: first not in connections(made))
    assert PLACES == len(connections(made))
    for writer in (stuck, *(writer for _, writer in others)):
        writer.transport.abort()
