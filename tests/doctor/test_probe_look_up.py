"""Probes of an upstream by its name: look-ups that fail, hang, or give several addresses."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from proxy.config import Upstream
from proxy.doctor.facts import Failure

from .conftest import PATIENCE, SHORT, head, see, serving

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_one_of_two_addresses_is_enough(monkeypatch, host):
    """A name with an IPv6 and an IPv4 address is reached where only one of them answers."""
    real = socket.getaddrinfo

    def both(_, port, **how):
        return [found for one in ("::1", "127.0.0.1") for found in real(one, port, **how)]

    async with serving(head(), host=host) as server:
        monkeypatch.setattr(socket, "getaddrinfo", both)
        assert 200 == (await see(server.origin(host="two.example"))).status


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
