"""Which organization a credential's grant opens: found out once for everybody, kept with the tokens, and doubted.

What is kept belongs to the grant: an exchange hands it on, login, import and logout drop it. A look-up runs in a task
of its own that belongs to this credential: callers wait on it shielded, and read the result from the record when it is
over. An organization that the configuration names is never looked up.

    nothing is kept                        whoever comes waits for one look-up
    an answer says 403 or 404              looked up again in the background, once a minute at most
    a look-up is under way                 whoever comes waits for it
    it fails, and something is kept        that stays in force
    it fails, and nothing is kept          an error; what the vendor answered clearly is not asked again for a minute
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ..config import CredentialConfig
from ..errors import (
    OrganizationAmbiguousError,
    OrganizationMissingError,
    OrganizationRefusedError,
    RequestError,
    ShuttingDownError,
    UpstreamError,
)
from .orglist import Ask, rejects, sole
from .record import Snapshot

LOG = logging.getLogger("bearer_proxy.credentials")

AGAIN = 60.0  # seconds between two look-ups that nobody but the vendor's answers asked for
_TRIES = 3  # look-ups for one caller while the tokens change under them
_LASTING = (OrganizationAmbiguousError, OrganizationMissingError, OrganizationRefusedError)


class Grant(Protocol):
    """What is needed of a credential's keeper."""

    config: CredentialConfig

    @property
    def grant(self) -> tuple[int, str]: ...
    async def current(self) -> Snapshot: ...
    async def replace(self, rejected: int) -> Snapshot: ...
    def worked(self, generation: int) -> None: ...
    def replayed(self, generation: int, *, accepted: bool) -> None: ...
    def belongs_to(self, generation: int, org_pk: str) -> None: ...


class Organization:
    """The organization of one credential. `ask` gets the vendor's list, `clock` gives seconds since the epoch."""

    def __init__(self, keeper: Grant, ask: Ask, *, clock: Callable[[], float]) -> None:
        self._keeper = keeper
        self._ask = ask
        self._clock = clock
        self._flight: asyncio.Task[RequestError | None] | None = None
        self._doubted_at: float | None = None
        self._refused: tuple[int, float, RequestError] | None = None  # generation, when, what the vendor said
        self._stopping = False

    async def current(self) -> str:
        """Give the key of the organization, for one segment of a path. Raises the `RequestError` that says why not."""
        chosen = self._keeper.config.org_pk
        if chosen:
            return chosen
        for _ in range(_TRIES):
            generation, key = self._keeper.grant
            flight = self._under_way()
            if flight is None and key:
                return key
            error = await asyncio.shield(flight or self._set_off())
            now, key = self._keeper.grant
            if key:
                return key
            if error is not None and now == generation:
                raise error.with_traceback(None)  # others may be raising it too
        raise UpstreamError(f"the tokens of {self._keeper.config.name} changed again and again during a look-up")

    def doubt(self, key: str) -> None:
        """Hear that a request to the organization `key` was answered 403 or 404."""
        chosen = self._keeper.config.org_pk
        if chosen or self._stopping or self._under_way() is not None or key != self._keeper.grant[1]:
            return
        now = self._clock()
        if self._doubted_at is None or not 0 <= now - self._doubted_at < AGAIN:
            self._doubted_at = now
            self._flight = self._start()

    async def stop(self) -> None:
        """Give up a look-up under way, and begin no more."""
        self._stopping = True
        flight = self._under_way()
        if flight is not None:
            flight.cancel()
            await asyncio.wait([flight])

    def _set_off(self) -> asyncio.Task[RequestError | None]:
        """Begin a look-up because nothing is kept, unless the vendor has just refused to tell."""
        if self._stopping:
            raise ShuttingDownError("the proxy is stopping and looks up no organization any more")
        if self._refused is not None:
            generation, at, error = self._refused
            if generation == self._keeper.grant[0] and 0 <= self._clock() - at < AGAIN:
                raise error.with_traceback(None)
        self._flight = self._start()
        return self._flight

    def _start(self) -> asyncio.Task[RequestError | None]:
        return asyncio.create_task(self._fly(), name=f"look up the organization of {self._keeper.config.name}")

    def _under_way(self) -> asyncio.Task[RequestError | None] | None:
        """Give the look-up that is not over yet."""
        return None if self._flight is None or self._flight.done() else self._flight

    async def _fly(self) -> RequestError | None:
        """Look up. Never raises: gives what went wrong, for those who wait."""
        name = self._keeper.config.name
        try:
            await self._look_up()
        except RequestError as error:
            if self._keeper.grant[1]:
                LOG.warning("the organization of %s is not confirmed (%s): it stays in use", name, error.error)
            return error.with_traceback(None)
        except asyncio.CancelledError:
            return ShuttingDownError("the proxy is stopping and looks up no organization any more")  # `stop`'s doing
        except Exception as error:  # noqa: BLE001 - the task belongs to nobody who could handle it
            LOG.error("a look-up of the organization of %s failed unforeseen: %s", name, type(error).__name__)
            return RequestError()
        return None

    async def _look_up(self) -> None:
        """Ask with the token at hand, and after a rejection once more with a newer one."""
        keeper = self._keeper
        token = await keeper.current()
        answer = await self._ask(keeper.config, token.token)
        if rejects(*answer):
            token = await keeper.replace(token.generation)
            answer = await self._ask(keeper.config, token.token)
            keeper.replayed(token.generation, accepted=not rejects(*answer))
        else:
            keeper.worked(token.generation)
        try:
            key = sole(*answer, keeper.config.name, (token.token, keeper.config.client_secret))
        except _LASTING as error:
            self._refused = (token.generation, self._clock(), error)
            raise
        keeper.belongs_to(token.generation, key)
        LOG.info("the organization of %s is found", keeper.config.name)
