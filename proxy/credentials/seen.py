"""What requests show of the tokens at hand: how T8's guard time grew, that the upstream refuses them, and which
organization they open.

It belongs to one generation, is known here before it is saved, and is saved beside the tokens without a lock: losing it
costs a little haste, never a token.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

from ..errors import StoreError
from .record import Record
from .store import Store

LOG = logging.getLogger("bearer_proxy.credentials")

_WORDS = {"guard": "the guard time", "rejected": "the rejection", "org_pk": "the organization"}


class Seen:
    """What was seen of one credential by this process."""

    def __init__(self, name: str, store: Store) -> None:
        self._name = name
        self._writers: dict[str, Any] = {
            "guard": store.write_guard,
            "rejected": store.write_rejected,
            "org_pk": store.write_org_pk,
        }
        self._generation = -1
        self._known: dict[str, Any] = {}
        self._saving: set[asyncio.Task[None]] = set()

    def over(self, record: Record) -> Record:
        """Give `record` with what is known better here, if it is of the generation that this was seen of."""
        return replace(record, **self._known) if record.generation == self._generation else record

    def note(self, generation: int, what: str, value: float | str) -> None:
        """Take note of `guard`, `rejected` or `org_pk`, and save it in a task of its own."""
        if generation != self._generation:
            self._generation, self._known = generation, {}
        self._known[what] = value
        task = asyncio.create_task(self._save(generation, what, value))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def settle(self) -> None:
        """Wait until all is saved that can be."""
        if self._saving:
            await asyncio.wait(self._saving)

    async def _save(self, generation: int, what: str, value: Any) -> None:
        try:
            await self._writers[what](self._name, generation, value)
        except StoreError as error:
            LOG.warning("%s of %s is not saved: %s", _WORDS[what], self._name, error)
