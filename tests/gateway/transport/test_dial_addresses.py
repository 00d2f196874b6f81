"""From a name to a connection: look-ups shared and kept for a while, addresses tried in turn."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from proxy.config import TlsFiles, Upstream
from proxy.egress import upstream_trust
from proxy.errors import UpstreamRefusedError
from proxy.gateway.transport.dial import Dialer, Names, reach
from tests.support.loops import PATIENCE, Caller, deaf, echo, echoed, full, meaning, on_both_loops, serving, silent

NAME = "api.vendor.example"


@pytest.fixture(scope="module")
def trust() -> ssl.SSLContext:
    return upstream_trust(TlsFiles())


def info(host: str, port: int, family: int = socket.AF_INET) -> Any:
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


@on_both_loops
async def test_first_address_that_refuses(trust: ssl.SSLContext) -> None:
    """The next one is taken."""
    async with serving(echo) as port:
        dialer = Dialer(trust, PATIENCE, {})
        asked = meaning(dialer, "127.0.0.2", "127.0.0.1")
        await echoed(dialer, Upstream("http", NAME, port))
    assert [NAME] == asked


@on_both_loops
async def test_first_address_that_does_not_answer() -> None:
    """The next one is tried soon (RFC 8305), and what is not needed is closed."""
    async with serving(silent) as port:
        with full() as hole:
            sock = await reach([info("127.0.0.1", hole), info("127.0.0.1", port)])
            assert ("127.0.0.1", port) == sock.getpeername()
            sock.close()


@on_both_loops
async def test_addresses_of_both_families() -> None:
    """One of each is tried in turn."""
    tried: list[Any] = []
    connect = asyncio.get_running_loop().sock_connect

    async def recording(sock: socket.socket, where: Any) -> None:
        tried.append(where[0])
        await connect(sock, where)

    asyncio.get_running_loop().sock_connect = recording  # type: ignore[method-assign,assignment]
    with deaf() as port, pytest.raises(ConnectionRefusedError):
        await reach(
            [
                info("127.0.0.1", port),
                info("127.0.0.2", port),
                (*info("::1", port, socket.AF_INET6)[:4], ("::1", port, 0, 0)),
            ]
        )
    assert ["127.0.0.1", "::1", "127.0.0.2"] == tried


@pytest.mark.parametrize("flags", [0, socket.AI_ADDRCONFIG])
@on_both_loops
async def test_what_is_asked(flags: int) -> None:
    """Families that this machine does not have are left out; the loopback is always there."""
    asked = answering(asyncio.get_running_loop(), info("127.0.0.1", 0))
    await Names().look_up(NAME if flags else "localhost", 80)
    ((args, kwargs),) = asked
    assert ((NAME if flags else "localhost"), 0) == args
    assert {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP, "flags": flags} == kwargs


def answering(loop: Any, *found: Any, gate: asyncio.Event | None = None) -> list[Any]:
    """Let the loop's look-ups find this, once the gate is open; give the list of what they are asked."""
    asked: list[Any] = []

    async def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        asked.append((args, kwargs))
        if gate is not None:
            await gate.wait()
        if isinstance(found[0], Exception):
            raise found[0]
        return list(found)

    loop.getaddrinfo = getaddrinfo
    return asked


@on_both_loops
async def test_ports() -> None:
    """One look-up serves all ports of a name, in both families."""
    loop = asyncio.get_running_loop()
    asked = answering(loop, info("192.0.2.1", 0), (*info("", 0, socket.AF_INET6)[:4], ("2001:db8::1", 0, 0, 7)))
    names = Names()
    for port in (80, 443):
        found = await names.look_up(NAME, port)
        assert [("192.0.2.1", port), ("2001:db8::1", port, 0, 7)] == [one[4] for one in found]
    assert 1 == len(asked)


@pytest.mark.parametrize(("later", "look_ups"), [(0.0, 1), (9.99, 1), (10.0, 2), (-1.0, 1)])
@on_both_loops
async def test_answer_that_gets_old(later: float, look_ups: int) -> None:
    """It is used for ten seconds, so that a change is noticed."""
    now = [100.0]
    asked, names = answering(asyncio.get_running_loop(), info("192.0.2.1", 0)), Names(clock=lambda: now[0])
    await names.look_up(NAME, 80)
    now[0] += later
    await names.look_up(NAME, 80)
    assert look_ups == len(asked)


@on_both_loops
async def test_simultaneous_look_ups() -> None:
    """Those of one name share one, and it goes on when the first who asked is gone."""
    gate = asyncio.Event()
    asked, names = answering(asyncio.get_running_loop(), info("192.0.2.1", 0), gate=gate), Names()
    first, *others = [asyncio.create_task(names.look_up(NAME, port)) for port in (1, 2, 3)]
    another = asyncio.create_task(names.look_up("other.example", 1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    gate.set()
    assert [2, 3, 1] == [(await one)[0][4][1] for one in (*others, another)]
    assert [NAME, "other.example"] == [args[0] for args, _ in asked]


@on_both_loops
async def test_simultaneous_look_ups_that_fail() -> None:
    """Everybody hears of it, and the next who asks begins anew."""
    gate, loop, names = asyncio.Event(), asyncio.get_running_loop(), Names()
    answering(loop, socket.gaierror(socket.EAI_NONAME, "no"), gate=gate)
    both = [asyncio.create_task(names.look_up(NAME, 80)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    for one in both:
        with pytest.raises(socket.gaierror):
            await one
    answering(loop, info("192.0.2.1", 0))
    assert 1 == len(await names.look_up(NAME, 80))


@on_both_loops
async def test_look_up_that_fails_when_nobody_waits() -> None:
    """Nobody hears of it."""
    loop, names = asyncio.get_running_loop(), Names()
    complaints = complaints_of(loop)
    await failing_unheard(names)
    gc.collect()
    assert ([], {}) == (complaints, names._under_way)


async def failing_unheard(names: Names) -> None:
    gate = asyncio.Event()
    answering(asyncio.get_running_loop(), socket.gaierror(socket.EAI_NONAME, "no"), gate=gate)
    asking = asyncio.create_task(names.look_up(NAME, 80))
    await asyncio.sleep(0)
    asking.cancel()
    gate.set()
    await asyncio.wait([asking, *names._under_way.values()])


def complaints_of(loop: Any) -> list[Any]:
    complaints: list[Any] = []
    handler: Callable[..., None] = lambda _, context: complaints.append(context)  # noqa: E731
    loop.set_exception_handler(handler)
    return complaints


@on_both_loops
async def test_addresses_at_which_nobody_is(trust: ssl.SSLContext) -> None:
    """They are looked up anew next time, however short the time: the name may have moved."""
    asked = answering(asyncio.get_running_loop(), info("127.0.0.1", 0))
    dialer = Dialer(trust, PATIENCE, {})
    with deaf() as port:
        for _ in range(2):
            with pytest.raises(UpstreamRefusedError):
                await dialer.connect(Upstream("http", NAME, port), Caller)
    assert 2 == len([args for args, _ in asked if args[0] == NAME])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%lo"])
@on_both_loops
async def test_literal(host: str) -> None:
    """It needs no look-up."""
    asked = answering(asyncio.get_running_loop(), info("192.0.2.1", 0))
    ((*_, where),) = await Names().look_up(host, 80)
    assert (host.partition("%")[0], 80) == (where[0].partition("%")[0], where[1])
    assert [] == asked
