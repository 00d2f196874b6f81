"""Rule T4: new tokens are committed before anyone uses them, and if that fails they are never dropped.

What cannot be committed is used from memory, and tried again until it is. Until then `pending` is true, and the keeper
holds on to its lock.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from ..errors import StoreError
from .record import Record
from .store import Store

LOG = logging.getLogger("bearer_proxy.credentials")

_SAVE_AGAIN = 2.0  # seconds between two tries
_LAST_TRIES = 60.0  # seconds for which it is tried before the end


class Saver:
    """Saves one credential's records. `latest` gives the record at hand, None while it is changing; `done` hears."""

    def __init__(self, name: str, store: Store, latest: Callable[[], Record | None], done: Callable[[], None]) -> None:
        self._name = name
        self._store = store
        self._latest = latest
        self._done = done
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """Tell whether the tokens at hand are in memory only."""
        return self._task is not None

    async def save(self, record: Record) -> None:
        """Commit `record`, or see to it that the record at hand is committed later. Returns in either case."""
        try:
            await self._store.write(record)
        except Exception as error:  # noqa: BLE001 - whatever it is, the tokens are not dropped for it
            why = error if isinstance(error, StoreError) else type(error).__name__
            LOG.error("ALARM: the new tokens of %s are in memory only: %s", self._name, why)
            if self._task is None:
                self._task = asyncio.create_task(self._until_saved(), name=f"save {self._name}")

    async def last(self, ending: Callable[[], bool] = lambda: True) -> None:
        """Save before the end, trying for a while once all is `ending`. Raises `StoreError` when they are lost."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        end = math.inf
        while not await self._try():
            if ending():
                end = min(end, time.monotonic() + _LAST_TRIES)
                LOG.error("ALARM: the end waits until the tokens of %s are saved", self._name)
            if time.monotonic() > end:
                raise StoreError(
                    f"the new tokens of {self._name} could not be saved and are lost; "
                    f"run: bearer-proxy import {self._name}"
                )
            await asyncio.sleep(_SAVE_AGAIN)
        self._task = None

    async def _until_saved(self) -> None:
        saved = False
        while not saved:
            await asyncio.sleep(_SAVE_AGAIN)
            saved = await self._try()
        LOG.warning("the tokens of %s are saved again", self._name)
        self._task = None
        self._done()

    async def _try(self) -> bool:
        """Write the record at hand; true if it is saved and has not changed meanwhile."""
        record = self._latest()
        if record is None:
            return False
        try:
            await self._store.write(record)
        except Exception:  # noqa: BLE001 - save() has said what it is
            return False
        return record is self._latest()
