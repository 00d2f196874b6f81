"""Time limits that cost next to nothing: many waits of one length share one timer.

All waits of a `Deadlines` last equally long, so the one that began first ends first, and a dict in order of beginning
is the whole queue. A wait that is started and stopped again, as nearly all are, costs two dict operations, no timer;
where waits follow each other closely it need not even be stopped: who is told looks whether it still waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls `expire` with each item that is not stopped within `seconds` of its start. One wait an item."""

    def __init__(self, seconds: float, expire: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._expire = expire
        self._began: dict[T, float] = {}
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._timer: asyncio.TimerHandle | None = None

    def start(self, item: T) -> None:
        """Begin to wait, anew if that was begun before."""
        began = self._began
        if item in began:
            del began[item]
        began[item] = self._now()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self, item: T) -> None:
        """Wait no more."""
        self._began.pop(item, None)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._began)

    def __iter__(self) -> Iterator[T]:
        """Give the items, those that began first before the others."""
        return iter(self._began)

    def close(self) -> None:
        """Forget all."""
        self._began.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        due = self._loop.time() - self._seconds + 0.001  # the loop's clock ticks in milliseconds
        late = []
        for item, began in self._began.items():
            if began > due:
                self._timer = self._loop.call_at(began + self._seconds, self._look)
                break
            late.append(item)
        for item in late:
            del self._began[item]
        for item in late:
            self._expire(item)
