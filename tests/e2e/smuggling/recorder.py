"""Both ends of a proxy under attack, on raw sockets: an upstream that records all, and a caller that sends any bytes.

The upstream reads strictly, answers each whole request by a script, and closes the connection on anything else. Nobody
waits longer than `LIMIT` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.e2e.smuggling.strict import Malformed, Request, start_line, take_request
from tests.e2e.smuggling.unread import unread_by_peer
from tests.support.resets import will_reset

LIMIT = 6.0  # seconds: longer than any limit that the proxies under test are given
_PIECE = 1 << 16
EARLY = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly"


class Do(Enum):
    """A step of an answer that is not bytes."""

    CLOSE = "close the connection in order"
    RESET = "close the connection with a reset"
    WATCH = "wait until the proxy closes the connection"
    REPEAT = "send the step before again, until the connection is closed"


Steps = Sequence[bytes | Do]
Script = Callable[[Request], Steps]


def named(request: Request) -> Steps:
    """An answer whose body names the request's target."""
    body = b"answer to " + request.target
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return [head if request.method == b"HEAD" else head + body]


class Recorder:
    """An upstream on a listening socket. `requests` are the whole ones, `cut` the start lines of those that broke off,
    `faults` what was not HTTP; `watched` connections were closed by the proxy when that was waited for, and `early`
    requests were answered before they were whole.
    """

    def __init__(self, script: Script = named) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.cut: list[bytes] = []
        self.faults: list[str] = []
        self.watched = 0
        self.early = 0
        self._early: set[socket.socket] = set()
        self._rests: dict[socket.socket, bytes] = {}
        self._news = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[Recorder]:
        """Serve while the context is open."""
        tasks: set[asyncio.Task[None]] = set()

        async def accept() -> None:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                tasks.add(asyncio.create_task(self._serve(connection)))

        tasks.add(asyncio.create_task(accept()))
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [] == [end for end in ends if isinstance(end, Exception)]

    def forget(self) -> None:
        """Begin anew; connections stay."""
        self.script = named
        self.requests, self.cut, self.faults = [], [], []
        self.watched = self.early = 0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition on what is recorded holds."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def settled(self) -> None:
        """Return as soon as no request is left half: each is whole, or its connection closed."""
        await self.until(lambda: not any(self._rests.values()))

    async def _serve(self, connection: socket.socket) -> None:
        self._rests[connection] = b""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while data := await asyncio.get_running_loop().sock_recv(connection, _PIECE):
                    self._rests[connection] += data
                    await self._answer_early(connection)
                    await self._taken(connection)
                    self._news.set()
            except Malformed as fault:
                self.faults.append(f"{fault}: {start_line(self._rests[connection])!r}")
            except (OSError, _Closed):
                pass
            finally:
                self._early.discard(connection)
                rest = self._rests.pop(connection)
                if rest:
                    self.cut.append(start_line(rest))
                self._news.set()

    async def _answer_early(self, connection: socket.socket) -> None:
        """Answer a request to /early when its head is there; the script has nothing more to say to it."""
        head, end, _ = self._rests[connection].partition(b"\r\n\r\n")
        if end and head.startswith(b"POST /early ") and connection not in self._early:
            self._early.add(connection)
            await self._step(EARLY, connection)
            self.early += 1

    async def _taken(self, connection: socket.socket) -> None:
        """Record what is whole, and answer it."""
        while taken := take_request(self._rests[connection]):
            request, self._rests[connection] = taken
            self.requests.append(request)
            self._early.discard(connection)
            self._news.set()
            before: bytes | Do = b""
            for step in self.script(request):
                while step is Do.REPEAT:
                    await self._step(before, connection)
                await self._step(step, connection)
                before = step

    async def _step(self, step: bytes | Do, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(step, bytes):
            await loop.sock_sendall(connection, step)
            await swallowed(connection)
        elif step is Do.WATCH:
            async with asyncio.timeout(LIMIT):
                while data := await loop.sock_recv(connection, _PIECE):
                    self._rests[connection] += data
            self.watched += 1
            raise _Closed
        else:
            if step is Do.RESET:
                will_reset(connection)
            raise _Closed


class _Closed(Exception):  # noqa: N818 - a way out, no error
    """The connection is at its end."""


@dataclass(frozen=True)
class Heard:
    """What a caller got: all bytes, and how the connection ended."""

    data: bytes
    end: str  # "closed", "reset", or "open" when nothing ended it in time


class Caller:
    """A caller on a connection of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def send(self, *segments: bytes) -> None:
        """Send, each segment when the one before has been read. What the other side says to it, `heard` tells."""
        with contextlib.suppress(OSError):
            for segment in segments:
                await asyncio.get_running_loop().sock_sendall(self._connection, segment)
                await swallowed(self._connection)

    async def heard(self) -> Heard:
        """Hear to the end of the connection."""
        data, end = bytearray(), "open"
        try:
            async with asyncio.timeout(LIMIT):
                while piece := await asyncio.get_running_loop().sock_recv(self._connection, _PIECE):
                    data += piece
                end = "closed"
        except ConnectionError:
            end = "reset"
        except TimeoutError:
            pass
        return Heard(bytes(data), end)


@contextlib.asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    """A connection to 127.0.0.1, on which segments are not held back to be sent together."""
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        yield Caller(connection)


async def play(port: int, *segments: bytes) -> Heard:
    """Send on a connection of one's own, and hear to its end."""
    async with calling(port) as caller:
        sending = asyncio.create_task(caller.send(*segments))
        try:
            return await caller.heard()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def swallowed(connection: socket.socket) -> None:
    """Return as soon as the process on the other side has read all that was sent, or closed; bounded."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT):
            while unread_by_peer(connection):
                await asyncio.sleep(0)
