"""Back-pressure, both ways: a body that waits to be read, and a connection that waits to be written to.

Nothing here grows with the size of a body: past `HIGH` bytes that nobody has read the connection is read no more, and a
writer waits while the transport holds more than it may (D7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...errors import RequestError
from .deadlines import Deadlines

_LEAST = 128  # bytes that a piece counts for, however small: there may be many
HIGH = 256 << 10  # bytes that have come and were not read, from which on no more is read; and bytes not written yet


class Stream:
    """A body as it arrives: a connection feeds it, one coroutine reads it.

    `hold` is told whether the connection is to be read on. `limit` is how long a reader waits for the next bytes; it is
    then told what `late` gives. `wanted` is called before its first wait.
    """

    ended = False
    received = 0  # bytes in all
    _size = 0  # of them not read yet
    _holding = False
    _waiter: asyncio.Future[None] | None = None
    _error: RequestError | None = None

    def __init__(
        self,
        hold: Callable[[bool], None],
        limit: Deadlines[Stream],
        late: Callable[[], RequestError],
        wanted: Callable[[], None] | None = None,
    ) -> None:
        self._hold = hold
        self._limit = limit
        self._late = late
        self._wanted = wanted
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._chunks.append(data)
        self._size += max(len(data), _LEAST)
        self.received += len(data)
        if self._size >= HIGH and not self._holding:
            self._holding = True
            self._hold(False)
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        """All has come."""
        self.ended = True
        if self._waiter is not None:
            self._wake()

    def fail(self, error: RequestError) -> None:
        """No more will come. What has come can still be read, then the reader is told."""
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    @property
    def error(self) -> RequestError | None:
        """What it failed with."""
        return self._error

    def expire(self) -> None:
        """The reader has waited as long as it may."""
        self.fail(self._late())

    def at_hand(self) -> bytes:
        """Give what has come and was not read yet."""
        if not self._chunks:
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._size = 0
        if self._holding:
            self._holding = False
            self._hold(True)
        return data

    async def read(self) -> bytes:
        """Give the next bytes, empty at the end. Raises what it failed with."""
        while not self._chunks and not self.ended:
            if self._error is not None:
                raise self._error
            if self._wanted is not None:
                self._wanted()
                self._wanted = None
            self._waiter = asyncio.get_running_loop().create_future()
            self._limit.start(self)
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._limit.stop(self)
        return self.at_hand()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Drain:
    """The writing side of a connection: `pause` and `resume` are what its transport says, `drained` is its writer's.

    A writer is `late` when the other side has taken nothing at all for as long as `limit` says.
    """

    __slots__ = ("_error", "_late", "_limit", "_pending", "_transport", "_waiter", "full")

    def __init__(
        self, transport: asyncio.WriteTransport, limit: Deadlines[Drain], late: Callable[[], RequestError]
    ) -> None:
        self._transport = transport
        self._limit = limit
        self._late = late
        self.full = False
        self._pending = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: RequestError | None = None
        transport.set_write_buffer_limits(HIGH)

    def pause(self) -> None:
        """The transport holds more than it should."""
        self.full = True

    def resume(self) -> None:
        """The transport takes more again."""
        self.full = False
        self._wake()

    def fail(self, error: RequestError) -> None:
        """Nothing can be written any more."""
        if self._error is None:
            self._error = error
            self._wake()

    def expire(self) -> None:
        """Look whether anything was taken in this while."""
        pending = self._transport.get_write_buffer_size()
        if pending < self._pending:
            self._pending = pending
            self._limit.start(self)
        else:
            self.fail(self._late())

    def empty(self) -> None:
        """Have `drained` wait until the transport holds nothing."""
        self._transport.set_write_buffer_limits(1, 0)  # with a limit of 0 a TLS transport would never say so

    async def drained(self) -> None:
        """Wait until more may be written. Raises what it failed with."""
        while self.full and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            self._pending = self._transport.get_write_buffer_size()
            self._limit.start(self)
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._limit.stop(self)
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
