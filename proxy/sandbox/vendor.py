"""What the vendors have in common: from a call to an answer. No sockets, no faults.

A vendor has three sides: the token endpoint, the pages of its sign-in (`pages`), and the API, which is all the rest.
Order of decisions at the API: path and method, then the credentials (`authorize`), then the quota, then the
handler. A subclass holds only what differs at its vendor: form of the token endpoint, sign-in, errors, data.
Tokens are in `ledger` and nowhere else; `state` never shows them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from .authorize import error_page
from .counting import Counters, Window
from .grants import Grant, Ledger
from .messages import Answer, Call, error_answer, json_answer
from .routing import Missing, Routes
from .settings import VendorSettings, patched

Handler: TypeAlias = Callable[..., Answer]
S = TypeVar("S", bound=VendorSettings)
COUNTED = ("exchanges", "rotations", "refused", "stalled", "api_requests", "rejected")


class Vendor(ABC, Generic[S]):
    """An emulated vendor, without its transport."""

    name: ClassVar[str]
    token_path: ClassVar[str]
    counted: ClassVar[tuple[str, ...]] = ()  # further numbers in its state

    def __init__(self, settings: S, clock: Callable[[], float]) -> None:
        self._initial = settings
        self.clock = clock
        self.routes = Routes(self.table())
        self._pages = Routes(self.pages())
        self.reset()

    def reset(self) -> None:
        """Everything as at the start."""
        self.settings = self._initial
        self.counters = Counters((*COUNTED, *self.counted))
        self.ledger = self.new_ledger()
        self.minutes: defaultdict[str, Window] = defaultdict(lambda: Window(60.0))
        self.fill()

    @abstractmethod
    def table(self) -> list[tuple[str, str, Handler]]:
        """The API: (method, path template, handler)."""

    @abstractmethod
    def new_ledger(self) -> Ledger:
        """An empty ledger with this vendor's rules of rotation."""

    @abstractmethod
    def fill(self) -> None:
        """The data as at the start."""

    @abstractmethod
    def exchange(self, call: Call) -> Answer:
        """The answer of the token endpoint to a POST."""

    @abstractmethod
    def authorize(self, call: Call) -> Answer | None:
        """None, or the answer that refuses these credentials."""

    @abstractmethod
    def over_quota(self) -> Answer:
        """The answer when the quota is used up."""

    def pages(self) -> list[tuple[str, str, Handler]]:
        """The interactive sign-in, for people: (method, path, handler). None at a vendor that has none."""
        return []

    def quota_kind(self, call: Call) -> str:  # noqa: ARG002 - for vendors that count reads and writes apart
        return "all"

    def missing(self, call: Call, status: int) -> Answer:  # noqa: ARG002 - for vendors whose answer depends on it
        """The answer to a path (404) or method (405) that the vendor does not have, or an object it does not know."""
        return error_answer("not_found" if status == 404 else "method_not_allowed", status=status)

    def finished(self, call: Call, answer: Answer) -> Answer:  # noqa: ARG002 - as above
        """The last touch on every answer of the API."""
        return answer

    def side(self, path: str) -> Literal["token", "page", "api"]:
        """Which side of the vendor serves this path."""
        if path == self.token_path:
            return "token"
        return "page" if self._pages.has(path) else "api"

    def answer(self, call: Call) -> Answer:
        side = self.side(call.path)
        if side == "token":
            return self._token(call)
        return self._page(call) if side == "page" else self.finished(call, self._api(call))

    def grant(self) -> dict[str, object]:
        """A new grant of the scope in the settings, without a sign-in: the token JSON to paste."""
        return self._token_fields(self.issue(self.settings.scope))

    def issue(self, scope: str) -> Grant:
        return self.ledger.issue(self._expiry(), scope=scope, renewable=self.settings.refresh_tokens)

    def renew(self, refresh: str) -> dict[str, object] | None:
        """One exchange of a refresh token: the fields of the token answer, or None if it is refused."""
        rotates = self.settings.rotates
        grant = self.ledger.exchange(refresh, self._expiry(), rotate=rotates)
        if grant is None:
            return None
        self.counters.add("rotations")
        return self._token_fields(grant, with_refresh=rotates)

    def expire(self) -> None:
        self.ledger.expire(self.clock())

    def patch(self, changes: dict[str, Any]) -> None:
        self.settings = patched(self.settings, changes)

    def state(self) -> dict[str, object]:
        grants = [
            {
                "alive": grant.alive,
                "scope": grant.scope,
                "rotations": grant.rotations,
                "expires_in": None if grant.expires_at is None else grant.expires_at - self.clock(),
            }
            for grant in self.ledger
        ]
        return {**self.counters.values(), "grants": grants}

    def _token(self, call: Call) -> Answer:
        answer = self.exchange(call) if call.method == "POST" else json_answer({"error": "invalid_request"}, 405)
        if answer.status != 200:
            self.counters.add("refused")
        return answer

    def _page(self, call: Call) -> Answer:
        found = self._pages.find(call.method, call.path)
        return error_page("Method not allowed", 405) if isinstance(found, Missing) else found.handler(call)

    def _api(self, call: Call) -> Answer:
        found = self.routes.find(call.method, call.path)
        if isinstance(found, Missing):
            return self.missing(call, found.status)
        refusal = self.authorize(call)
        if refusal is not None:
            self.counters.add("rejected")
            return refusal
        quota = self.settings.quota_per_minute
        if self.minutes[self.quota_kind(call)].add(call.now) > (quota or float("inf")):
            return self.over_quota()
        return found.handler(call, **found.params)

    def _expiry(self) -> float | None:
        lifetime = self.settings.lifetime
        return None if lifetime is None else self.clock() + lifetime

    def _token_fields(self, grant: Grant, *, with_refresh: bool = True) -> dict[str, object]:
        fields: dict[str, object] = {"access_token": grant.access, "token_type": "bearer"}
        lifetime = self.settings.lifetime
        if lifetime is not None:
            fields["expires_in"] = int(lifetime) if float(lifetime).is_integer() else lifetime
        if with_refresh and grant.refresh is not None:
            fields["refresh_token"] = grant.refresh
        return {**fields, **self.settings.override}
