"""What a caller sends: bytes in, its requests out in their order, each with its body as a stream.

    pipelined requests          are parsed when their turn comes; until then reading stops
    a request for an upgrade    nothing after it is parsed before it is answered
    what cannot be read         is the last item, after the requests before it; what comes then is not looked at

Knows nothing of answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...config import Limits
from ...errors import BadTargetError, ContentTooLargeError, RequestError, RequestTimeoutError
from ..memo import Memo
from ..message import Arrived, Headers, Request
from .deadlines import Deadlines
from .http1 import RequestParser
from .stream import Stream

_PIECE = 16 << 10  # bytes that are parsed at once: no more pipelined requests are held than fit in
_LONGEST_KNOWN = 2048  # bytes of a head that is remembered
# method, target, headers, version, host, the head itself and the body's length, by the bytes of a request's head
Known = Memo[bytes, tuple[str, str, Headers, str, str, bytes, int | None]]


class Inbox:
    """Parses what `feed` is given; `take` gives the requests. `ask` sends 100 Continue.

    `known` are requests that were parsed before: one that comes again, byte for byte, needs no parsing. A body's next
    bytes are waited for as long as `body_limit` says.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        limits: Limits,
        known: Known,
        body_limit: Deadlines[Stream],
        ask: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self.received = 0  # bytes of bodies
        self._most = limits.client_max_body_size
        self._known = known
        self._body_limit = body_limit
        self._ask = ask
        self._parser = RequestParser(self, limit=limits.max_request_headers, count=limits.max_headers_count)
        self._items: list[Request | RequestError] = []
        self._waiting: asyncio.Future[None] | None = None
        self._body: Stream | None = None  # of the request that is being received
        self._unparsed = b""  # what came after a request that is not answered yet
        self._upgrading = False
        self._full = False  # the body's reader is behind
        self._paused = False
        self.finished = False  # the caller sends no more
        self.closed = False  # nothing that comes is looked at any more

    @property
    def waiting(self) -> bool:
        """Whether nothing is under way but the wait for a request."""
        return self._waiting is not None and not self._items

    @property
    def fresh(self) -> bool:
        """Whether no byte has come that belongs to no request yet."""
        return self._parser.fresh and not self._unparsed

    @property
    def whole(self) -> bool:
        """Whether every request that has begun has come to its end."""
        return self._body is None and not self.closed

    def feed(self, data: bytes) -> None:
        """Take what has come: parse it, or keep it until its turn."""
        if self._unparsed or self._upgrading or (self._items and self._body is None):
            self._unparsed += data
            self._regulate()
        elif self._items or self._body is not None or not self._parser.fresh or not self._recognized(data):
            self._parse(data)

    def _recognized(self, data: bytes) -> bool:
        """Take a whole request whose head is known. What is whole and plain is known the next time."""
        end = data.find(b"\r\n\r\n") + 4
        head, body = (data, b"") if end == len(data) else (data[:end], data[end:])
        known = self._known.get(head)
        if known is not None and len(body) == (known[-1] or 0):
            request = Request(*known)
            if request.length is not None:
                request.has_body, request.body = True, Arrived(body)
            self._items.append(request)
            self._wake()
            return True
        if known is None and 4 <= end <= _LONGEST_KNOWN:
            self._parse(data)
            self._learn(head, len(body))
            return True
        return False

    def _learn(self, head: bytes, rest: int) -> None:
        """Remember what a head was parsed to, if it and the body, `rest` bytes, were one request of the plainest kind.

        Whoever sends these bytes again will have sent that request: so nothing else may have been in them.
        """
        request = self._items[0] if len(self._items) == 1 else None
        if not isinstance(request, Request) or self._body is not None or self.closed or not self.fresh:
            return
        if head[:1] in b"\r\n":  # empty lines before a request: its head goes on after them
            return
        plain = request.keep_alive and not (request.upgrade or request.expects or self._upgrading)
        if plain and rest == (request.length or 0) and request.has_body == (request.length is not None):
            request.raw = head
            known = request.method, request.target, request.headers, request.version, request.host, head, request.length
            self._known.keep(head, known)

    def take(self) -> Request | RequestError | None:
        """Give the next request, or why it cannot be read; None if none has come yet."""
        self._upgrading = False
        if self._full:  # of a body that nobody reads any more
            self._full = False
            self._regulate()
        if self._unparsed and not self._items:
            early, self._unparsed = self._unparsed, b""
            self._parse(early)
        item = self._items.pop(0) if self._items else None
        self._upgrading = isinstance(item, Request) and _changes_protocol(item)
        return item

    def wait(self) -> asyncio.Future[None]:
        """Give what is done when there is something to take, or never will be."""
        self._waiting = self._loop.create_future()
        if self.finished:
            self._waiting.set_result(None)
        return self._waiting

    def refuse(self, error: RequestError) -> None:
        """Take no more; `error` says why to the reader of the body that is coming, or in place of a next request."""
        if self.closed:
            return
        self.closed = True
        self._unparsed = b""
        if self._body is not None:
            self._body.fail(error)
            self._body = None
        else:
            self._items.append(error)
            self._wake()
        self._full = False
        self._regulate()

    def finish(self) -> None:
        """The caller sends no more."""
        self.finished = True
        self._wake()

    def close(self) -> None:
        """Look at nothing any more: the caller is gone, or has its last answer."""
        self.refuse(BadTargetError("the caller hung up in its request"))
        self._parser.close()

    def rest(self) -> bytes:
        """Give what has come after a request for an upgrade."""
        early, self._unparsed = self._unparsed, b""
        return early

    def head_received(self, request: Request) -> None:
        """Hear that a request begins."""
        if self.closed:  # in the middle of what is being parsed
            return
        if request.has_body:
            wanted = self._ask if request.expects else None
            request.body = self._body = Stream(self._hold, self._body_limit, _not_sent, wanted)
            if self._most and request.length is not None and request.length > self._most:
                self.refuse(self._too_large())
        elif _changes_protocol(request):
            self._upgrading = True
        self._items.append(request)
        self._wake()

    def body_received(self, data: bytes) -> None:
        """Hear that it goes on."""
        self.received += len(data)
        if self._body is None:
            return
        if self._most and self._body.received + len(data) > self._most:
            self.refuse(self._too_large())
        else:
            self._body.feed(data)

    def _too_large(self) -> RequestError:
        return ContentTooLargeError(f"a request's body is {self._most} bytes at most here")

    def message_ended(self) -> None:
        """Hear that it is whole."""
        if self._body is not None:
            self._body.end()
            self._body = None

    def _parse(self, data: bytes) -> None:
        """Parse, until a whole request waits for its turn."""
        try:
            if len(data) <= _PIECE:
                self._parser.feed(data)
            else:
                rest = self._parse_pieces(data)
                self._unparsed = b"" if self.closed else rest
        except RequestError as error:
            self.refuse(error)
            return
        if self._upgrading:
            self._unparsed = self._parser.rest() + self._unparsed
        if self._unparsed or self._paused:
            self._regulate()

    def _parse_pieces(self, data: bytes) -> bytes:
        """Parse no more than what is wanted; give the rest."""
        for begin in range(0, len(data), _PIECE):
            if self._upgrading or self.closed or (self._items and self._body is None):
                return data[begin:]
            self._parser.feed(data[begin : begin + _PIECE])
        return b""

    def _hold(self, reading: bool) -> None:
        self._full = not reading
        self._regulate()

    def _regulate(self) -> None:
        """Read while there is room for what comes."""
        pause = self._full or bool(self._unparsed)
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiting is not None:
            if not self._waiting.done():
                self._waiting.set_result(None)
            self._waiting = None


def _changes_protocol(request: Request) -> bool:
    return bool(request.upgrade) or request.method == "CONNECT"


def _not_sent() -> RequestError:
    return RequestTimeoutError("the request's body did not come in time")
