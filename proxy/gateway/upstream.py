"""The upstream's side on aiohttp's `ClientSession`: one request sent, its answer given as it comes.

The token is put on the wire here and nowhere else. Redirects are not followed, nothing is decoded, nothing is added but
what `Outbound` says. A request is sent once more when a kept connection turns out to be dead, for idempotent methods
only, and only if its body can begin anew (D6).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import aiohttp.http
from multidict import CIMultiDict
from yarl import URL

from ..config import Limits, Upstream
from ..errors import (
    BadTargetError,
    ProxyLimitError,
    RequestError,
    UpstreamCertificateError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamProtocolError,
    UpstreamReadTimeoutError,
    UpstreamRefusedError,
    UpstreamSendTimeoutError,
    UpstreamTerminatedError,
    UpstreamTlsError,
)
from ..secret import Secret
from .message import Body, Headers, Outbound, field_text
from .stock import make_connector, make_session

_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 section 9.2.2, but for TRACE
_MAX_HEAD = 64 << 10  # bytes of one header line of an answer


class UpstreamClient:
    """Sends requests on kept connections. Call inside a running loop; `close` ends it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        reused = aiohttp.TraceConfig()
        reused.on_connection_reuseconn.append(_note_reuse)
        self._session = make_session(
            connector=make_connector(limit=0, ssl=ssl.create_default_context()),
            timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect_timeout, sock_read=limits.read_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_ADDED,
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
            trace_configs=[reused],
        )

    async def __call__(self, request: Outbound, token: Secret) -> UpstreamAnswer:
        """Send `request` with `token`; give the answer when its head is there.

        Raises `UpstreamError`, or `ProxyLimitError` where we could not even try.
        """
        kept: list[bool] = []
        try:
            return await self._send(request, token, kept)
        except UpstreamTerminatedError:
            whole = request.body is None or request.body.replayable
            if not (kept and whole and request.method in _IDEMPOTENT):
                raise
        return await self._send(request, token, [])

    async def _send(self, request: Outbound, token: Secret, kept: list[bool]) -> UpstreamAnswer:
        """Send once. `kept` gets an item if that is on a kept connection."""
        body = request.body
        try:
            async with asyncio.timeout(None) as deadline:
                response = await self._session.request(
                    request.method,
                    _url(request.upstream, request.target),
                    headers=_fields(request, token),
                    data=None if body is None or body.length == 0 else _paced(body, deadline, self._limits),
                    allow_redirects=False,
                    trace_request_ctx=kept,
                )
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, TimeoutError, OSError) as error:
            if deadline.expired():
                raise UpstreamSendTimeoutError(f"{request.upstream.origin} did not take the body in time") from None
            raise _mapped(error, request.upstream) from None
        except ValueError:
            raise BadTargetError("the request holds bytes that cannot be sent on") from None
        if response.status < 200:
            response.close()
            raise UpstreamProtocolError("the upstream switched protocols without being asked")
        return UpstreamAnswer(response, request.upstream)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await asyncio.sleep(0)  # lets the transports' own close callbacks run


class UpstreamAnswer:
    """An upstream's answer; its connection is kept for others when the body has been read to its end."""

    def __init__(self, response: aiohttp.ClientResponse, upstream: Upstream) -> None:
        self._response = response
        self._upstream = upstream
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: Headers = [(field_text(name), field_text(value)) for name, value in response.raw_headers]

    async def read(self) -> bytes:
        """Give the body's next bytes as they came, empty at the end. Raises `UpstreamError`."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, TimeoutError, OSError) as error:
            raise _mapped(error, self._upstream) from None

    def close(self) -> None:
        """Be done with the answer: an unfinished one takes its connection with it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


async def _note_reuse(_: object, context: Any, __: object) -> None:
    context.trace_request_ctx.append(True)


async def _paced(body: Body, deadline: asyncio.Timeout, limits: Limits) -> AsyncIterator[bytes]:
    """Give the body for aiohttp, which has no time limit of its own for an upstream that does not take it."""
    loop, sent = asyncio.get_running_loop(), 0

    def allow(seconds: float | None) -> None:
        with contextlib.suppress(RuntimeError):  # the answer has come: there is no deadline any more
            deadline.reschedule(None if seconds is None else loop.time() + seconds)

    async for chunk in body:
        sent += len(chunk)
        # Nobody comes back here after the last byte of a known length: aiohttp waits for the answer then.
        allow(limits.send_timeout + (limits.read_timeout if sent == body.length else 0.0))
        yield chunk
        allow(None)


def _url(upstream: Upstream, target: str) -> URL:
    # The target goes in as a ready path: yarl would drop a `?` with nothing behind it.
    return URL.build(scheme=upstream.scheme, host=upstream.host, port=upstream.port, path=target, encoded=True)


def _fields(request: Outbound, token: Secret) -> CIMultiDict[str]:
    fields = CIMultiDict(request.headers)
    fields["Authorization"] = f"Bearer {token.reveal()}"
    return fields


def _mapped(error: Exception, upstream: Upstream) -> RequestError:
    """Give our error for a library's, whose text may hold what was sent."""
    origin = upstream.origin
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return UpstreamCertificateError(f"the certificate of {origin} is not trusted")
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return UpstreamTlsError(f"TLS with {origin} failed")
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in (errno.EMFILE, errno.ENFILE):
        return ProxyLimitError("the proxy has no file descriptors left: raise its limit (ulimit -n)")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UpstreamDnsError(f"the name of {origin} cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamRefusedError(f"{origin} cannot be connected to")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamConnectTimeoutError(f"connecting to {origin} took too long")
    if isinstance(error, TimeoutError):
        return UpstreamReadTimeoutError(f"{origin} did not answer in time")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL | aiohttp.http.HttpProcessingError):
        return UpstreamProtocolError(f"the answer of {origin} is not HTTP that can be passed on")
    return UpstreamTerminatedError(f"{origin} closed the connection before its answer was complete")
