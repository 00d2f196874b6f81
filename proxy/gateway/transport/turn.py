"""One request of a caller and its answer, from the head of the one to the last byte of the other.

Before the first byte of an answer is out a failure is answered as problem+json; from then on it resets the connection,
so that nothing cut short can look whole. Whatever happens is logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from ...errors import BadTargetError, CallerNotAdmittedError, MethodNotImplementedError, RequestError
from ..message import Downstream, Readable, Request, Response, Trail, Upgraded
from ..problem import problem
from .http1 import LAST_CHUNK, NO_BODY, head_bytes
from .server import Server
from .stream import Drain
from .tunnel import Tunnel

LOG = logging.getLogger("bearer_proxy.gateway")

_ENDING = (BadTargetError, MethodNotImplementedError)  # after these a connection is closed, as nginx does


class Caller(Protocol):
    """The connection that a request came by."""

    server: Server
    downstream: Downstream
    drain: Drain
    retired: bool

    def write(self, *data: bytes) -> None: ...
    def abort(self) -> None: ...
    def give_away(self, request: Request) -> Upgraded: ...


class Turn:
    """What becomes of one request, or of a beginning that is none."""

    __slots__ = ("_began", "_caller", "_chunked", "_keep", "_sent", "_status", "_trail")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._trail = Trail()
        self._began = time.monotonic()
        self._sent = 0
        self._status = 499  # what nginx logs for a caller who hung up
        self._keep = False
        self._chunked = False

    async def run(self, request: Request) -> bool:
        """Forward, answer and log; tell whether the connection can have another turn."""
        caller, body = self._caller, request.body
        server = caller.server
        request.downstream = caller.downstream
        request.trail = self._trail
        server.in_flight += 1
        try:
            try:
                if body is not None and body.error is not None:
                    raise body.error  # noqa: TRY301 - as any other that forwarding ends with
                response = await server.forward(request)
                if response.upgraded is not None and (caller.retired or not server.allows(request)):
                    response.close()
                    raise CallerNotAdmittedError("the configuration that admitted this caller has changed")  # noqa: TRY301
            except RequestError as error:
                self._trail.error = error.error
                response = problem(error)
                # What cannot be understood may not end where it seems to.
                request.keep_alive = request.keep_alive and not isinstance(error, _ENDING)
            except Exception as error:  # noqa: BLE001 - nothing unmapped reaches a caller
                self._complain("a request", error)
                response = problem(RequestError())
            if request.added:
                response.headers.extend(request.added)
            keeps = server.keeps_alive and not (server.stopping or caller.retired)
            self._keep = request.keep_alive and keeps and (body is None or body.ended)
            await self._answer(response, request)
        except asyncio.CancelledError:
            self._trail.error = "caller_hung_up"
            caller.abort()
            raise
        finally:
            server.in_flight -= 1
            self._tell(request.method, request.target, 0 if body is None else body.received)
        return self._keep

    async def refuse(self, error: RequestError) -> None:
        """Answer what cannot be read as a request, and log it."""
        self._trail.error = error.error
        try:
            await self._answer(problem(error), Request("", "", []))
        finally:
            self._tell("-", "", 0)

    async def _answer(self, response: Response, request: Request) -> None:
        """Send a response, to its end or to a reset."""
        caller, body = self._caller, response.body
        bodiless = request.method == "HEAD" or response.status in NO_BODY
        try:
            head = self._head(response, request.version, bodiless=bodiless)
            self._status = response.status
            if response.upgraded is not None:
                await self._tunnel(head, response.upgraded, request)
            elif bodiless:
                caller.write(head)
            else:
                data = body.at_hand()
                if body.ended and not self._chunked:
                    self._sent = len(data)
                    caller.write(head, data)
                else:
                    await self._stream(head, data, body)
        except RequestError as error:
            self._fail(error.error)
        except Exception as error:  # noqa: BLE001 - nothing unmapped reaches a caller
            self._complain("an answer", error)
            self._fail(self._trail.error)
        finally:
            response.close()

    def _head(self, response: Response, version: str, *, bodiless: bool) -> bytes:
        """Give the head as it goes on the wire, framed as the caller's version has it."""
        fields = response.headers
        if response.upgraded is not None:
            self._keep = False
            fields.append(("Connection", "upgrade"))
        else:
            if response.length is None and not bodiless:
                self._chunked = version == "1.1"
                self._keep = self._keep and self._chunked
                if self._chunked:
                    fields.append(("Transfer-Encoding", "chunked"))
            if not self._keep:
                fields.append(("Connection", "close"))
            elif version == "1.0":
                fields.append(("Connection", "keep-alive"))
        return head_bytes(f"HTTP/1.1 {response.status} {response.reason}", fields)

    async def _stream(self, head: bytes, data: bytes, body: Readable) -> None:
        """Send a head and the beginning of a body, then each part as soon as it is there."""
        caller = self._caller
        ended = body.ended
        caller.write(head, *self._framed(data, ended=ended))
        while not ended:
            await caller.drain.drained()
            data = await body.read()
            ended = body.ended
            parts = self._framed(data, ended=ended)
            if parts:
                caller.write(*parts)

    def _framed(self, data: bytes, *, ended: bool) -> list[bytes]:
        """Give a part of a body as it goes on the wire."""
        self._sent += len(data)
        parts = [data] if data else []
        if self._chunked:
            if data:
                parts = [b"%x\r\n" % len(data), data, b"\r\n"]
            if ended:
                parts.append(LAST_CHUNK)
        return parts

    async def _tunnel(self, head: bytes, upgraded: Upgraded, request: Request) -> None:
        """Carry bytes both ways until both sides are done."""
        caller, server = self._caller, self._caller.server
        caller.write(head)
        tunnel = Tunnel(caller.give_away(request), upgraded, server.tunnel_limit, server.tunnel_stalled)
        try:
            await tunnel.carry()
        finally:
            self._sent = tunnel.sent

    def _fail(self, error: str) -> None:
        """Break off what cannot be ended as it should."""
        self._trail.error = error
        self._keep = False
        self._caller.abort()

    def _complain(self, what: str, error: Exception) -> None:
        LOG.error("%s failed in a way that was not foreseen: %s", what, type(error).__name__)
        self._trail.error = "internal_error"

    def _tell(self, method: str, target: str, received: int) -> None:
        """Log what happened, and count it."""
        seconds = time.monotonic() - self._began
        caller, trail, status = self._caller, self._trail, self._status
        server = caller.server
        if server.log is not None:
            peer = trail.address or caller.downstream.address or "unix"
            server.log.write(method, target, status, self._sent, seconds, peer, trail)
        if server.metrics is not None:
            server.metrics.request(trail.route, method, status, seconds, self._sent, received)
