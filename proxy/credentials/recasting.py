"""All tokens of a store sealed by one key, or put in clear, while others use it.

A row is changed under its credential's lock: whoever makes an exchange has to be able to save what it brings, with the
keys that it began with (T4). A row that stays locked is left as it was, and told. Knows nothing of what rows hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..config.fields import NAME
from .cipher import Cipher
from .lock import CredentialLock

_AT_ONCE = 100  # rows in one transaction: each has a lock, which is an open file
_POLL = 0.02  # seconds between two looks at locks that others hold
WAIT = 2.0  # seconds that `serve` waits for exchanges under way
_LOCKED = (
    "the tokens of {} are kept as they were, as an exchange of theirs is under way: "
    "keep the store_key that they have, and run `bearer-proxy store rekey` again"
)
_READABLE = "what was in {} before may still be read there, as {}: run `bearer-proxy store rekey` again"


@dataclass(frozen=True, slots=True)
class Recast:
    """What was encrypted or decrypted: how many tokens of each credential. `remains` is a warning, or nothing."""

    tokens: Mapping[str, int] = field(default_factory=dict)
    remains: str = ""


class Rows(Protocol):
    """What of a store is needed here."""

    path: Path

    async def others(self, target: Cipher) -> list[str]: ...
    async def recast(self, names: Iterable[str], target: Cipher) -> dict[str, int]: ...
    async def sweep(self, *, patient: bool) -> str: ...
    def lock(self, name: str) -> CredentialLock: ...


async def recast(store: Rows, target: Cipher, within: float) -> Recast:
    """Seal all rows by `target`, or put them in clear where it has no key; wait `within` seconds for those locked.

    Raises `StoreError`; where a row cannot be opened, nothing is changed then.
    """
    end = time.monotonic() + within
    changed: dict[str, int] = {}
    left = await store.others(target)
    while left:
        busy: list[str] = []
        for start in range(0, len(left), _AT_ONCE):
            batch = asyncio.create_task(_recast_free(store, left[start : start + _AT_ONCE], target, changed))
            try:
                busy += await asyncio.shield(batch)
            except asyncio.CancelledError:
                await asyncio.wait([batch])  # a lock outlasts the write that it is for
                raise
        left = busy
        if time.monotonic() >= end:
            break
        if left:
            await asyncio.sleep(_POLL)
    why = await store.sweep(patient=within > 0) if target else ""
    remains = [_LOCKED.format(", ".join(left))] if left else []
    remains += [_READABLE.format(store.path, why)] if why else []
    return Recast({name: count for name, count in changed.items() if count}, "; ".join(remains))


async def _recast_free(store: Rows, names: list[str], target: Cipher, changed: dict[str, int]) -> list[str]:
    """Change the rows whose lock is free at this moment, and tell so in `changed`; give the names of the others."""
    free, busy = [], []
    with contextlib.ExitStack() as locks:
        for name in names:
            if not re.fullmatch(NAME, name):  # no credential can have it, and no file either
                free.append(name)
                continue
            lock = store.lock(name)
            if lock.try_acquire():
                locks.callback(lock.release)
                free.append(name)
            else:
                busy.append(name)
        changed.update(await store.recast(free, target))
    return busy
