"""Grants: which tokens a vendor has given out, and what becomes of them. Pure: no clock, no I/O.

Rules kept here:
- only the *current* access token of a grant is accepted;
- a refresh token works once; the exchange replaces it at once, without grace;
- a refresh token that its grant has already replaced is *reuse*, and kills the grant (RFC 9700 section 4.14);
- a dead grant is never renewed again.
What reuse does to the access token, and whether an exchange changes its text, differs by vendor: see `Ledger`.
Times are epoch seconds as the caller's clock gives them. Tokens are never shown by `repr`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Grant:
    """One person's consent. No access token (None): it is refused. `alive`: it may still be renewed or used."""

    access: str | None = field(repr=False)
    refresh: str | None = field(repr=False)
    expires_at: float | None
    scope: str
    alive: bool = True
    rotations: int = 0

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def kill(self, *, spare_access: bool = False) -> None:
        self.alive = False
        self.refresh = None
        if not spare_access:
            self.access = None


class Ledger:
    """All grants of one vendor.

    `keeps_access`: an exchange extends the access token and does not change its text (ReadyCloud).
    `reuse_spares_access`: reuse ends renewal, the access token lives until it expires (ReadyCloud).
    """

    def __init__(self, prefix: str, *, keeps_access: bool = False, reuse_spares_access: bool = False) -> None:
        self._prefix = prefix
        self._keeps_access = keeps_access
        self._reuse_spares_access = reuse_spares_access
        self._grants: list[Grant] = []
        self._by_access: dict[str, Grant] = {}
        self._by_refresh: dict[str, Grant] = {}

    def __iter__(self) -> Iterator[Grant]:
        return iter(self._grants)

    def issue(self, expires_at: float | None, *, scope: str = "", renewable: bool = True) -> Grant:
        """A new grant, as a person's sign-in makes it."""
        grant = Grant(None, None, expires_at, scope)
        self._grants.append(grant)
        self._give_access(grant)
        if renewable:
            self._give_refresh(grant)
        return grant

    def exchange(self, refresh: str, expires_at: float | None, *, rotate: bool = True) -> Grant | None:
        """The renewed grant of that refresh token; None if it is refused, which for reuse kills the grant."""
        grant = self._by_refresh.get(refresh)
        if grant is None or not grant.alive:
            return None
        if grant.refresh != refresh:
            grant.kill(spare_access=self._reuse_spares_access)
            return None
        grant.expires_at = expires_at
        grant.rotations += 1
        if not self._keeps_access:
            self._give_access(grant)
        if rotate:
            self._give_refresh(grant)
        return grant

    def holder(self, access: str) -> Grant | None:
        """The grant whose current access token this is, expired or not."""
        grant = self._by_access.get(access)
        return grant if grant is not None and grant.access == access else None

    def expire(self, now: float) -> None:
        for grant in self._grants:
            grant.expires_at = now

    def revoke(self) -> None:
        for grant in self._grants:
            grant.kill()

    def _give_access(self, grant: Grant) -> None:
        grant.access = f"{self._prefix}-at-{secrets.token_hex(20)}"
        self._by_access[grant.access] = grant

    def _give_refresh(self, grant: Grant) -> None:
        grant.refresh = f"{self._prefix}-rt-{secrets.token_hex(20)}"
        self._by_refresh[grant.refresh] = grant
