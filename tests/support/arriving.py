"""A caller's body without a socket, as it arrives or is there, and where a test may hold whoever reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from proxy.errors import CallerError, RequestError


class Stop:
    """Holds whoever comes by the place `at`, for ever."""

    def __init__(self) -> None:
        self.at = ""
        self.reached = asyncio.Event()

    async def __call__(self, place: str) -> None:
        if place == self.at:
            self.reached.set()
            await asyncio.Event().wait()


class Arriving:
    """A caller's body: chunks that come one at a time, or the error that breaks it."""

    ended = False
    received = 0
    error: RequestError | None = None

    def __init__(self, stop: Stop, chunks: Iterable[bytes | CallerError]) -> None:
        self.stop = stop
        self.left = list(chunks)
        self.reads = 0

    def at_hand(self) -> bytes:
        return b""

    async def read(self) -> bytes:
        self.reads += 1
        await self.stop(f"body {self.reads}")
        item = self.left.pop(0) if self.left else b""
        if isinstance(item, CallerError):
            raise item
        self.ended = not item
        self.received += len(item)
        return item


class There(Arriving):
    """A caller's body that has come with its head."""

    ended = True

    def at_hand(self) -> bytes:
        data = b"".join(item for item in self.left if isinstance(item, bytes))
        self.left.clear()
        return data
