"""A caller's request body: read once, streamed on at once, and kept for a second sending while it fits (D5).

What is kept lies in memory while it is small, and beyond that in a spool file that has no name. Keeping never makes
sending wait for more than the next chunk; past a limit nothing is kept any more and the body streams on.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from ..errors import CallerError, SpoolError

CHUNK = 64 << 10  # bytes read back from a spool file at once
_READ_BY_ANOTHER = b"read by another"  # told by identity: a pass looks again at what is kept


class Spool:
    """The disk space that all kept bodies share: `limit` bytes in `folder`."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self.used = 0

    def reserve(self, size: int) -> bool:
        """Take `size` bytes of the limit, if they are left."""
        if self.used + size > self._limit:
            return False
        self.used += size
        return True

    def free(self, size: int) -> None:
        """Give `size` bytes back."""
        self.used -= size

    def check(self) -> None:
        """See that files can be made. Raises `SpoolError`."""
        try:
            os.close(self.open())
        except OSError as error:
            raise SpoolError(
                f"request bodies cannot be kept in {self._folder}: {error.strerror}: name another folder in spool_dir"
            ) from None

    def open(self) -> int:
        """Open a file that has no name and give its descriptor. Raises OSError."""
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            return os.dup(file.fileno())


class PassOverError(RuntimeError):
    """This pass over a body cannot go on: another has begun, or what it needs is not kept any more."""


class WholeBody:
    """A body that came with its head and is small: it is at hand as often as it is asked for."""

    __slots__ = ("_data", "length")
    error: CallerError | None = None
    replayable = True

    def __init__(self, data: bytes, length: int | None) -> None:
        self._data = data
        self.length = length

    @property
    def whole(self) -> bytes:
        """All of it."""
        return self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give it."""
        if self._data:
            yield self._data

    async def rest(self) -> bool:
        """All of it is at hand already."""
        return True

    def close(self) -> None:
        """There is nothing to let go of."""


class KeptBody:
    """A body that can be iterated from its first byte as long as `replayable`.

    `read` gives the caller's next bytes, empty at the end. `memory` and `limit` are bytes.
    """

    def __init__(
        self, read: Callable[[], Awaitable[bytes]], length: int | None, *, spool: Spool, memory: int, limit: int
    ) -> None:
        self._read = read
        self._length = length
        self._spool = spool
        self._memory = memory
        self._limit = limit
        self._buffer = bytearray()
        self._file: int | None = None
        self._spooled = 0
        self._size = 0
        self._ended = length == 0
        self._keeping = length is None or length <= limit
        self._pass = 0
        self._reading = asyncio.Lock()
        self.error: CallerError | None = None  # what the caller did wrong, if sending failed for that

    @property
    def length(self) -> int | None:
        """The length in bytes, None for chunked."""
        return self._length

    @property
    def whole(self) -> bytes | None:
        """All of it, if it has been read and lies in memory."""
        return bytes(self._buffer) if self._ended and self._keeping and self._file is None else None

    @property
    def replayable(self) -> bool:
        """Tell whether all that was read so far is still at hand."""
        return self._keeping or self._size == 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body from its first byte. A pass ends any earlier one."""
        self._pass += 1
        mine, position = self._pass, 0
        while True:
            if mine != self._pass or (position < self._size and not self._keeping):
                raise PassOverError("this pass over the body is over")
            chunk = self._kept(position) if position < self._size else await self._next(position)
            if not chunk:
                return
            if mine == self._pass and chunk is not _READ_BY_ANOTHER:
                position += len(chunk)
                yield chunk

    async def rest(self) -> bool:
        """Read what the caller still sends; tell whether the whole body is then at hand for another pass."""
        while self.replayable and await self._next(self._size):
            pass
        return self.replayable

    def close(self) -> None:
        """Let go of what was kept."""
        self._pass += 1
        self._drop()

    async def _next(self, position: int) -> bytes:
        """Read the caller's next bytes, unless those after `position` have been read while we waited for our turn."""
        async with self._reading:
            if self._size > position:
                return _READ_BY_ANOTHER
            if self._ended:
                return b""
            try:
                chunk = await self._read()
            except CallerError as error:
                self.error = error
                raise
            # No await from here on: a cancellation must not come between reading and keeping.
            self._ended = not chunk
            self._keep(chunk)
            self._size += len(chunk)
            return chunk

    def _keep(self, chunk: bytes) -> None:
        if self._keeping and not self._fits(chunk):
            self._keeping = False
            self._drop()

    def _fits(self, chunk: bytes) -> bool:
        if self._size + len(chunk) > self._limit:
            return False
        if self._file is None and self._size + len(chunk) <= self._memory:
            self._buffer += chunk
            return True
        return self._spool_chunk(chunk)

    def _spool_chunk(self, chunk: bytes) -> bool:
        """Write a chunk to the file, what is in memory stays there; False when disk or limit has no room."""
        if not self._spool.reserve(len(chunk)):
            return False
        self._spooled += len(chunk)
        try:
            if self._file is None:
                self._file = self._spool.open()
            offset = self._size - len(self._buffer)
            return os.pwrite(self._file, chunk, offset) == len(chunk)
        except OSError:
            return False

    def _kept(self, position: int) -> bytes:
        if position < len(self._buffer):
            return bytes(self._buffer[position : position + CHUNK])
        if self._file is None:
            raise PassOverError("this pass over the body is over")
        return os.pread(self._file, CHUNK, position - len(self._buffer))

    def _drop(self) -> None:
        self._keeping = False
        self._buffer = bytearray()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._spool.free(self._spooled)
        self._spooled = 0
