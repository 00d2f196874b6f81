"""Numbers about a vendor that others read or wait for, and the windows its quotas are counted in. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass


class Counters:
    """Named numbers; `reach` waits until one is high enough, so that no test needs to sleep."""

    def __init__(self, names: Iterable[str]) -> None:
        self._values = dict.fromkeys(names, 0)
        self._changed = asyncio.Event()

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def add(self, name: str, by: int = 1) -> None:
        self._values[name] += by
        self._changed.set()
        self._changed = asyncio.Event()

    def values(self) -> dict[str, int]:
        return dict(self._values)

    async def reach(self, name: str, at_least: int, seconds: float) -> bool:
        """True as soon as the number is reached, False when the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while self._values[name] < at_least:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


@dataclass(slots=True)
class Window:
    """Requests in a span of time that begins with its first request; so no span is cut by the wall clock's minute."""

    seconds: float
    started: float = float("-inf")
    count: int = 0

    def add(self, now: float) -> int:
        """The number of requests in the running span, this one with it."""
        if now - self.started >= self.seconds:
            self.started, self.count = now, 0
        self.count += 1
        return self.count
