"""Connections to upstreams, under both event loops: how they come about, and that nothing is left open."""

from __future__ import annotations

import asyncio
import socket
from unittest.mock import Mock

import pytest
import trustme

from proxy.config import Upstream
from proxy.gateway.transport.dial import Dialer, Early
from tests.support.loops import Caller, echo, echoed, meaning, on_both_loops, presenting, serving, silent

from .dialing import CANARY, VENDOR


@on_both_loops
async def test_http(dialer: Dialer) -> None:
    """The transport is ready, and sends small writes at once."""
    async with serving(echo) as port:
        transport, caller = await dialer.connect(Upstream("http", "localhost", port), Caller)
        sock = transport.get_extra_info("socket")
        assert 1 == sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.write(b"hello\n")
        await caller.lost
        assert b"hello\n" == caller.data


@pytest.mark.parametrize(
    ("host", "certified", "told"),
    [
        ("localhost", "localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1", None),
        (VENDOR, VENDOR, VENDOR),
        (f"{VENDOR}.", VENDOR, VENDOR),
    ],
)
@on_both_loops
async def test_https(dialer: Dialer, ca: trustme.CA, host: str, certified: str, told: str | None) -> None:
    """The certificate is held against the host; SNI is the name without its final dot, none for an IP address."""
    names: list[str | None] = []
    tls = presenting(ca, certified)
    tls.sni_callback = lambda _, name, __: names.append(name)
    async with serving(echo, tls) as port:
        meaning(dialer, "127.0.0.1")
        transport, caller = await dialer.connect(Upstream("https", host, port), Caller)
        assert "http/1.1" == transport.get_extra_info("ssl_object").selected_alpn_protocol()
        transport.write(b"hello\n")
        await caller.lost
        assert b"hello\n" == caller.data
    assert [told] == names


@on_both_loops
async def test_ipv6(dialer: Dialer, ca: trustme.CA) -> None:
    """A literal goes without a look-up."""
    try:
        async with serving(echo, presenting(ca, "::1"), host="::1") as port:
            await echoed(dialer, Upstream("https", "::1", port))
    except OSError:
        pytest.skip("there is no IPv6 here")


@on_both_loops
async def test_factory_that_fails(dialer: Dialer) -> None:
    """Its error is its own, and the connection is closed."""

    def factory() -> asyncio.Protocol:
        raise LookupError(CANARY)

    async with serving(silent) as port:
        with pytest.raises(LookupError, match=CANARY):
            await dialer.connect(Upstream("http", "127.0.0.1", port), factory)


@pytest.mark.parametrize("scheme", ["http", "https"])
@on_both_loops
async def test_upstream_that_speaks_first(dialer: Dialer, ca: trustme.CA, scheme: str) -> None:
    """Its bytes are not lost, and neither is its end."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")

    async with serving(greet, presenting(ca, "127.0.0.1") if scheme == "https" else None) as port:
        _, caller = await dialer.connect(Upstream(scheme, "127.0.0.1", port), Caller)
        assert await caller.lost is None
    assert b"hello\n" == caller.data


@pytest.mark.parametrize(("data", "lost"), [(b"", []), (b"hello", []), (b"hello", [None]), (b"", [OSError(1, "x")])])
async def test_what_came_early(data: bytes, lost: list[Exception | None]) -> None:
    """The protocol is told all of it, in order."""
    early, told = Early(), []
    for piece in (data[:2], data[2:]):
        early.data_received(piece)
    for exc in lost:
        early.connection_lost(exc)
    protocol, transport = Mock(spec=asyncio.Protocol), Mock(spec=asyncio.Transport)
    for name in ("connection_made", "data_received", "connection_lost"):
        getattr(protocol, name).side_effect = lambda value, name=name: told.append((name, value))
    assert protocol is early.give_way(transport, protocol)
    transport.set_protocol.assert_called_once_with(protocol)
    came = [("data_received", data)] if data else []
    assert [("connection_made", transport), *came, *(("connection_lost", exc) for exc in lost)] == told
