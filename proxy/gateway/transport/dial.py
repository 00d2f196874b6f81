"""How a connection to an upstream comes about: look-up, TCP, an egress proxy where one is named, TLS. One time limit.

`Dialer.connect` gives a transport that is ready for the first byte of a request. Whatever goes wrong on the way is one
of our errors, and nothing that was opened stays open then. It knows nothing of requests, pools or tokens.

    no proxy                     name → addresses → TCP (RFC 8305) → TLS for https
    a proxy, https upstream      the proxy's name → addresses → TCP → CONNECT (RFC 9110 section 9.3.6) → TLS inside
    a proxy, http upstream       the proxy's name → addresses → TCP; requests then need what `via` gives
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohappyeyeballs

from ...config import Upstream, is_loopback
from ...egress import EgressProxy, egress_proxy, open_tunnel
from ...errors import (
    EgressProxyError,
    ProxyLimitError,
    RequestError,
    UpstreamCertificateError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamRefusedError,
    UpstreamTlsError,
)
from ...secret import Secret

P = TypeVar("P", bound=asyncio.Protocol)
AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]  # as getaddrinfo gives it

_FRESH = 10.0  # seconds for which the answer of a look-up is used: a change in DNS is noticed after that
_NEXT_ADDRESS = 0.25  # seconds after which the next address is tried too (RFC 8305 section 8)
_TLS_CLOSING = 2.0  # seconds for an upstream to answer close_notify
_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True, slots=True)
class Via:
    """What a request needs on a connection that ends at an egress proxy (RFC 9112 section 3.2.2).

    `prefix` goes before the origin-form target and makes it absolute-form; `authorization` is the value of
    Proxy-Authorization, empty for none.
    """

    prefix: str
    authorization: Secret


class Dialer:
    """Connects to upstreams. `connect_timeout` is seconds for all of look-up, connection, CONNECT and TLS."""

    def __init__(self, trust: ssl.SSLContext, connect_timeout: float, environ: Mapping[str, str]) -> None:
        self._trust = trust
        self._limit = connect_timeout
        self._environ = environ
        self._names = Names()
        self._proxies: dict[tuple[str, str, int], EgressProxy | None] = {}

    def via(self, upstream: Upstream) -> Via | None:
        """Give what requests on a connection to `upstream` need for an egress proxy; None where they need nothing.

        That is so without a proxy, and inside a tunnel. Raises `EgressProxyError`.
        """
        proxy = self._proxy(upstream) if upstream.scheme == "http" else None
        return None if proxy is None else Via(upstream.origin, proxy.authorization)

    async def connect(self, upstream: Upstream, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect to `upstream`. Raises `UpstreamError`, or `ProxyLimitError` where we could not even try.

        `factory` is called once the connection stands, so that each of its protocols is told of a beginning and an end.
        """
        proxy = self._proxy(upstream)
        try:
            async with asyncio.timeout(self._limit):
                transport, early = await self._connect(upstream, proxy)
        except TimeoutError:
            way = f" through {proxy}" if proxy else ""
            raise UpstreamConnectTimeoutError(f"connecting to {upstream.origin}{way} took too long") from None
        try:
            return transport, early.give_way(transport, factory())
        except BaseException:
            transport.abort()
            raise

    def _proxy(self, upstream: Upstream) -> EgressProxy | None:
        key = upstream.scheme, upstream.host, upstream.port
        if key not in self._proxies:
            self._proxies[key] = egress_proxy(*key, self._environ)
        return self._proxies[key]

    async def _connect(self, upstream: Upstream, proxy: EgressProxy | None) -> tuple[asyncio.Transport, Early]:
        sock = await self._reach(upstream, proxy)
        try:
            if upstream.scheme == "http":
                return await asyncio.get_running_loop().create_connection(Early, sock=sock)
            if proxy is not None:
                await open_tunnel(sock, proxy, upstream)
            return await self._secure(sock, upstream)
        except BaseException:
            sock.close()  # a transport that has it by then is closing, and watches it no more
            raise

    async def _reach(self, upstream: Upstream, proxy: EgressProxy | None) -> socket.socket:
        """Give a connection to the upstream, or to the proxy before it."""
        host, port = (upstream.host, upstream.port) if proxy is None else (proxy.host, proxy.port)
        try:
            addresses = await self._names.look_up(host, port)
        except (OSError, UnicodeError) as error:
            raise _not_found(error, upstream, proxy) from None
        try:
            return await reach(addresses)
        except (OSError, RuntimeError) as error:  # uvloop raises RuntimeError where a socket is in use
            self._names.forget(host)
            raise _not_reached(error, upstream, proxy) from None

    async def _secure(self, sock: socket.socket, upstream: Upstream) -> tuple[asyncio.Transport, Early]:
        name = _server_name(upstream)
        try:
            return await start_tls(sock, self._trust, name, self._limit)
        except ssl.SSLCertVerificationError:
            raise UpstreamCertificateError(f"the certificate of {upstream.origin} is not trusted") from None
        except OSError:
            raise UpstreamTlsError(f"TLS with {upstream.origin} failed") from None


class Early(asyncio.Protocol):
    """Takes what a server sends before there is a protocol to take it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self._data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.append(exc)

    def give_way(self, transport: asyncio.Transport, protocol: P) -> P:
        """Let `protocol` take all that has come, and all that will."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(bytes(self._data))
        for exc in self._lost:
            protocol.connection_lost(exc)
        return protocol


async def start_tls(
    sock: socket.socket, trust: ssl.SSLContext, name: str, limit: float
) -> tuple[asyncio.Transport, Early]:
    """Make a TLS transport of `sock`. Raises OSError, of which ssl.SSLError is one.

    TLS begins on a transport that stands: `create_connection(ssl=…)` has moments in which the socket is nobody's.
    Cancelled before the handshake, asyncio (3.11) leaves it open; when the first write fails, uvloop (0.23) closes its
    descriptor twice.
    """
    loop, early = asyncio.get_running_loop(), Early()
    raw, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
    transport = await loop.start_tls(
        raw, early, trust, server_hostname=name, ssl_handshake_timeout=limit, ssl_shutdown_timeout=_TLS_CLOSING
    )
    if transport is None:
        raise ConnectionResetError("the connection was lost as soon as TLS stood")
    return transport, early


class Names:
    """Looks names up: one look-up of a name at a time, whose answer serves everybody who asks then or soon after."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, list[AddressInfo]]] = {}
        self._under_way: dict[str, asyncio.Task[list[AddressInfo]]] = {}

    async def look_up(self, host: str, port: int) -> list[AddressInfo]:
        """Give the addresses of a name or an IP literal. Raises OSError, or UnicodeError for what can be no name."""
        if _is_literal(host):
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        until, known = self._known.get(host, (0.0, []))
        if not known or self._clock() >= until:
            task = self._task(host)
            await asyncio.wait([task])  # it goes on for the others when whoever asked first is cancelled
            known = task.result()
        return [(*info[:4], (info[4][0], port, *info[4][2:])) for info in known]

    def forget(self, host: str) -> None:
        """Ask anew next time: nobody was reached at what the last answer said."""
        self._known.pop(host, None)

    def _task(self, host: str) -> asyncio.Task[list[AddressInfo]]:
        task = self._under_way.get(host)
        if task is None:
            task = self._under_way[host] = asyncio.create_task(self._ask(host), name=f"look up {host}")
            task.add_done_callback(_seen)
        return task

    async def _ask(self, host: str) -> list[AddressInfo]:
        loop = asyncio.get_running_loop()
        # An IPv6 loopback address is one that AI_ADDRCONFIG does not count as configured.
        flags = 0 if is_loopback(host) else socket.AI_ADDRCONFIG
        try:
            found = await loop.getaddrinfo(host, 0, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags)
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "no address")
            self._known[host] = self._clock() + _FRESH, found
            return found
        finally:
            del self._under_way[host]


async def reach(addresses: Sequence[AddressInfo]) -> socket.socket:
    """Give a socket connected to the first of `addresses` that takes it. Raises OSError."""
    exhausted: list[OSError] = []

    def make(info: Any) -> socket.socket:
        try:
            return socket.socket(*info[:3])
        except OSError as error:
            exhausted.extend([error] if error.errno in _EXHAUSTED else [])
            raise

    try:
        return await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS, interleave=1, socket_factory=make
        )
    except OSError:
        if exhausted:
            raise exhausted[0] from None  # of several failures, the one that a person can end
        raise


def _not_found(error: Exception, upstream: Upstream, proxy: EgressProxy | None) -> RequestError:
    if getattr(error, "errno", None) in _EXHAUSTED:
        return _no_descriptors()
    if proxy is not None:
        return EgressProxyError(f"the name of {proxy} cannot be resolved")
    return UpstreamDnsError(f"the name of {upstream.origin} cannot be resolved")


def _not_reached(error: Exception, upstream: Upstream, proxy: EgressProxy | None) -> RequestError:
    if getattr(error, "errno", None) in _EXHAUSTED:
        return _no_descriptors()
    if proxy is not None:
        return EgressProxyError(f"{proxy} cannot be connected to")
    return UpstreamRefusedError(f"{upstream.origin} cannot be connected to")


def _no_descriptors() -> ProxyLimitError:
    return ProxyLimitError("the proxy has no file descriptors left: raise its limit (ulimit -n)")


def _server_name(upstream: Upstream) -> str:
    """Give the name for SNI and for the certificate, which has no final dot (RFC 6066 section 3)."""
    name = upstream.host.rstrip(".")
    try:
        name.encode("idna")
    except UnicodeError:  # behind a proxy nobody has looked it up yet
        raise UpstreamDnsError(f"the name of {upstream.origin} cannot be resolved") from None
    return name


def _is_literal(host: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _seen(task: asyncio.Task[list[AddressInfo]]) -> None:
    """Take note of an error that nobody waits for any more, so that the loop does not complain of it."""
    if not task.cancelled():
        task.exception()
