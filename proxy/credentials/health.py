"""How a credential is, in words a person understands: its state, why, and what to do next. Pure; never a token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..config import CredentialConfig
from . import policy
from .policy import Terms
from .record import Record, utc

_EXPIRING = 0.1  # of its lifetime is left: then a token is called expiring


class State(StrEnum):
    """The states, as `status` prints them."""

    OK = "ok"
    EXPIRING = "expiring"
    RENEWING = "renewing"
    RETRYING = "retrying"
    UNCERTAIN = "uncertain"
    LOGIN_REQUIRED = "login required"
    NEVER_SIGNED_IN = "never signed in"
    NOT_CONFIGURED = "not configured"


@dataclass(frozen=True, slots=True)
class Health:
    """What may be known of a credential: everything but the tokens."""

    config: CredentialConfig
    terms: Terms
    record: Record
    renewing: bool = False
    unsaved: bool = False

    def can_serve(self, now: float) -> bool:
        """Tell whether it has a token that may still be good, or can get one without a person."""
        if self.terms.missing:
            return False
        at = self.record.expires_at
        good = self.record.access_token is not None and not self.record.rejected and (at is None or now < at)
        return good or not policy.cannot_renew(self.record, self.terms)

    def state(self, now: float) -> tuple[State, str]:
        """Give the state and why it is so; the reason is empty where there is nothing to say."""
        record, terms = self.record, self.terms
        if terms.missing:
            return State.NOT_CONFIGURED, f"it lacks {', '.join(terms.missing)}"
        if self.renewing:
            return State.RENEWING, ""
        reason = policy.cannot_renew(record, terms)
        expired = record.expires_at is not None and now >= record.expires_at
        if record.access_token is None and reason:
            never = record.origin is None and record.trouble is None
            return (State.NEVER_SIGNED_IN, "") if never else (State.LOGIN_REQUIRED, reason)
        if reason and (expired or record.rejected or record.trouble is not None):
            return State.LOGIN_REQUIRED, reason
        if record.marked_at is not None:
            return State.UNCERTAIN, f"a renewal was cut off at {utc(record.marked_at)} before its answer came"
        trouble = policy.current_trouble(record, terms)
        if trouble is not None:
            until = "" if trouble.retry_at is None else f"; next try {utc(trouble.retry_at)}"
            return State.RETRYING, trouble.reason + until
        return (State.EXPIRING if self._expires_soon(now) else State.OK), ""

    def next_step(self, now: float) -> str:
        """Say what a person should do, or nothing."""
        name = self.config.name
        state, _ = self.state(now)
        if state is State.NOT_CONFIGURED:
            return f"set {', '.join(self.terms.missing)} for {name}"
        if state in (State.NEVER_SIGNED_IN, State.LOGIN_REQUIRED):
            return policy.remedy(self.record, self.terms)
        if state is State.RETRYING:
            return "nothing: it is tried again by itself"
        if state is State.UNCERTAIN:
            return "nothing yet: its access token is used as long as the vendor takes it"
        return ""

    def as_json(self, now: float) -> dict[str, Any]:
        """Give what `status --json` and `/api/credentials` tell. Times are ISO 8601, UTC."""
        record = self.record
        state, reason = self.state(now)
        return {
            "name": self.config.name,
            "state": state.value,
            "reason": reason,
            "next_step": self.next_step(now),
            "generation": record.generation,
            "origin": record.origin,
            "scope": record.scope,
            "obtained_at": _iso(record.obtained_at),
            "expires_at": _iso(record.expires_at),
            "expires_in": None if record.expires_at is None else round(record.expires_at - now),
            "last_exchange": _iso(record.exchanged_at),
            "last_error": None if record.trouble is None else record.trouble.reason,
            "can_renew": not (self.terms.missing or policy.cannot_renew(record, self.terms)),
            "unsaved": self.unsaved,
        }

    def _expires_soon(self, now: float) -> bool:
        record = self.record
        if record.expires_at is None or record.obtained_at is None:
            return False
        return record.expires_at - now < _EXPIRING * (record.expires_at - record.obtained_at)


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
