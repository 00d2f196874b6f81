"""Sign-ins under way: begun by a person, completed by what comes back, stored whole or not at all.

An attempt lives in this process, for `login_timeout` at most, and is used once. What completes it runs in a task of its
own (T3): a browser that goes away does not cut off a code that is being redeemed. The tokens are stored as the next
generation under the credential's lock, so that of two sign-ins at once the one that ends later stands, whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ..config import Config, CredentialConfig
from ..credentials.answers import Granted, Outcome, Refused, Unusable
from ..credentials.exchange import Code
from ..credentials.record import Origin, Record, Tokens, TroubleKind
from ..errors import SignInError, StoreError
from ..secret import Secret
from .authorize import Attempt, authorize_url, new_attempt, read_return, unasked
from .granted import duration, granted
from .pasted import Fields, pasted_fields

_MOST_ATTEMPTS = 256  # begun and not ended; the oldest give way


class Keeping(Protocol):
    """What a sign-in needs of the credential core."""

    async def put(self, name: str, tokens: Tokens, origin: Origin) -> Record: ...
    async def fetch(self, name: str, bring: Callable[[], Awaitable[Tokens]], origin: Origin) -> Record: ...


class Redeem(Protocol):
    """Exchanges a code for tokens, once."""

    async def __call__(self, credential: CredentialConfig, code: Code) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in that came to its end, in words."""

    credential: str
    held: str
    warnings: tuple[str, ...]


class SignIn:
    """Begins sign-ins and completes them. `clock` gives seconds since the epoch."""

    def __init__(
        self, config: Config, core: Keeping, redeem: Redeem, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._core = core
        self._redeem = redeem
        self._clock = clock
        self._attempts: dict[str, Attempt] = {}  # by state, the oldest first
        self._ending: set[asyncio.Task[SignedIn]] = set()

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration; sign-ins that were begun go on with it too.

        But not where the vendor or the client is another now: a code is nobody else's business.
        """
        before, self._config = self._config.credentials, config
        for state, attempt in list(self._attempts.items()):
            name = attempt.credential
            if name not in config.credentials or _parties(before[name]) != _parties(config.credentials[name]):
                del self._attempts[state]

    def begin(self, name: str, session: str = "", *, bound: bool = True) -> str:
        """Begin a sign-in and give the address at the vendor. Raises `SignInError`. For `bound` see `Attempt`."""
        credential = self._credential(name)
        attempt = new_attempt(credential, session, self._clock(), bound=bound)
        self._attempts[attempt.state.reveal()] = attempt
        self._forget_old()
        return authorize_url(credential, attempt)

    def under_way(self, name: str, session: str = "") -> Attempt | None:
        """Give the last sign-in to `name` that this browser, or this terminal, has begun and not ended."""
        self._forget_old()
        mine = [one for one in self._attempts.values() if (one.credential, one.session) == (name, session)]
        return mine[-1] if mine else None

    def cancel(self, name: str, session: str = "") -> None:
        """End, without a result, what this browser has begun for `name`."""
        while (attempt := self.under_way(name, session)) is not None:
            del self._attempts[attempt.state.reveal()]

    async def returned(self, fields: Fields, session: str = "") -> SignedIn:
        """Complete the sign-in that the vendor's answer belongs to. Raises `SignInError` or `TokenFormatError`."""
        self._forget_old()
        state = fields.get("state")
        attempt = self._attempts.get(str(state)) if state else None
        if attempt is None:
            raise SignInError(
                "this is no sign-in that is under way here: it is over, took longer than "
                f"{duration(self._config.limits.login_timeout)}, or its state was never given out; sign in again"
                if state
                else "the vendor's answer bears no state, so that it might be anybody's: sign in again"
            )
        if attempt.bound and Secret(attempt.session) != Secret(session):
            raise SignInError(
                "this sign-in was begun in another browser, or at this page under another name: "
                "finish it there, or begin anew here"
            )
        return await self._complete(attempt, fields, pasted=False)

    async def pasted(self, name: str, text: str, session: str = "") -> SignedIn:
        """Complete a sign-in with what a person pasted: the final address, a code, or tokens."""
        credential = self._credential(name)
        # A word by itself is a code where codes are asked for. It is a token only where the vendor shows tokens:
        # elsewhere it is a wrong paste, which must not take the place of good tokens.
        bare = {"authorization_code": "code", "manual": "access_token"}.get(credential.provider.grant, "word")
        fields = pasted_fields(text, bare=bare)
        attempt = self._of_pasted(name, fields, session)
        if attempt is None:
            if fields.get("code"):
                raise SignInError(f"no sign-in to {name} is under way here that this code could belong to: begin anew")
            attempt = unasked(credential, session, self._clock())
        return await self._complete(attempt, fields, pasted=True)

    async def stop(self) -> None:
        """Wait for the sign-ins that are being completed."""
        if self._ending:
            await asyncio.wait(self._ending)

    def _credential(self, name: str) -> CredentialConfig:
        credential = self._config.credentials.get(name)
        if credential is None:
            raise SignInError(f"the configuration names {name} no more")
        return credential

    def _of_pasted(self, name: str, fields: Fields, session: str) -> Attempt | None:
        """Find the attempt by its state, among those of this browser, or take the last one."""
        self._forget_old()
        named = self._attempts.get(str(fields.get("state")))
        if named is not None and (named.credential, named.session) == (name, session):
            return named
        return self.under_way(name, session)

    async def _complete(self, attempt: Attempt, fields: Fields, *, pasted: bool) -> SignedIn:
        credential = self._config.credentials[attempt.credential]
        if not pasted:  # what the vendor answers ends the attempt; what a person pastes wrongly does not
            self._attempts.pop(attempt.state.reveal(), None)
        found = read_return(fields, credential, attempt, pasted=pasted)
        self._attempts.pop(attempt.state.reveal(), None)
        return await asyncio.shield(self._owned(self._end(credential, found)))

    def _owned(self, work: Coroutine[Any, Any, SignedIn]) -> asyncio.Task[SignedIn]:
        task = asyncio.create_task(work, name="complete a sign-in")
        self._ending.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[SignedIn]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # it is told to whoever waits; nobody may any more

    async def _end(self, credential: CredentialConfig, found: Tokens | Code) -> SignedIn:
        if isinstance(found, Code):
            tokens = await self._fetched(credential, found)
        else:
            tokens = found
            await self._core.put(credential.name, tokens, Origin.LOGIN)
        told = granted(credential, tokens)
        return SignedIn(credential.name, told.held, told.warnings)

    async def _fetched(self, credential: CredentialConfig, code: Code) -> Tokens:
        """Redeem a code under the credential's lock, and store what it brings."""
        brought: list[Tokens] = []

        async def bring() -> Tokens:
            brought.append(redeemed(await self._redeem(credential, code)))
            return brought[0]

        try:
            await self._core.fetch(credential.name, bring, Origin.LOGIN)
        except StoreError as error:
            if not brought:
                raise
            raise SignInError(
                f"the vendor has granted, but the tokens could not be saved: {error}; sign in again"
            ) from None
        return brought[0]

    def _forget_old(self) -> None:
        oldest = self._clock() - self._config.limits.login_timeout
        for state, attempt in list(self._attempts.items()):
            if attempt.began_at < oldest or len(self._attempts) > _MOST_ATTEMPTS:
                del self._attempts[state]


def _parties(credential: CredentialConfig) -> tuple[str, ...]:
    """Name those between whom a code is good."""
    provider = credential.provider
    return provider.grant, provider.authorize_url, provider.token_url, credential.client_id


def redeemed(outcome: Outcome) -> Tokens:
    """Give the tokens that a code brought. Raises `SignInError` with a sentence of its own for each way to fail."""
    match outcome:
        case Granted(tokens):
            return tokens
        case Unusable(_, reason):
            raise SignInError(f"the sign-in brought nothing that can be used: {reason}")
        case Refused(TroubleKind.GRANT, _):
            raise SignInError("the vendor refuses the code: a code works once and only for minutes; sign in again")
        case Refused(TroubleKind.CLIENT, reason):
            raise SignInError(f"the vendor refuses this client ({reason}): check client_id and client_secret")
        case Refused(_, reason):
            raise SignInError(
                f"the vendor refuses to exchange the code ({reason}): check redirect_uri, token_url and token_request"
            )
        case _:
            raise SignInError(f"the code could not be exchanged: {outcome.reason}; sign in again")
