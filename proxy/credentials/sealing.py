"""A store kept sealed by the first key while `serve` lives, whatever others write into it meanwhile."""

from __future__ import annotations

import logging
import time

from ..errors import StoreError
from .recasting import WAIT
from .store import Store

LOG = logging.getLogger("bearer_proxy.credentials")

_SOON, _AT_LAST = 1.0, 60.0  # seconds between two tries of what could not be done at once, growing


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
