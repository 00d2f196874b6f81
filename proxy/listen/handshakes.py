"""Handshakes under way, so many at a time; callers who say nothing do not keep out those who do.

asyncio shows a connection to nobody before its handshake is over, and so nobody could end it. Callers are therefore
taken in without TLS; it begins on a copy of their socket, as soon as something has come. Where all places are taken,

    the caller that is silent longest       gives way to a new one
    without one, the handshake that began   gives way, if it has had time enough to come from anywhere
    first
    else the new one                        is turned away: the others, which are just as good, are soon done
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

Shake = Callable[[socket.socket], Awaitable[object]]

_ENOUGH = 2.0  # seconds: some round trips to any place there is


class _Silent(NamedTuple):
    """A caller of whom nothing has come yet. `limit` ends its wait."""

    shake: Shake
    limit: asyncio.TimerHandle


class Handshakes:
    """Those of all listeners that share them, `most` at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._silent: dict[socket.socket, _Silent] = {}  # in the order in which they came
        self._under_way: dict[socket.socket, float] = {}  # when they began, in that order
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Give how many places are taken."""
        return len(self._silent) + len(self._under_way)

    def take(self, sock: socket.socket, shake: Shake, within: float) -> None:
        """Have `shake` begin on a socket when something has come, or close it after `within` seconds."""
        if len(self) >= self._most and not self._made_room():
            sock.close()
        elif _has_spoken(sock):
            self._begin(sock, shake)
        else:
            loop = asyncio.get_running_loop()
            self._silent[sock] = _Silent(shake, loop.call_later(within, self._drop, sock))
            loop.add_reader(sock, self._heard, sock)

    def close(self) -> None:
        """Close on those who have said nothing."""
        for sock in [*self._silent]:
            self._drop(sock)

    def _made_room(self) -> bool:
        for sock in [*self._silent]:
            if not _has_spoken(sock):
                self._drop(sock)
                return True
            self._heard(sock)
        oldest, began = next(iter(self._under_way.items()))
        if asyncio.get_running_loop().time() < began + _ENOUGH:
            return False
        del self._under_way[oldest]
        with contextlib.suppress(OSError):  # the caller has gone
            oldest.shutdown(socket.SHUT_RDWR)
        return True

    def _heard(self, sock: socket.socket) -> None:
        self._begin(sock, self._waits_no_more(sock))

    def _drop(self, sock: socket.socket) -> None:
        self._waits_no_more(sock)
        sock.close()

    def _waits_no_more(self, sock: socket.socket) -> Shake:
        asyncio.get_running_loop().remove_reader(sock)
        silent = self._silent.pop(sock)
        silent.limit.cancel()
        return silent.shake

    def _begin(self, sock: socket.socket, shake: Shake) -> None:
        loop = asyncio.get_running_loop()
        self._under_way[sock] = loop.time()
        task = loop.create_task(self._shaken(sock, shake))
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
    """A caller that was taken in: TLS begins by `shake`, over a copy of its socket, if it speaks `within` seconds."""

    def __init__(self, handshakes: Handshakes, shake: Shake, within: float) -> None:
        self._handshakes = handshakes
        self._shake = shake
        self._within = within

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Leave the socket with nothing read of it."""
        sock = None
        with contextlib.suppress(OSError):  # no more files are to be had
            sock = transport.get_extra_info("socket").dup()
        transport.abort()  # type: ignore[attr-defined] # it is a stream's
        if sock is not None:
            self._handshakes.take(sock, self._shake, self._within)


def _has_spoken(sock: socket.socket) -> bool:
    """Tell whether there is something to be read, an end or an error among it."""
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
