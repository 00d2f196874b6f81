"""What is kept of one credential, and what the rest of the program gets to see of it. Values only.

Two tokens are told apart by `generation`, never by their text: a vendor may renew a token without changing it.
Times are seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ..secret import Secret


class Origin(StrEnum):
    """Where the tokens of a record came from."""

    EXCHANGE = "exchange"
    LOGIN = "login"
    IMPORT = "import"
    LOGOUT = "logout"


class TroubleKind(StrEnum):
    """Why the last exchange brought nothing (T5 to T7)."""

    GRANT = "grant refused"
    CLIENT = "client refused"
    REFUSED = "request refused"
    PASSING = "passing trouble"
    UNCERTAIN = "no complete answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What stands between a credential and its renewal.

    `reason` is a sentence of ours. `cut_off_at` is when an earlier renewal was cut off, if this refusal followed one.
    `fingerprint` is of the client that was refused; trouble of another client's is void.
    """

    kind: TroubleKind
    reason: str
    at: float
    retry_at: float | None = None
    failures: int = 1
    fingerprint: str = ""
    cut_off_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is stored of one credential.

    `marked_at` is T5's mark: a refresh token was sent, or is about to be, and no answer is saved. `guard` is T8's
    guard time once it has grown, 0 for its start. `rejected`: the upstream refuses this access token, and no newer can
    be had without a person. `exchanged_at` is when an exchange last brought tokens, `brought_at` when a person
    did. `org_pk` is the grant's one organization once it was looked up.
    """

    name: str
    generation: int = 0
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    scope: str = ""
    expires_at: float | None = None
    obtained_at: float | None = None
    origin: Origin | None = None
    guard: float = 0.0
    rejected: bool = False
    marked_at: float | None = None
    trouble: Trouble | None = None
    exchanged_at: float | None = None
    brought_at: float | None = None
    org_pk: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One generation's access token, for one attempt at the upstream."""

    credential: str
    generation: int
    token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a token endpoint or a person gave. `expires_in` is None where it is missing or makes no sense (T9).

    `spent`: a new refresh token was there but cannot be used, so that the old one is spent all the same.
    """

    access_token: Secret | None = None
    refresh_token: Secret | None = None
    expires_in: float | None = None
    scope: str = ""
    spent: bool = False


def utc(at: float) -> str:
    """Write a time for a person."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
