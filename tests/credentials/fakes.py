"""A rotating vendor behind gates, and a store that fails when told to.

The vendor fails as real ones do: only its newest refresh token counts, and one that is sent again kills the grant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.config import CredentialConfig
from proxy.credentials.answers import Granted, Outcome, Refused
from proxy.credentials.record import Record, Tokens, TroubleKind
from proxy.credentials.store import Store
from proxy.errors import StoreError
from proxy.secret import Secret


class Vendor:
    """An exchange callable that rotates refresh tokens and keeps the access token's text, as ReadyCloud does."""

    def __init__(self) -> None:
        self.sent: list[str | None] = []
        self.answers: list[Outcome] = []  # given first, without rotating
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.expires_in: float | None = None
        self.newest = "refresh-0"
        self.dead = False
        self.before: Callable[[], Awaitable[None]] | None = None  # looked in on while an exchange is under way

    async def __call__(self, _config: CredentialConfig, refresh_token: Secret | None) -> Outcome:
        text = None if refresh_token is None else refresh_token.reveal()
        self.sent.append(text)
        self.entered.set()
        if self.before is not None:
            await self.before()
        await self.gate.wait()
        if self.answers:
            return self.answers.pop(0)
        if text is not None and (self.dead or text != self.newest):
            self.dead = True
            return Refused(TroubleKind.GRANT, "invalid_grant")
        self.newest = f"refresh-{len(self.sent)}"
        rotated = None if text is None else Secret(self.newest)
        return Granted(Tokens(access_token=Secret("access"), refresh_token=rotated, expires_in=self.expires_in))


class FaultyStore(Store):
    """The real store, which keeps a list of what it committed and fails when told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.committed: list[Record] = []
        self.fails: Callable[[Record], bool] = lambda _record: False
        self.tried = asyncio.Event()  # a write failed
        self.read_gate = asyncio.Event()
        self.read_gate.set()
        self.have_read = asyncio.Event()

    async def read(self, name: str) -> Record:
        found = await super().read(name)
        self.have_read.set()
        await self.read_gate.wait()
        return found

    async def write(self, record: Record) -> None:
        if self.fails(record):
            self.tried.set()
            raise StoreError("the disk is full")
        await super().write(record)
        self.committed.append(record)
