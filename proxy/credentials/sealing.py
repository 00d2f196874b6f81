"""All tokens of a store sealed by one key, or put in clear, while others use it.

A row is changed under its credential's lock: whoever makes an exchange has to be able to save what it brings, with the
keys that it began with (T4). A row that stays locked is left as it was, and told. Knows nothing of what rows hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..config.fields import NAME
from ..errors import StoreError
from .cipher import Cipher

if TYPE_CHECKING:
    from .store import Store

LOG = logging.getLogger("bearer_proxy.credentials")

_AT_ONCE = 100  # rows in one transaction: each has a lock, which is an open file
_POLL = 0.02  # seconds between two looks at locks that others hold
WAIT = 2.0  # seconds that `serve` waits for exchanges under way
_SOON, _AT_LAST = 1.0, 60.0  # seconds between two tries of what could not be done at once, growing
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


async def recast(store: Store, target: Cipher, within: float) -> Recast:
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


async def _recast_free(store: Store, names: list[str], target: Cipher, changed: dict[str, int]) -> list[str]:
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


class Sealing:
    """Sees, while `serve` lives, that all of a store is sealed by the first key, and says once what is left."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told = ""
        self._pause = _SOON
        self._next = 0.0

    async def all(self, within: float = WAIT) -> None:
        """Seal all; what could not be is a warning, and `look` tries it again."""
        self._next = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _AT_LAST)
        try:
            remains = (await self._store.encrypt_all(within)).remains
        except StoreError as error:
            remains = f"not all tokens are encrypted with the first store_key: {error}"
        if remains and not self._told:
            LOG.warning("%s (serve tries it again)", remains)
        elif self._told and not remains:
            LOG.info("all tokens are encrypted with the first store_key, and nothing else is left of them")
        self._told = remains

    async def look(self, *, changed: bool) -> None:
        """Seal soon what others have `changed` and left in clear, and at times what is left from before.

        What others have sealed by another key that we know stays: they may have it first. Raises `StoreError`.
        """
        if changed and await self._store.in_clear():
            self._pause, self._next = _SOON, 0.0
            self._store.unfinished = True
        if self._store.unfinished and time.monotonic() >= self._next:
            await self.all(0)
        elif not self._store.unfinished:
            self._pause = _SOON
