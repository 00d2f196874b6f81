"""One request on a connection of its own, without token, cookie or client id, and how far it came.

aiohttp tells connect and TLS handshake apart by their errors, but not by their time. Where a connection is closed
without an answer it asks once more by itself.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from .. import __version__
from ..egress import Egress
from ..errors import EgressProxyError
from .facts import Failure

_HEADERS = {"User-Agent": f"bearer-proxy/{__version__} doctor", "Connection": "close"}
_MAX_HEAD = 64 << 10  # bytes of one header line of an answer
_CERTIFICATE = {9: Failure.NOT_YET_VALID, 10: Failure.EXPIRED, 62: Failure.WRONG_NAME, 64: Failure.WRONG_NAME}
# OpenSSL's X509_V_ERR_… numbers, x509_vfy.h


@dataclass(slots=True)
class Way:
    """How far a request has come: what it is when it ends late now, and since when (monotonic seconds)."""

    late: Failure = Failure.CONNECT_TIMEOUT
    since: float = 0.0

    def traced(self) -> aiohttp.TraceConfig:
        """Give what keeps this up to date."""
        trace = aiohttp.TraceConfig()
        trace.on_dns_resolvehost_start.append(self._at(Failure.LOOK_UP_TIMEOUT))
        trace.on_dns_resolvehost_end.append(self._at(Failure.CONNECT_TIMEOUT))
        trace.on_connection_create_end.append(self._at(Failure.ANSWER_TIMEOUT))
        return trace

    def _at(self, late: Failure) -> Any:
        async def arrived(*_: object) -> None:
            self.late, self.since = late, time.monotonic()

        return arrived


class Answer(aiohttp.ClientResponse):
    """An answer that knows its server's certificate. A HEAD's has given its connection back when it is at hand."""

    certificate: dict[str, Any] | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Note it while there is a connection."""
        if connection.transport is not None:
            self.certificate = connection.transport.get_extra_info("peercert")
        return await super().start(connection)


@asynccontextmanager
async def asked(
    method: str, url: str, way: Way, context: ssl.SSLContext | bool = True, path: str = "", egress: Egress | None = None
) -> AsyncIterator[Answer]:
    """Send one request that says nothing of us but our name, to a unix socket if there is a `path`; give its answer.

    With `egress` it goes the way of all calls that leave here, without it to an address of our own.
    """
    how = {"headers": _HEADERS} if egress is None else egress.call(url, _HEADERS)
    connector = (
        aiohttp.UnixConnector(path, force_close=True)
        if path
        else aiohttp.TCPConnector(ssl=context, resolver=_Resolver(), use_dns_cache=False, force_close=True)
    )
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
            trace_configs=[way.traced()],
            response_class=Answer,
        ) as session,
        session.request(method, URL(url, encoded=True), allow_redirects=False, **how) as answer,
    ):
        yield cast("Answer", answer)


def failure_of(error: Exception, *, proxied: bool = False) -> Failure:
    """Tell at which step an error arose, on the direct way or by an egress proxy. What a library says stays here."""
    if isinstance(error, EgressProxyError):
        return Failure.PROXY_UNUSABLE
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Failure.PROXY_REFUSED
    if isinstance(error, aiohttp.ClientProxyConnectionError) or (
        proxied and isinstance(error, aiohttp.ClientConnectorDNSError)
    ):
        return Failure.PROXY_UNREACHABLE
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _CERTIFICATE.get(getattr(error.certificate_error, "verify_code", 0), Failure.UNTRUSTED)
    if isinstance(error, aiohttp.ClientSSLError):
        return Failure.TLS_FAILED
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        temporary = error.os_error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL)
        return Failure.LOOK_UP_FAILED if temporary else Failure.NO_ADDRESS
    if isinstance(error, ValueError):  # no name that could be looked up
        return Failure.NO_ADDRESS
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return Failure.REFUSED
        # Any other connection that was ended before its time was ended in the handshake.
        return Failure.TLS_FAILED if isinstance(error.os_error, ConnectionError) else Failure.UNREACHABLE
    return Failure.NOT_HTTP if isinstance(error, aiohttp.ClientResponseError) else Failure.CLOSED


class _Resolver(AbstractResolver):
    """Looks up in a thread that nobody waits for: a look-up cannot be ended, and must not hold up the command's end."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        future: concurrent.futures.Future[list[Any]] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()  # whoever waits may leave: the thread need not know

        def look_up() -> None:
            try:
                future.set_result(
                    socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
                )
            except (OSError, UnicodeError) as error:
                future.set_exception(error)

        threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
        return [
            ResolveResult(hostname=host, host=where[0], port=where[1], family=kind, proto=proto, flags=0)
            for kind, _, proto, _, where in await asyncio.wrap_future(future)
        ]

    async def close(self) -> None:
        """Nothing is held."""
