"""Connections that are cancelled on their way, under both event loops: nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import pytest
import trustme

from proxy.config import Upstream
from proxy.gateway.transport.dial import Dialer
from tests.support.loops import PATIENCE, Caller, full, meaning, on_both_loops, presenting, serving, silent

from .dialing import SHORT, UPSTREAM, VENDOR, forwarding


async def assert_cancellable(dialer: Dialer, upstream: Upstream) -> None:
    """Cancel a connection after each number of the loop's turns, until it stands by then.

    Whatever was opened is closed: the servers' ends see it, and `on_both_loops` counts descriptors.
    """
    made: list[Caller] = []

    def factory() -> Caller:
        made.append(Caller())
        return made[-1]

    turns, done = 0, False
    while not done:
        task: Any = asyncio.create_task(dialer.connect(upstream, factory))
        for _ in range(turns):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            transport, _ = await task
            transport.abort()
        turns += 1
    for caller in made:
        if caller.transport is not None:
            await caller.lost


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", [VENDOR, "127.0.0.1"])
@on_both_loops
async def test_cancelled(trust: ssl.SSLContext, ca: trustme.CA, scheme: str, host: str) -> None:
    """Nothing stays open, whenever it happens."""
    tls = presenting(ca, VENDOR, "127.0.0.1") if scheme == "https" else None
    async with serving(silent, tls) as port:
        dialer = Dialer(trust, PATIENCE, {})
        meaning(dialer, "127.0.0.1", "127.0.0.1")
        await assert_cancellable(dialer, Upstream(scheme, host, port))


@on_both_loops
async def test_cancelled_with_a_tunnel(trust: ssl.SSLContext, ca: trustme.CA) -> None:
    """Nothing stays open, whenever it happens."""
    async with serving(silent, presenting(ca, VENDOR)) as port, forwarding(target=port) as forward:
        await assert_cancellable(Dialer(trust, PATIENCE, forward.environ()), UPSTREAM)


@on_both_loops
async def test_cancelled_while_it_waits(trust: ssl.SSLContext) -> None:
    """Nothing stays open when the other side has said nothing yet."""
    async with serving(silent) as port:
        with full() as hole:
            cases = [
                (Upstream("https", "127.0.0.1", port), {}),
                (Upstream("http", "127.0.0.1", hole), {}),
                (UPSTREAM, {"ALL_PROXY": f"http://127.0.0.1:{port}"}),
                (UPSTREAM, {"ALL_PROXY": f"http://127.0.0.1:{hole}"}),
            ]
            for upstream, environ in cases:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(Dialer(trust, PATIENCE, environ).connect(upstream, Caller), SHORT)
