"""Connections to upstreams that fail, under both event loops: each in words of ours, with nothing left open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from proxy.config import Upstream
from proxy.errors import (
    ProxyLimitError,
    UpstreamCertificateError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamRefusedError,
    UpstreamTlsError,
)
from proxy.gateway.transport.dial import Dialer, reach
from tests.support import resets
from tests.support.loops import (
    PATIENCE,
    Handler,
    deaf,
    full,
    meaning,
    on_both_loops,
    presenting,
    reset,
    serving,
    silent,
)

from .dialing import SHORT, VENDOR, assert_fails

NO_DESCRIPTORS = "the proxy has no file descriptors left: raise its limit (ulimit -n)"


@pytest.mark.parametrize("scheme", ["http", "https"])
@on_both_loops
async def test_upstream_that_refuses(dialer: Dialer, scheme: str) -> None:
    """It cannot be connected to."""
    with deaf() as port:
        for host in ("127.0.0.1", "localhost"):
            upstream = Upstream(scheme, host, port)
            await assert_fails(UpstreamRefusedError, "{} cannot be connected to", dialer, upstream)


@pytest.mark.parametrize("error", [OSError(), OSError(errno.ENETUNREACH, "x"), TimeoutError(), RuntimeError()])
@on_both_loops
async def test_upstream_that_is_not_reached(dialer: Dialer, error: Exception) -> None:
    """Whatever the system says of it, it cannot be connected to."""

    async def connect(*_: Any) -> None:
        raise error

    asyncio.get_running_loop().sock_connect = connect  # type: ignore[method-assign,assignment]
    upstream = Upstream("https", "127.0.0.1", 443)
    await assert_fails(UpstreamRefusedError, "{} cannot be connected to", dialer, upstream)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..example", f"{'x' * 64}.example", "1.2.3.4.5."])
@on_both_loops
async def test_name_without_an_address(dialer: Dialer, host: str) -> None:
    """It cannot be resolved, nor can what is no name at all."""
    upstream = Upstream("https", host, 443)
    await assert_fails(UpstreamDnsError, "the name of {} cannot be resolved", dialer, upstream)


@on_both_loops
async def test_look_up_that_brings_nothing(dialer: Dialer) -> None:
    """It is as good as one that fails."""
    asyncio.get_running_loop().getaddrinfo = nothing  # type: ignore[method-assign]
    upstream = Upstream("https", VENDOR, 443)
    await assert_fails(UpstreamDnsError, "the name of {} cannot be resolved", dialer, upstream)


async def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


@on_both_loops
async def test_certificate_of_an_unknown_authority(dialer: Dialer) -> None:
    """It is not trusted."""
    async with serving(silent, presenting(trustme.CA(), "localhost")) as port:
        upstream = Upstream("https", "localhost", port)
        await assert_fails(UpstreamCertificateError, "the certificate of {} is not trusted", dialer, upstream)


@pytest.mark.parametrize(("host", "certified"), [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "localhost")])
@on_both_loops
async def test_certificate_for_another_host(dialer: Dialer, ca: trustme.CA, host: str, certified: str) -> None:
    """It is not trusted."""
    async with serving(silent, presenting(ca, certified)) as port:
        upstream = Upstream("https", host, port)
        await assert_fails(UpstreamCertificateError, "the certificate of {} is not trusted", dialer, upstream)


async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def leave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    resets.reset(writer)


@pytest.mark.parametrize("handler", [plain, leave, reset, slam])
@on_both_loops
async def test_handshake_that_fails(dialer: Dialer, handler: Handler) -> None:
    """It is TLS that failed, not the connection."""
    async with serving(handler) as port:
        upstream = Upstream("https", "localhost", port)
        await assert_fails(UpstreamTlsError, "TLS with {} failed", dialer, upstream)


@on_both_loops
async def test_connection_that_is_lost_as_soon_as_tls_stands(dialer: Dialer, ca: trustme.CA) -> None:
    """It is TLS that failed."""

    async def start_tls(raw: asyncio.Transport, *_: Any, **__: Any) -> None:
        raw.abort()

    async with serving(silent, presenting(ca, "localhost")) as port:
        asyncio.get_running_loop().start_tls = start_tls  # type: ignore[assignment,method-assign]
        upstream = Upstream("https", "localhost", port)
        await assert_fails(UpstreamTlsError, "TLS with {} failed", dialer, upstream)


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
    with no_descriptors():
        await assert_fails(ProxyLimitError, NO_DESCRIPTORS, dialer, Upstream("http", VENDOR, 9))


@on_both_loops
async def test_no_descriptors_left_for_some_addresses() -> None:
    """It is what is said, whatever is wrong with the others."""
    unknown: Any = (999, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))
    usual: Any = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))
    with no_descriptors(), pytest.raises(OSError, match="Too many open files") as caught:
        await reach([unknown, usual])
    assert errno.EMFILE == caught.value.errno


@on_both_loops
async def test_no_descriptors_left_for_a_look_up(dialer: Dialer) -> None:
    """It is the proxy itself that is at a limit."""

    async def ask(_: str) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    dialer._names._ask = ask  # type: ignore[assignment,method-assign]
    await assert_fails(ProxyLimitError, NO_DESCRIPTORS, dialer, Upstream("http", VENDOR, 9))
