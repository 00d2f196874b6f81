"""The connections to one upstream: kept for the next request, no more than may be at a time (D9).

The one given back last is taken first, so that the others come to their idle limit. One that is older than
`keepalive_time` is not taken again: the next connection asks DNS anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from ...config import Limits
from ...errors import ProxyLimitError
from .deadlines import Deadlines


class Pooled(Protocol):
    """A connection, as its pool sees it. `made` is the loop's time at which it came about."""

    made: float

    def close(self) -> None:
        """Close it. The pool then hears `lost`."""


C = TypeVar("C", bound=Pooled)


class Pool(Generic[C]):
    """Connections that `dial` makes. `idle` is how long unused ones are kept."""

    def __init__(self, dial: Callable[[], Awaitable[C]], limits: Limits, idle: Deadlines[C]) -> None:
        self._dial = dial
        self._limits = limits
        self._idle_limit = idle
        self._idle: list[C] = []
        self._open = 0  # connections, those that are being made among them
        self._made: set[C] = set()
        self._waiting: deque[asyncio.Future[C | None]] = deque()
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    @property
    def open(self) -> int:
        """How many connections there are."""
        return self._open

    @property
    def pending(self) -> int:
        """How many requests wait for a connection."""
        return len(self._waiting)

    def kept(self) -> C | None:
        """Give a connection that was kept from before, if there is one."""
        return self._idle.pop() if self._idle else None

    async def fresh(self) -> C:
        """Give a connection that is new, unless all that may be are in use: then the first that is given back.

        Raises what `dial` does, or `ProxyLimitError`.
        """
        while self._open >= self._limits.max_connections:
            given = await self._turn()
            if given is None:
                break
            if given in self._made:  # it may have been closed on the way
                return given
        else:
            self._open += 1
        try:
            connection = await self._dial()
        except BaseException:
            self._freed()
            raise
        self._made.add(connection)
        return connection

    def give_back(self, connection: C) -> None:
        """Keep a connection for the next request, or close it."""
        if connection not in self._made:  # it is closed
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        limits = self._limits
        if len(self._idle) < limits.keepalive and self._loop.time() - connection.made < limits.upstream_keepalive_time:
            self._idle.append(connection)
            self._idle_limit.start(connection)
        else:
            connection.close()

    def lost(self, connection: C) -> None:
        """Hear that a connection is closed, or is about to be."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._idle_limit.stop(connection)
        if connection in self._made:
            self._made.remove(connection)
            self._freed()

    def close(self) -> None:
        """Close all that are not in use."""
        for connection in [*self._idle]:
            connection.close()

    async def _turn(self) -> C | None:
        """Wait for a connection, or for the room for one. Raises `ProxyLimitError` when there is no use in it."""
        limits = self._limits
        if len(self._waiting) >= limits.max_pending_requests:
            raise ProxyLimitError("too many requests wait for a connection to the upstream already")
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(limits.connect_timeout):
                given: C | None = await waiter
                return given
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                raise ProxyLimitError("no connection to the upstream became free in time") from None
            raise

    def _pass_on(self, given: C | None) -> None:
        """Give to another what came to one who waits no more."""
        if given is None:
            self._freed()
        else:
            self.give_back(given)

    def _freed(self) -> None:
        """Hand the room for a connection to whoever waits for it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._open -= 1
