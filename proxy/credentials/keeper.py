"""One credential, kept alive: its current token, and one exchange at a time for everybody who needs a newer one.

`current()` gives a token snapshot, `replace(rejected)` one of a newer generation; what to do is `policy.py`'s, this
module acts on it. An exchange runs in a task that belongs to the keeper (T3): callers wait on it shielded, and read the
result from the record when it is over. The order of an exchange, so that a crash at any point is survived:

    lock → read the store and decide again (T1, T2) → mark committed (T5) → exchange → tokens committed (T4) → unlock

Tokens that cannot be saved stay in memory with the lock held until they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ..config import CredentialConfig, Limits
from ..errors import CredentialError, LoginRequiredError, NotConfiguredError, ShuttingDownError, StoreError
from ..secret import Secret
from . import policy
from .answers import Granted, Outcome, Passing, Uncertain, outcome_word
from .exchange import Exchange
from .health import Health
from .lock import CredentialLock
from .policy import Need, Terms
from .record import Origin, Record, Snapshot
from .saver import Saver
from .seen import Seen
from .store import Store

LOG = logging.getLogger("bearer_proxy.exchange")

Wanted = Callable[[Record], bool]

_LONGEST_SLEEP = 30.0  # seconds: a machine that slept is noticed at least as soon as this
_LOCK_GRACE = 5.0  # seconds beyond an exchange's own time that a lock is waited for


class Keeper:
    """Keeps one credential. `clock` gives seconds since the epoch, `chance` a number from 0 to 1.

    `turns` bounds how many renew ahead of time at once: after the machine slept, all may be due at the same moment.
    `replays` counts those heard of, by whether they were accepted.
    """

    def __init__(
        self,
        config: CredentialConfig,
        store: Store,
        exchange: Exchange,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        turns: asyncio.Semaphore | None = None,
    ) -> None:
        self.config = config
        self.replays: Counter[bool] = Counter()
        self._terms = Terms.of(config, limits.renewal_guard)
        self._store, self._exchange = store, exchange
        self._lock_timeout = limits.exchange_timeout + _LOCK_GRACE
        self._clock, self._chance = clock, chance
        self._record = Record(name=config.name)
        self._given: tuple[Record | None, Snapshot] = None, Snapshot(config.name, 0, Secret(""))
        self._lock: CredentialLock = store.lock(config.name)
        self._flight: asyncio.Task[None] | None = None
        self._saver = Saver(config.name, store, self._latest, self._lock.release)
        self._ahead: asyncio.Task[None] | None = None
        self._turns = turns or asyncio.Semaphore()
        self._changed = asyncio.Event()
        self._replay_counted = -1
        self._seen = Seen(config.name, store)
        self._spread = chance()
        self._stopping = False

    async def load(self, record: Record | None = None) -> None:
        """Begin with `record`, or read it. Raises `StoreError`."""
        self._record = record or await self._store.read(self.config.name)

    def reconfigure(self, config: CredentialConfig) -> None:
        """Go on with another configuration of this credential; what refused its client before is void then (T6)."""
        self.config, self._terms = config, replace(Terms.of(config, self._terms.guard), forgiven=self._terms.forgiven)
        self._given = None, self._given[1]  # it may be allowed no more
        self._changed.set()

    def start(self) -> None:
        """Begin to renew ahead of time (T9). A client that was refused before is tried again (T6)."""
        trouble = self._record.trouble
        self._terms = replace(self._terms, forgiven=None if trouble is None else trouble.at)
        self._ahead = asyncio.create_task(self._renew_ahead(), name=f"renew {self.config.name} ahead of time")

    async def current(self) -> Snapshot:
        """Give a token to send. Raises the `CredentialError` that says why there is none."""
        if self._given[0] is not self._record:
            snapshot = await self._obtain(None)
            self._given = self._record, snapshot
        return self._given[1]

    async def replace(self, rejected: int) -> Snapshot:
        """Give a token of a generation newer than `rejected`, which the upstream refused.

        Raises `CredentialError`: what to answer, or to add to the vendor's own answer.
        """
        try:
            return await self._obtain(rejected)
        except LoginRequiredError as error:
            if rejected == self._record.generation and not self._record.rejected:
                LOG.warning("%s", error)
                self._see("rejected", value=True)
            raise

    def worked(self, generation: int) -> None:
        """Hear that the upstream took the token of `generation`."""
        if self._record.rejected and generation == self._record.generation:
            self._see("rejected", value=False)

    def replayed(self, generation: int, *, accepted: bool) -> None:
        """Hear how a replay with the token of `generation` went, for the guard time of T8."""
        self.replays[accepted] += 1
        record = self._record
        if generation != record.generation or record.origin is not Origin.EXCHANGE:
            return
        if accepted:
            guard = 0.0
        elif self._replay_counted != generation:
            guard = policy.grown_guard(record, self._terms)
            self._replay_counted = generation
        else:
            return
        if guard != record.guard:
            self._see("guard", guard)

    @property
    def grant(self) -> tuple[int, str]:
        """Give the generation of the tokens at hand, and the organization that was found for them."""
        return self._record.generation, self._record.org_pk

    def belongs_to(self, generation: int, org_pk: str) -> None:
        """Hear which organization the token of `generation` opens; of a generation that has passed it says nothing."""
        if generation == self._record.generation and org_pk != self._record.org_pk:
            self._see("org_pk", org_pk)

    async def refresh(self) -> Health:
        """Make one exchange now because a person asks (T6). Raises `LoginRequiredError` where none can be made.

        What came of it is in the record's trouble, or in its new generation.
        """
        await self.look_again()
        if self._terms.missing:
            raise NotConfiguredError(self.config.name, self._terms.missing)
        reason = policy.cannot_renew(replace(self._record, trouble=None), self._terms)
        if reason:
            raise LoginRequiredError(self.config.name, reason, policy.remedy(self._record, self._terms))
        generation = self._record.generation
        under_way = self._under_way()
        if under_way is not None:
            await asyncio.shield(under_way)
        if self._record.generation == generation:
            await asyncio.shield(self._join(lambda _: True))
        return self.health()

    def health(self) -> Health:
        """Tell how this credential is."""
        return Health(self.config, self._terms, self._record, self._under_way() is not None, self._saver.pending)

    async def look_again(self) -> None:
        """Take over what another process has stored, unless our own change is under way or unsaved."""
        record = await self._store.read(self.config.name)
        if self._under_way() is None and not self._saver.pending and record.generation >= self._record.generation:
            self._adopt(record)

    async def stop(self, ending: Callable[[], bool] = lambda: True) -> None:
        """Let an exchange under way finish and be saved; give up saving some time after all is `ending` (T3)."""
        self._stopping = True
        await self.rest()
        if self._flight is not None:
            await asyncio.wait([self._flight])
        try:
            await self._saver.last(ending)
        finally:
            await self._seen.settle()
            self._lock.release()

    async def rest(self) -> None:
        """Begin no more renewals ahead of time."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.wait([self._ahead])

    async def _obtain(self, rejected: int | None) -> Snapshot:
        """Decide on the record at hand; while the decision is to exchange, wait for one and decide again."""
        while True:
            decision = policy.obtain(self._record, self._terms, rejected, self._clock())
            if isinstance(decision, Snapshot):
                return decision
            if self._stopping:
                raise ShuttingDownError("the proxy is stopping and renews no tokens any more")
            await asyncio.shield(self._join(lambda record: self._needed(record, rejected)))

    def _needed(self, record: Record, rejected: int | None) -> bool:
        """Tell whether a request whose token of generation `rejected` was refused needs an exchange."""
        try:
            return policy.obtain(record, self._terms, rejected, self._clock()) is Need.EXCHANGE
        except CredentialError:
            return False

    def _due(self, record: Record) -> bool:
        """Tell whether it is time to renew ahead of time; never while the record is uncertain (T5)."""
        due = policy.renewal_time(record, self._terms, self._spread)
        return due is not None and due <= self._clock()

    def _join(self, wanted: Wanted) -> asyncio.Task[None]:
        """Give the exchange under way, or set one off that is made if it is still `wanted` under the lock (T1)."""
        flight = self._under_way()
        if flight is None:
            flight = asyncio.create_task(self._fly(wanted), name=f"exchange for {self.config.name}")
            self._flight = flight
        return flight

    def _under_way(self) -> asyncio.Task[None] | None:
        """Give the exchange that is not over yet."""
        return None if self._flight is None or self._flight.done() else self._flight

    async def _fly(self, wanted: Wanted) -> None:
        """Renew under the lock. Never raises but for cancellation: what went wrong is in the record."""
        known = self._record.trouble
        try:
            if not self._lock.held:
                await self._lock.acquire(self._lock_timeout)
            if not self._stopping:
                await self._renew(wanted)
        except StoreError as error:
            LOG.error("nothing was sent for %s: %s", self.config.name, error)
            # The store cannot remember this trouble: so that the pauses grow all the same, it follows on what we knew.
            record = replace(self._record, trouble=known or self._record.trouble)
            self._adopt(self._after(Passing("the token store cannot be used; see the log"), record))
        except Exception as error:  # noqa: BLE001 - the task belongs to nobody who could handle it
            LOG.error("an exchange for %s failed unforeseen: %s", self.config.name, type(error).__name__)
            self._adopt(self._after(Uncertain("the exchange failed inside the proxy"), self._record))
        finally:
            if not self._saver.pending:
                self._lock.release()

    async def _renew(self, wanted: Wanted) -> None:
        """Do the steps of the module's docstring that come after the lock."""
        if not self._saver.pending:
            self._adopt(await self._store.read(self.config.name))
        before = self._record
        config, terms = self.config, self._terms  # a reload may bring others
        by_refresh_token = terms.renew == "refresh_token"
        if not wanted(before) or (by_refresh_token and before.refresh_token is None):
            return
        if by_refresh_token:
            await self._store.write(policy.marked(before, self._clock()))
        started = time.monotonic()
        outcome = await self._exchange(config, before.refresh_token if by_refresh_token else None)
        seen = self._record
        record = self._after(outcome, replace(before, guard=seen.guard, org_pk=seen.org_pk), terms)
        self._log(outcome, record, round((time.monotonic() - started) * 1000))
        await self._saver.save(record)
        found = self._record.org_pk  # perhaps while that was saved
        self._adopt(record)
        self.belongs_to(record.generation, found)

    def _after(self, outcome: Outcome, before: Record, terms: Terms | None = None) -> Record:
        """Decide what an outcome means under the terms of its exchange; a reload may have brought others."""
        return policy.after(outcome, before, terms or self._terms, self._clock(), self._chance())

    def _latest(self) -> Record | None:
        return self._record if self._under_way() is None else None

    def _see(self, what: str, value: float | str) -> None:
        self._seen.note(self._record.generation, what, value)
        self._adopt(self._record)

    async def _renew_ahead(self) -> None:
        """Wait until the renewal is due, by the wall clock and looking at it again and again; then renew (T9)."""
        generation = -1
        while not self._stopping:
            if self._record.generation != generation:
                self._spread, generation = self._chance(), self._record.generation
            if self._due(self._record):
                async with self._turns:
                    if self._due(self._record):
                        await asyncio.shield(self._join(self._due))
                continue
            due = policy.renewal_time(self._record, self._terms, self._spread)
            wait = _LONGEST_SLEEP if due is None else min(due - self._clock(), _LONGEST_SLEEP)
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):  # wait_for of Python 3.11 may swallow a cancellation
                    await self._changed.wait()

    def _adopt(self, record: Record) -> None:
        """Take over a record, with what was seen here of its generation."""
        self._record = self._seen.over(record)
        self._changed.set()

    def _log(self, outcome: Outcome, record: Record, milliseconds: int) -> None:
        reason = "" if isinstance(outcome, Granted) else f" ({outcome.reason})"
        level = logging.INFO if isinstance(outcome, Granted) else logging.WARNING
        name, word = self.config.name, outcome_word(outcome)
        fields = {"credential": name, "outcome": word, "generation": record.generation, "milliseconds": milliseconds}
        LOG.log(level, "exchange for %s: %s%s", name, word, reason, extra={"fields": fields})
