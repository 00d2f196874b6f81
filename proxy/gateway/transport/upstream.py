"""One connection to an upstream: a request out, its answer in as it comes, and then the next.

    bytes before a request, or after an answer      belong to nobody: the connection is closed
    an answer before the request is out             passes on at once; the request goes on, the connection is not kept
    an end in an answer that says its length        is a failure; so is a reset where the end itself is the length
    an answer that nobody reads to its end          takes the connection with it

One request at a time, and no pipelining: an answer belongs to the request that went before it.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from ...config import Limits, Upstream
from ...errors import (
    RequestError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReadTimeoutError,
    UpstreamSendTimeoutError,
    UpstreamTerminatedError,
)
from ..body import PassOverError
from ..message import Body, Outbound, Upgraded
from .deadlines import Deadlines
from .http1 import LAST_CHUNK, ResponseHead, ResponseParser, chunk, has_field
from .pool import Pool
from .stream import Drain, Stream


@dataclass(frozen=True, slots=True)
class Times:
    """The time limits that all connections share."""

    head: Deadlines[UpstreamConnection]
    body: Deadlines[Stream]
    send: Deadlines[Drain]


class Answer(Stream):
    """An upstream's answer. Its connection is kept for others if it was read to its end when `close` is called."""

    upgraded: Upgraded | None = None

    def __init__(self, connection: UpstreamConnection, head: ResponseHead) -> None:
        super().__init__(connection.hold, connection.times.body, connection.read_late)
        self._connection: UpstreamConnection | None = connection
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.length = head.length

    def close(self) -> None:
        """Be done with it."""
        if self._connection is not None:
            if self._chunks:
                self.at_hand()  # what nobody has read holds up nobody
            self._connection.done()
            self._connection = None


class UpstreamConnection(asyncio.Protocol):
    """A connection to `upstream`, which its `pool` keeps. One request at a time."""

    def __init__(self, upstream: Upstream, pool: Pool[UpstreamConnection], limits: Limits, times: Times) -> None:
        self._loop = asyncio.get_running_loop()
        self.made = self._loop.time()
        self.heard = False  # anything of the answer to this request
        self.received = 0  # bytes of bodies
        self.transport: asyncio.Transport
        self._upstream = upstream
        self._pool = pool
        self._limits = limits
        self.times = times
        self._drain: Drain
        self._parser = self._new_parser()
        self._busy = False
        self._method = ""
        self._waiting: asyncio.Future[None] | None = None  # for the answer's head
        self._answer: Answer | None = None
        self._pump: asyncio.Task[None] | None = None
        self._error: RequestError | None = None
        self._keep = True
        self._sent = False  # all of the request's body is out
        self._complete = False  # the answer has come to its end
        self._until_close = False  # which is the connection's

    async def request(self, head: bytes, request: Outbound) -> Answer:
        """Send a request; give its answer when the head is there. Call `Answer.close` then.

        Raises `UpstreamError`, or what ended the caller's body; the connection is then closed.
        """
        self._begin(request.method)
        loop, body = self._loop, request.body
        try:
            if body is None:
                self.transport.write(head)
            elif (whole := body.whole) is not None:
                self.transport.write(head + (whole if body.length is not None else chunk(whole) + LAST_CHUNK))
            else:
                self.transport.write(head)
                self._pump = loop.create_task(self._send(body))
            if self._pump is None:
                self.times.head.start(self)
            self._waiting = loop.create_future()
            await self._waiting
            return self._begun(wanted=bool(request.upgrade))
        except BaseException:
            self._keep = False
            self.done()
            raise

    def done(self) -> None:
        """Be done with the request: keep the connection for the next, or close it."""
        if self._pump is not None:
            self._pump.cancel()
            self._keep = self._keep and self._sent
            self._pump = None
        kept = self._keep and self._complete
        self._busy = False
        self._answer = None
        if kept and not self.transport.is_closing():
            self._pool.give_back(self)
        else:
            self.close()

    def close(self) -> None:
        """Close it."""
        self._keep = False
        self._pool.lost(self)
        self.transport.abort()

    def expire(self) -> None:
        """The answer has not begun in time, if one is still waited for."""
        if self._waiting is not None:
            self._fail(self.read_late())

    def idle_too_long(self) -> None:
        """Close, if there is still no request."""
        if not self._busy:
            self.close()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment]
        self._drain = Drain(self.transport, self.times.send, self._send_late)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, if anything was asked for."""
        if not self._busy or self._complete:
            self.close()
            return
        self.heard = True
        try:
            self._parser.feed(data)
        except UpstreamError as error:
            self._keep = False
            if not self._complete:
                self._fail(error)
        if self._answer is not None and self._answer.status == 101:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is at its end: that of the answer too, or before it."""
        self._keep = False
        origin = self._upstream.origin
        closed = UpstreamTerminatedError(f"{origin} closed the connection before its answer was complete")
        self._drain.fail(closed)
        if self._answer is not None and self._until_close and exc is None and not self._complete and self._ended_well():
            self.message_ended()
        elif self._busy:
            self._fail(closed)
        self._parser.close()
        self._pool.lost(self)

    def pause_writing(self) -> None:
        """The upstream does not keep up."""
        self._drain.pause()

    def resume_writing(self) -> None:
        """The upstream takes more again."""
        self._drain.resume()

    # What the parser calls.

    def head_received(self, head: ResponseHead) -> None:
        """Hear that an answer begins."""
        if self._complete:
            self._keep = False
            return
        self._keep = self._keep and head.keep_alive
        self._until_close = not head.delimited
        self._answer = Answer(self, head)
        if self._method == "HEAD":
            self.message_ended()
        self._wake()

    def body_received(self, data: bytes) -> None:
        """Hear that it goes on."""
        self.received += len(data)
        if self._answer is None or self._complete:
            self._keep = False
        else:
            self._answer.feed(data)

    def message_ended(self) -> None:
        """Hear that it is complete."""
        if self._answer is not None:
            self._answer.end()
        self._complete = True

    # One request.

    def _begin(self, method: str) -> None:
        if self._method == "HEAD":
            self._parser.close()  # it may wait for a body
            self._parser = self._new_parser()
        self._method = method
        self._busy = True
        self._complete = self.heard = self._sent = False

    def _begun(self, *, wanted: bool) -> Answer:
        """Give the answer whose head has come, or raise what came in its place. `wanted` is an upgrade."""
        answer = self._answer
        if answer is None or self._error is not None:
            raise self._error or UpstreamTerminatedError()
        if answer.status == 101:
            if not wanted or not has_field(answer.headers, "upgrade"):
                raise UpstreamProtocolError("the upstream switched protocols without being asked")
            answer.upgraded = Upgraded(self.transport, self._parser.rest())
        return answer

    async def _send(self, body: Body) -> None:
        """Send a body as its parts come."""
        write, drained = self.transport.write, self._drain.drained
        try:
            async for data in body:
                write(data if body.length is not None else chunk(data))
                await drained()
            if body.length is None:
                write(LAST_CHUNK)
        except RequestError as error:
            self._fail(error)
        except PassOverError:
            pass  # the rest is not at hand any more: the connection is not kept
        else:
            self._sent = True
            if self._waiting is not None:
                self.times.head.start(self)

    def _fail(self, error: RequestError) -> None:
        """End the request: nobody can tell any more what the connection carries."""
        self._keep = False
        if self._answer is None:
            self._error = self._error or error
            self._wake()
        else:
            self._answer.fail(error)
        self.transport.abort()

    def _ended_well(self) -> bool:
        """Tell whether the end was meant: with TLS it is told, and else may be anybody's (RFC 9112 section 9.8)."""
        tls = self.transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except (ssl.SSLError, ValueError):
            return False
        return False

    def _wake(self) -> None:
        if self._waiting is not None:
            if not self._waiting.done():
                self._waiting.set_result(None)
            self._waiting = None

    def _new_parser(self) -> ResponseParser:
        return ResponseParser(self, limit=self._limits.max_response_headers, count=self._limits.max_headers_count)

    def hold(self, reading: bool) -> None:
        """Read on, or read no more for now."""
        if not self.transport.is_closing():
            if reading:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def read_late(self) -> RequestError:
        """Say that the upstream was waited for too long."""
        return UpstreamReadTimeoutError(f"{self._upstream.origin} did not answer in time")

    def _send_late(self) -> RequestError:
        return UpstreamSendTimeoutError(f"{self._upstream.origin} did not take the body in time")
