"""All credentials of one configuration on one store: the front door of the credential core.

Opens the store, keeps a keeper for each credential, hears what other processes store within a second, and at the end
waits for exchanges under way before it closes the store (T3).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ..config import Config, CredentialConfig
from ..egress import Egress
from ..errors import StoreError
from ..secret import Secret
from . import policy
from .answers import Outcome, outcome_word
from .exchange import Code, TokenEndpoint
from .health import Health
from .keeper import Keeper
from .organization import Organization
from .orglist import OrgsEndpoint
from .record import Origin, Record, Tokens
from .sealing import Sealing
from .store import Store

LOG = logging.getLogger("bearer_proxy.credentials")

_AHEAD_AT_ONCE = 4  # renewals ahead of time at one token endpoint
_SAVE_WITHIN, _SAVE_AGAIN = 30.0, 1.0  # seconds in which what a person brought is saved, and between two tries
_LISTEN_EVERY = 0.3  # seconds between two looks whether another process has stored something


class CountedExchanges:
    """A token endpoint of which `outcomes` tells how often a credential's call came to what."""

    def __init__(self, endpoint: TokenEndpoint) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._endpoint = endpoint

    async def __call__(self, credential: CredentialConfig, refresh_token: Secret | None) -> Outcome:
        """Make one exchange."""
        return self._counted(credential, await self._endpoint(credential, refresh_token))

    async def redeem(self, credential: CredentialConfig, code: Code) -> Outcome:
        """Exchange a code for tokens."""
        return self._counted(credential, await self._endpoint.redeem(credential, code))

    def _counted(self, credential: CredentialConfig, outcome: Outcome) -> Outcome:
        self.outcomes[credential.name, outcome_word(outcome)] += 1
        return outcome


class CredentialCore:
    """Gives the keeper of each credential. Made by `open_core`. `egress` is the way of all calls that leave here."""

    def __init__(self, config: Config, store: Store, egress: Egress, *, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.egress = egress
        self.store_trouble = ""
        endpoint = TokenEndpoint(config.limits.exchange_timeout, egress, clock=clock)
        self.exchange = CountedExchanges(endpoint)
        self._clock = clock
        self._limits = config.limits
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AHEAD_AT_ONCE))
        self._keepers = {name: self._made_keeper(credential) for name, credential in config.credentials.items()}
        self._ask = OrgsEndpoint(config.limits.exchange_timeout, egress)
        self._organizations: dict[str, Organization] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._find_organizations()
        self._listener: asyncio.Task[None] | None = None
        self._heard = -1  # the version of the store of which every keeper knows
        self._changes: set[asyncio.Task[Record]] = set()
        self._sealing = Sealing(store)
        self._stopping = False

    async def reload(self, config: Config) -> None:
        """Go on with another configuration's credentials. One that is gone finishes what is under way (T3).

        Raises `StoreError`, and then changed nothing.
        """
        added = [self._made_keeper(one) for name, one in config.credentials.items() if name not in self._keepers]
        found = await self.store.use_keys(config.store_keys, [keeper.config.name for keeper in added])
        for keeper, record in zip(added, found, strict=True):
            await keeper.load(record)
        for name in self._keepers.keys() - config.credentials.keys():
            self._leave(self._keepers.pop(name), self._organizations.pop(name, None))
        for name, keeper in self._keepers.items():
            keeper.reconfigure(config.credentials[name])
        for keeper in added:
            self._keepers[keeper.config.name] = keeper
            keeper.start()
        self._heard = -1  # others may have stored something since these were read
        self._find_organizations()
        await self._sealing.all()

    def keeper(self, name: str) -> Keeper:
        """Give the keeper of a credential that the configuration names."""
        return self._keepers[name]

    def organizations(self) -> Mapping[str, Organization]:
        """Give the organization of each credential whose provider has such, as of now."""
        return self._organizations.copy()

    def health(self) -> list[Health]:
        """Tell how every credential is."""
        return [keeper.health() for keeper in self._keepers.values()]

    async def health_beside_others(self) -> list[Health]:
        """Tell how every credential is where another process may be serving: a mark under a held lock is no crash."""
        health = []
        for name, keeper in self._keepers.items():
            one = keeper.health()
            lock = self.store.lock(name)
            if one.record.marked_at is not None and lock.exists:
                one = replace(one, renewing=not lock.try_acquire())
                lock.release()
            health.append(one)
        return health

    async def load(self) -> None:
        """Read all records. Raises `StoreError`."""
        for keeper in self._keepers.values():
            await keeper.load()

    def start(self) -> None:
        """Begin to renew ahead of time, and to hear what other processes store."""
        for keeper in self._keepers.values():
            keeper.start()
        self._listener = asyncio.create_task(self._listen(), name="listen for other processes")

    async def put(self, name: str, tokens: Tokens, origin: Origin) -> Record:
        """Store tokens that a person brought, as the next generation, under the credential's lock (T1)."""
        return await self._owned(self._change(name, lambda before: self._accepted(before, tokens, origin)))

    async def fetch(self, name: str, bring: Callable[[], Awaitable[Tokens]], origin: Origin) -> Record:
        """Store what `bring` gives, as `put` does. It is called under the lock, so that what it gets can be stored.

        What it raises is passed on. While the store cannot be written it is tried again for a while (T4): nobody else
        has these tokens.
        """
        return await self._owned(self._fetch(name, bring, origin))

    async def forget(self, name: str) -> Record:
        """Forget a credential's tokens, as the next generation, under its lock (T1)."""
        return await self._owned(self._change(name, lambda before: policy.logged_out(before, self._clock())))

    async def stop(self) -> None:
        """Stop renewing, and wait for exchanges under way to end and be saved (T3).

        Raises `StoreError` when tokens could not be saved.
        """
        self._stopping = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
        if self._changes:
            await asyncio.wait(self._changes)
        await asyncio.gather(*(organization.stop() for organization in self._organizations.values()))
        stops = (keeper.stop() for keeper in self._keepers.values())
        ends = await asyncio.gather(*stops, *self._leaving, return_exceptions=True)
        for failure in filter(None, ends):
            raise failure

    async def rest(self) -> None:
        """Begin no more renewals ahead of time; requests under way still get what they need."""
        await asyncio.gather(*(keeper.rest() for keeper in self._keepers.values()))

    def _made_keeper(self, credential: CredentialConfig) -> Keeper:
        turns = self._turns[credential.provider.token_url]
        return Keeper(credential, self.store, self.exchange, self._limits, clock=self._clock, turns=turns)

    def _find_organizations(self) -> None:
        """Have an organization for each credential whose provider has such."""
        for name, keeper in self._keepers.items():
            if keeper.config.provider.orgs_path and name not in self._organizations:
                self._organizations[name] = Organization(keeper, self._ask, clock=self._clock)

    def _leave(self, keeper: Keeper, organization: Organization | None) -> None:
        """Stop a credential that the configuration names no more."""

        async def stop() -> None:
            if organization is not None:
                await organization.stop()
            await keeper.stop(lambda: self._stopping)

        task = asyncio.create_task(stop(), name=f"stop {keeper.config.name}")
        self._leaving.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        self._heard = -1  # it may be named again by now, and another keeper not know what this one has stored
        if not task.cancelled() and task.exception() is not None:
            LOG.error("%s", task.exception())

    async def _owned(self, change: Coroutine[Any, Any, Record]) -> Record:
        """Run a change in a task of ours: whoever asked for it may go away, and the lock must outlast the write."""
        task = asyncio.create_task(change, name="change tokens")
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _fetch(self, name: str, bring: Callable[[], Awaitable[Tokens]], origin: Origin) -> Record:
        async with self.store.lock(name):
            tokens = await bring()
            end, told = time.monotonic() + _SAVE_WITHIN, False
            while True:
                try:
                    record = self._accepted(await self.store.read(name), tokens, origin)
                    await self.store.write(record)
                    break
                except StoreError as error:
                    if time.monotonic() > end:
                        raise
                    if not told:
                        LOG.error("ALARM: the new tokens of %s are not saved yet: %s", name, error)
                    told = True
                await asyncio.sleep(_SAVE_AGAIN)
        await self._tell(name)
        return record

    def _accepted(self, before: Record, tokens: Tokens, origin: Origin) -> Record:
        return policy.accepted(before, tokens, origin, self._clock())

    async def _change(self, name: str, change: Callable[[Record], Record]) -> Record:
        async with self.store.lock(name):
            record = change(await self.store.read(name))
            await self.store.write(record)
        await self._tell(name)
        return record

    async def _tell(self, name: str) -> None:
        """Have the keeper of a credential see what is stored, unless the configuration names it no more."""
        keeper = self._keepers.get(name)
        if keeper is not None:
            await keeper.look_again()

    async def _listen(self) -> None:
        """Read again what another process has changed; while the store is down, say so and go on trying."""
        while True:
            try:
                version = await self.store.version()
                changed, self._heard = version != self._heard, version
                if changed:
                    for keeper in [*self._keepers.values()]:  # a reload may come between
                        await keeper.look_again()
                await self._sealing.look(changed=changed)
                self.store_trouble = ""
            except StoreError as error:
                self._heard = -1
                if not self.store_trouble:
                    LOG.error("%s", error)
                self.store_trouble = str(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, listening must go on
                self._heard = -1
                LOG.error("what another process has stored could not be read: %s", type(error).__name__)
            await asyncio.sleep(_LISTEN_EVERY)


@asynccontextmanager
async def open_core(
    config: Config, *, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time
) -> AsyncIterator[CredentialCore]:
    """Open the store and read the credentials; at the end wait for exchanges, then close.

    Raises `StoreError`, or `ConfigError` where `ca_file` has become unusable.
    """
    egress = Egress.of(config.tls, environ)
    store = await Store.open(config.store, config.store_keys)
    try:
        core = CredentialCore(config, store, egress, clock=clock)
        await core.load()
        try:
            yield core
        finally:
            await core.stop()
    finally:
        await store.close()
