"""Two connections joined: what either receives the other sends, until both are at their end (RFC 9110 section 7.8).

Takes connections over as they are, after `101 Switching Protocols`, and knows nothing of what is spoken in them.
"""

from __future__ import annotations

import asyncio

from ..message import Upgraded
from .deadlines import Deadlines


class Tunnel:
    """Joins a caller's connection with an upstream's. `sent` counts the bytes that went to the caller.

    It is over when nothing has gone through for as long as `limit` says, or one side has taken nothing for as long as
    `stalled` says.
    """

    def __init__(
        self, caller: Upgraded, upstream: Upgraded, limit: Deadlines[Tunnel], stalled: Deadlines[Tunnel]
    ) -> None:
        self._limit = limit
        self._stalled = stalled
        self._ended = asyncio.get_running_loop().create_future()
        self._open = 2
        self._ends = (_End(self, caller.transport), _End(self, upstream.transport))
        for end, other, early in zip(self._ends, reversed(self._ends), (caller, upstream), strict=True):
            end.join(other, early.received)

    @property
    def sent(self) -> int:
        """Bytes that went to the caller."""
        return self._ends[1].received

    async def carry(self) -> None:
        """Return when both connections are closed. Neither outlives this call."""
        self._limit.start(self)
        try:
            await self._ended
        finally:
            self._limit.stop(self)
            self._stalled.stop(self)
            self.abort()

    def stall(self) -> None:
        """Hear that a side takes nothing for now."""
        self._stalled.start(self)

    def flow(self) -> None:
        """Hear that it takes more again."""
        self._stalled.stop(self)

    def moved(self) -> None:
        """Hear that something went through."""
        self._limit.start(self)

    def lost(self) -> None:
        """Hear that a connection is closed."""
        self._open -= 1
        self.stall()  # what the other side has not taken in time it will not take
        if not self._open and not self._ended.done():
            self._ended.set_result(None)

    def abort(self) -> None:
        """Close both at once: nothing has gone through for too long, or nobody waits for the end."""
        for end in self._ends:
            end.transport.abort()


class _End(asyncio.Protocol):
    """One of the two connections."""

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.received = 0
        self._tunnel = tunnel
        self._ended = False  # it sends no more
        self._peer: _End
        self._other: asyncio.Transport

    def join(self, other: _End, early: bytes) -> None:
        """Take the connection over. `early` came before that."""
        self._peer = other
        self._other = other.transport
        self.transport.set_protocol(self)
        if early:
            self.data_received(early)
        if self.transport.is_closing():
            self.connection_lost(None)
        else:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Send it on."""
        self.received += len(data)
        self._tunnel.moved()
        self._other.write(data)

    def eof_received(self) -> bool:
        """Send the end on, and stay open for the other way, where the connection can be half closed."""
        self._ended = True
        if self._peer._ended:  # noqa: SLF001 - of the same class
            return False  # nothing comes from either any more: closed, as the other will be
        if not self._other.is_closing() and self._other.can_write_eof() and self.transport.can_write_eof():
            self._other.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        """This one takes no more: the other is not to be read."""
        self._tunnel.stall()
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        """This one takes more again."""
        self._tunnel.flow()
        if not self._other.is_closing():
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other: in order, or as this one broke."""
        if exc is None:
            self._other.close()
        else:
            self._other.abort()
        self._tunnel.lost()
