"""Handshakes under way: so many at a time, of which the one that began first gives way to a new one.

asyncio shows a connection to nobody before its handshake is over, and so nobody could end it. Callers are therefore
taken in without TLS; it begins on a copy of their socket, which can be shut down at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

Shake = Callable[[socket.socket], Awaitable[object]]


class Handshakes:
    """Those of all listeners that share them, `most` at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: dict[socket.socket, None] = {}  # in the order in which they began
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Give how many are under way, without those that have given way."""
        return len(self._under_way)

    def begin(self, sock: socket.socket, shake: Shake) -> None:
        """Shake hands over a socket."""
        if len(self._under_way) >= self._most:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            with contextlib.suppress(OSError):  # the caller has gone
                oldest.shutdown(socket.SHUT_RDWR)
        self._under_way[sock] = None
        task = asyncio.get_running_loop().create_task(self._shaken(sock, shake))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shaken(self, sock: socket.socket, shake: Shake) -> None:
        try:
            await shake(sock)
        except OSError:  # of which ssl.SSLError is one: the caller was told, or has gone
            if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
                sock.detach()  # it may be closed, with its number left in the object (uvloop 0.23)
        finally:
            self._under_way.pop(sock, None)


class TakenIn(asyncio.Protocol):
    """A caller that was taken in: `shake` begins TLS at once, over a copy of its socket."""

    def __init__(self, handshakes: Handshakes, shake: Shake) -> None:
        self._handshakes = handshakes
        self._shake = shake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Leave the socket with nothing read of it."""
        sock = None
        with contextlib.suppress(OSError):  # no more files are to be had
            sock = transport.get_extra_info("socket").dup()
        transport.abort()  # type: ignore[attr-defined] # it is a stream's
        if sock is not None:
            self._handshakes.begin(sock, self._shake)
