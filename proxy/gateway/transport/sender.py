"""Sends requests upstream: each on a kept connection or a new one, with its token.

The token is put on the wire here and nowhere else. Redirects are not followed, nothing is decoded, nothing is added but
what `Outbound` says and what frames it. A request is sent once more when a kept connection turns out to be dead, for
idempotent methods only, and only if its body can begin anew (D6).
"""

from __future__ import annotations

import functools
import re

from ...config import Limits, Upstream
from ...errors import BadTargetError, EgressProxyError, UpstreamTerminatedError
from ...secret import Secret
from ..message import Field, Outbound
from .deadlines import Deadlines
from .dial import Dialer
from .http1 import head_bytes
from .pool import Pool
from .stream import Drain, Stream
from .upstream import Answer, Times, UpstreamConnection

_TARGET = re.compile(r"[\x21-\x7e\x80-\xff]+").fullmatch
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 section 9.2.2, but for TRACE


class UpstreamSender:
    """Sends requests on connections that `dialer` makes. Make it inside a running loop; `close` ends it."""

    def __init__(self, limits: Limits, dialer: Dialer) -> None:
        self._limits = limits
        self._dialer = dialer
        self._pools: dict[str, Pool[UpstreamConnection]] = {}  # by origin
        self._idle: Deadlines[UpstreamConnection] = Deadlines(
            limits.upstream_keepalive_timeout, UpstreamConnection.idle_too_long
        )
        self._times = Times(
            Deadlines(limits.read_timeout, UpstreamConnection.expire),
            Deadlines(limits.read_timeout, Stream.expire),
            Deadlines(limits.send_timeout, Drain.expire),
        )

    async def __call__(self, request: Outbound, token: Secret) -> Answer:
        """Send `request` with `token`; give the answer when its head is there.

        Raises `UpstreamError`, `ProxyLimitError` where we could not even try, or what ended the caller's body.
        """
        pool = self._pools.get(request.upstream.origin) or self._pool(request.upstream)
        request.wire = request.wire or self._wire(request)
        head = request.wire + token.reveal().encode("ascii") + b"\r\n\r\n"
        answer = await self._send(head, request, pool)
        if answer.status == 407 and self._dialer.via(request.upstream) is not None:
            answer.close()
            raise EgressProxyError(f"the proxy on the way to {request.upstream.origin} wants other credentials (407)")
        return answer

    async def _send(self, head: bytes, request: Outbound, pool: Pool[UpstreamConnection]) -> Answer:
        """Send, and once more if that was on a connection that turned out to be dead."""
        connection = pool.kept()
        if connection is not None:
            try:
                return await connection.request(head, request)
            except UpstreamTerminatedError:
                whole = request.body is None or request.body.replayable
                if connection.heard or not whole or request.method not in _IDEMPOTENT:
                    raise
        connection = await pool.fresh()
        return await connection.request(head, request)

    @property
    def open(self) -> int:
        """How many connections there are."""
        return sum(pool.open for pool in self._pools.values())

    @property
    def idle(self) -> int:
        """How many of them wait for a request."""
        return sum(pool.idle for pool in self._pools.values())

    @property
    def pending(self) -> int:
        """How many requests wait for a connection."""
        return sum(pool.pending for pool in self._pools.values())

    async def close(self) -> None:
        """Close all connections that are not in use."""
        for pool in self._pools.values():
            pool.close()
        for deadlines in (self._idle, self._times.head, self._times.body, self._times.send):
            deadlines.close()

    def _wire(self, request: Outbound) -> bytes:
        """Give the head as it goes on the wire, up to the token."""
        fields: list[Field] = [*request.headers]
        target = request.target
        if request.body is not None and request.body.length is None:
            fields.append(("Transfer-Encoding", "chunked"))
        if request.upgrade:
            fields += [("Connection", "upgrade"), ("Upgrade", request.upgrade)]
        via = self._dialer.via(request.upstream)
        if via is not None:
            target = via.prefix + target
            if via.authorization:
                fields.append(("Proxy-Authorization", via.authorization.reveal()))
        if not _TARGET(target):
            raise BadTargetError("what is to be sent is no request target")
        return head_bytes(f"{request.method} {target} HTTP/1.1", fields)[:-2] + b"Authorization: Bearer "

    def _pool(self, upstream: Upstream) -> Pool[UpstreamConnection]:
        """Make the pool of an origin."""

        async def dial() -> UpstreamConnection:
            _, connection = await self._dialer.connect(upstream, make)
            return connection

        pool = Pool(dial, self._limits, self._idle)
        make = functools.partial(UpstreamConnection, upstream, pool, self._limits, self._times)
        self._pools[upstream.origin] = pool
        return pool
