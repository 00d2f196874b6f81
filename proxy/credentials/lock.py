"""T1's lock across processes: `flock` on a file that is never deleted, freed by the system when its holder dies.

One descriptor a holder, so two locks in one process exclude each other too. Knows nothing of what it protects.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import StoreBusyError, StoreError

_CHANGE_TIMEOUT = 30.0  # seconds that a person's change waits for an exchange under way
_LOCK_POLL = 0.02  # seconds between two looks at a lock that another process holds


class CredentialLock:
    """The lock of the credential `name`, not yet taken."""

    def __init__(self, path: Path, name: str, owned_like: Path) -> None:
        self._path = path
        self._owned_like = owned_like
        self._name = name
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Tell whether we hold it."""
        return self._descriptor is not None

    @property
    def exists(self) -> bool:
        """Tell whether anybody has ever taken it."""
        return self._path.exists()

    async def acquire(self, timeout: float) -> None:  # noqa: ASYNC109 - polled: a blocking flock cannot be cancelled
        """Take the lock within `timeout` seconds. Raises `StoreBusyError`, or `StoreError` where it cannot be made."""
        end = time.monotonic() + timeout
        while not self.try_acquire():
            if time.monotonic() >= end:
                raise StoreBusyError(
                    f"another process is changing the tokens of {self._name} and has not finished in {timeout:g} s: "
                    "wait for it, or end it"
                )
            await asyncio.sleep(_LOCK_POLL)

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise StoreError(f"the lock file {self._path} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        with contextlib.suppress(OSError):
            self._share(descriptor)
        self._descriptor = descriptor
        return True

    def _share(self, descriptor: int) -> None:
        """Give a lock that the administrator made to the owner of the store, who needs it too.

        A file that has another name, or holds anything, is none of ours: it may be the administrator's own.
        """
        found = os.fstat(descriptor)
        if os.geteuid() == 0 and found.st_nlink == 1 and found.st_size == 0:
            owner = self._owned_like.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def release(self) -> None:
        """Let go, if held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def __aenter__(self) -> Self:
        await self.acquire(_CHANGE_TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
