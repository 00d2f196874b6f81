"""Connections to upstreams, under both event loops: how they come about and fail, and that nothing is left open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import trustme

from proxy.config import TlsFiles, Upstream
from proxy.egress import upstream_trust
from proxy.errors import (
    ProxyLimitError,
    RequestError,
    UpstreamCertificateError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamRefusedError,
    UpstreamTlsError,
)
from proxy.gateway.transport.dial import Dialer, Early, reach
from tests.support.loops import (
    PATIENCE,
    Caller,
    Handler,
    deaf,
    echo,
    echoed,
    full,
    meaning,
    on_both_loops,
    presenting,
    reset,
    serving,
    silent,
)

SHORT = 0.2  # seconds, for what never ends
VENDOR = "api.vendor.example"
CANARY = "c4nary"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(ca: trustme.CA) -> ssl.SSLContext:
    context = upstream_trust(TlsFiles())
    ca.configure_trust(context)
    return context


@on_both_loops
async def test_http(trust: ssl.SSLContext) -> None:
    """The transport is ready, and sends small writes at once."""
    async with serving(echo) as port:
        dialer = Dialer(trust, PATIENCE, {})
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
async def test_https(trust: ssl.SSLContext, ca: trustme.CA, host: str, certified: str, told: str | None) -> None:
    """The certificate is held against the host; SNI is the name without its final dot, none for an IP address."""
    names: list[str | None] = []
    tls = presenting(ca, certified)
    tls.sni_callback = lambda _, name, __: names.append(name)
    async with serving(echo, tls) as port:
        dialer = Dialer(trust, PATIENCE, {})
        meaning(dialer, "127.0.0.1")
        transport, caller = await dialer.connect(Upstream("https", host, port), Caller)
        assert "http/1.1" == transport.get_extra_info("ssl_object").selected_alpn_protocol()
        transport.write(b"hello\n")
        await caller.lost
        assert b"hello\n" == caller.data
    assert [told] == names


@on_both_loops
async def test_ipv6(trust: ssl.SSLContext, ca: trustme.CA) -> None:
    """A literal goes without a look-up."""
    try:
        async with serving(echo, presenting(ca, "::1"), host="::1") as port:
            await echoed(Dialer(trust, PATIENCE, {}), Upstream("https", "::1", port))
    except OSError:
        pytest.skip("there is no IPv6 here")


async def assert_fails(kind: type[RequestError], text: str, dialer: Dialer, upstream: Upstream) -> None:
    """Check that there is exactly this error, in our words, without a library's behind it."""
    with pytest.raises(RequestError) as caught:
        await dialer.connect(upstream, Caller)
    assert (kind, text.format(upstream.origin)) == (type(caught.value), caught.value.description)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["http", "https"])
@on_both_loops
async def test_upstream_that_refuses(trust: ssl.SSLContext, scheme: str) -> None:
    """It cannot be connected to."""
    with deaf() as port:
        for host in ("127.0.0.1", "localhost"):
            upstream = Upstream(scheme, host, port)
            await assert_fails(UpstreamRefusedError, "{} cannot be connected to", Dialer(trust, PATIENCE, {}), upstream)


@pytest.mark.parametrize("error", [OSError(), OSError(errno.ENETUNREACH, "x"), TimeoutError(), RuntimeError()])
@on_both_loops
async def test_upstream_that_is_not_reached(trust: ssl.SSLContext, error: Exception) -> None:
    """Whatever the system says of it, it cannot be connected to."""

    async def connect(*_: Any) -> None:
        raise error

    asyncio.get_running_loop().sock_connect = connect  # type: ignore[method-assign,assignment]
    upstream = Upstream("https", "127.0.0.1", 443)
    await assert_fails(UpstreamRefusedError, "{} cannot be connected to", Dialer(trust, PATIENCE, {}), upstream)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..example", f"{'x' * 64}.example", "1.2.3.4.5."])
@on_both_loops
async def test_name_without_an_address(trust: ssl.SSLContext, host: str) -> None:
    """It cannot be resolved, nor can what is no name at all."""
    upstream = Upstream("https", host, 443)
    await assert_fails(UpstreamDnsError, "the name of {} cannot be resolved", Dialer(trust, PATIENCE, {}), upstream)


@on_both_loops
async def test_look_up_that_brings_nothing(trust: ssl.SSLContext) -> None:
    """It is as good as one that fails."""
    dialer = Dialer(trust, PATIENCE, {})
    asyncio.get_running_loop().getaddrinfo = nothing  # type: ignore[method-assign]
    upstream = Upstream("https", VENDOR, 443)
    await assert_fails(UpstreamDnsError, "the name of {} cannot be resolved", dialer, upstream)


async def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


@on_both_loops
async def test_certificate_of_an_unknown_authority(trust: ssl.SSLContext) -> None:
    """It is not trusted."""
    async with serving(silent, presenting(trustme.CA(), "localhost")) as port:
        upstream = Upstream("https", "localhost", port)
        await assert_fails(
            UpstreamCertificateError, "the certificate of {} is not trusted", Dialer(trust, PATIENCE, {}), upstream
        )


@pytest.mark.parametrize(("host", "certified"), [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "localhost")])
@on_both_loops
async def test_certificate_for_another_host(trust: ssl.SSLContext, ca: trustme.CA, host: str, certified: str) -> None:
    """It is not trusted."""
    async with serving(silent, presenting(ca, certified)) as port:
        upstream = Upstream("https", host, port)
        await assert_fails(
            UpstreamCertificateError, "the certificate of {} is not trusted", Dialer(trust, PATIENCE, {}), upstream
        )


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def leave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("handler", [plain, leave, reset, slam])
@on_both_loops
async def test_handshake_that_fails(trust: ssl.SSLContext, handler: Handler) -> None:
    """It is TLS that failed, not the connection."""
    async with serving(handler) as port:
        upstream = Upstream("https", "localhost", port)
        await assert_fails(UpstreamTlsError, "TLS with {} failed", Dialer(trust, PATIENCE, {}), upstream)


@on_both_loops
async def test_connection_that_takes_too_long(trust: ssl.SSLContext) -> None:
    """It is given up in time."""
    with full() as port:
        upstream = Upstream("http", "127.0.0.1", port)
        await assert_fails(
            UpstreamConnectTimeoutError, "connecting to {} took too long", Dialer(trust, SHORT, {}), upstream
        )


@on_both_loops
async def test_handshake_that_takes_too_long(trust: ssl.SSLContext) -> None:
    """It is given up in time, and the server sees the end of it."""
    async with serving(silent) as port:
        upstream = Upstream("https", "127.0.0.1", port)
        await assert_fails(
            UpstreamConnectTimeoutError, "connecting to {} took too long", Dialer(trust, SHORT, {}), upstream
        )


@on_both_loops
async def test_look_up_that_takes_too_long(trust: ssl.SSLContext) -> None:
    """It is given up in time."""
    dialer, gate = Dialer(trust, SHORT, {}), asyncio.Event()
    dialer._names._ask = lambda _: gate.wait()  # type: ignore[assignment,method-assign,return-value]
    upstream = Upstream("http", VENDOR, 80)
    await assert_fails(UpstreamConnectTimeoutError, "connecting to {} took too long", dialer, upstream)
    gate.set()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Let no descriptor be opened."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("environ", [{}, {"ALL_PROXY": "http://127.0.0.1:9"}])
@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
@on_both_loops
async def test_no_descriptors_left(trust: ssl.SSLContext, addresses: list[str], environ: dict[str, str]) -> None:
    """It is the proxy itself that is at a limit."""
    dialer = Dialer(trust, PATIENCE, environ)
    meaning(dialer, *addresses)
    text = "the proxy has no file descriptors left: raise its limit (ulimit -n)"
    with no_descriptors():
        await assert_fails(ProxyLimitError, text, dialer, Upstream("http", VENDOR, 9))


@on_both_loops
async def test_no_descriptors_left_for_some_addresses() -> None:
    """It is what is said, whatever is wrong with the others."""
    unknown: Any = (999, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))
    usual: Any = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))
    with no_descriptors(), pytest.raises(OSError, match="Too many open files") as caught:
        await reach([unknown, usual])
    assert errno.EMFILE == caught.value.errno


@on_both_loops
async def test_connection_that_is_lost_as_soon_as_tls_stands(trust: ssl.SSLContext, ca: trustme.CA) -> None:
    """It is TLS that failed."""

    async def start_tls(raw: asyncio.Transport, *_: Any, **__: Any) -> None:
        raw.abort()

    async with serving(silent, presenting(ca, "localhost")) as port:
        asyncio.get_running_loop().start_tls = start_tls  # type: ignore[assignment,method-assign]
        upstream = Upstream("https", "localhost", port)
        await assert_fails(UpstreamTlsError, "TLS with {} failed", Dialer(trust, PATIENCE, {}), upstream)


@on_both_loops
async def test_no_descriptors_left_for_a_look_up(trust: ssl.SSLContext) -> None:
    """It is the proxy itself that is at a limit."""
    dialer = Dialer(trust, PATIENCE, {})

    async def ask(_: str) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    dialer._names._ask = ask  # type: ignore[assignment,method-assign]
    text = "the proxy has no file descriptors left: raise its limit (ulimit -n)"
    await assert_fails(ProxyLimitError, text, dialer, Upstream("http", VENDOR, 9))


@on_both_loops
async def test_factory_that_fails(trust: ssl.SSLContext) -> None:
    """Its error is its own, and the connection is closed."""

    def factory() -> asyncio.Protocol:
        raise LookupError(CANARY)

    async with serving(silent) as port:
        with pytest.raises(LookupError, match=CANARY):
            await Dialer(trust, PATIENCE, {}).connect(Upstream("http", "127.0.0.1", port), factory)


@pytest.mark.parametrize("scheme", ["http", "https"])
@on_both_loops
async def test_upstream_that_speaks_first(trust: ssl.SSLContext, ca: trustme.CA, scheme: str) -> None:
    """Its bytes are not lost, and neither is its end."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")

    async with serving(greet, presenting(ca, "127.0.0.1") if scheme == "https" else None) as port:
        _, caller = await Dialer(trust, PATIENCE, {}).connect(Upstream(scheme, "127.0.0.1", port), Caller)
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
