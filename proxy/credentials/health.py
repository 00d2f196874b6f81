"""How a credential is, in words a person understands: its state, why, and what to do next. Pure; never a token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ..config import CredentialConfig
from . import policy
from .policy import Terms
from .record import Origin, Record, TroubleKind, utc

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
        good = self.record.access_token is not None and not self._stale(now)
        return good or not policy.cannot_renew(self.record, self.terms)

    def state(self, now: float) -> tuple[State, str]:
        """Give the state and why it is so; the reason is empty where there is nothing to say.

        A token that is past its expiry is *expiring* as long as it can be renewed without a person: nobody has to act.
        """
        record, terms = self.record, self.terms
        if terms.missing:
            return State.NOT_CONFIGURED, f"it lacks {', '.join(terms.missing)}"
        if self.renewing:
            return State.RENEWING, ""
        reason = policy.cannot_renew(record, terms)
        trouble = policy.current_trouble(record, terms)
        if record.access_token is None and reason:
            if record.origin is None and trouble is None:
                return State.NEVER_SIGNED_IN, ""
            return State.LOGIN_REQUIRED, "it was logged out" if record.origin is Origin.LOGOUT else reason
        if terms.renew == "none":
            trouble = None  # of another configuration: nothing is renewed here any more
        if reason and (self._stale(now) or trouble is not None):
            return State.LOGIN_REQUIRED, reason
        if self._uncertain():
            return State.UNCERTAIN, f"a renewal was cut off at {utc(record.marked_at or 0.0)} before its answer came"
        if trouble is not None:
            until = self._retry_at(now)
            when = "it is tried again with the next request" if until is None else f"next try {utc(until)}"
            return State.RETRYING, f"{trouble.reason}; {when}"
        if self._stale(now) or self._expires_soon(now):
            return State.EXPIRING, reason
        return State.OK, ""

    def described(self, now: float) -> str:
        """Give the state as one text for a person, with what belongs to it in brackets."""
        state, reason = self.state(now)
        if state is State.RETRYING:
            until = self._retry_at(now)
            return f"{state} ({'with the next request' if until is None else f'until {utc(until)}'})"
        if state is State.UNCERTAIN:
            cut_off = f"a renewal was cut off at {utc(self.record.marked_at or 0.0)}"
            return f"{state} ({cut_off}; {self._meanwhile()})"
        return f"{state} ({reason})" if reason and state is not State.EXPIRING else str(state)

    def next_step(self, now: float) -> str:
        """Say what a person should do, or nothing."""
        name, record = self.config.name, self.record
        state, reason = self.state(now)
        if state is State.NOT_CONFIGURED:
            return f"set {', '.join(self.terms.missing)} for {name}"
        if self.unsaved:
            return "make it possible to write the store: the new tokens are in memory only"
        if state in (State.NEVER_SIGNED_IN, State.LOGIN_REQUIRED):
            return policy.remedy(record, self.terms)
        if state is State.RETRYING:
            if record.trouble is not None and record.trouble.kind is TroubleKind.REFUSED:
                return (
                    f"if it lasts, check token_url of {self.config.provider_name or name}: it is tried again by itself"
                )
            again = "the next request tries again" if self._retry_at(now) is None else "it is tried again by itself"
            return f"nothing: {again}"
        if state is State.UNCERTAIN:
            return f"nothing yet: {self._meanwhile()}"
        if state is State.EXPIRING and reason:
            return f"before it expires, {policy.remedy(record, self.terms)}"
        if state is State.EXPIRING and self._stale(now):
            return "nothing: it is renewed with the next request"
        return ""

    def as_json(self, now: float) -> dict[str, Any]:
        """Give what `status --json` and `/api/credentials` tell. Times are ISO 8601, UTC."""
        record = self.record
        state, reason = self.state(now)
        return {
            "name": self.config.name,
            "provider": self.config.provider_name,
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

    def _stale(self, now: float) -> bool:
        """Tell whether the access token is past its expiry, or refused by the upstream."""
        return self.record.rejected or (self.record.expires_at is not None and now >= self.record.expires_at)

    def _uncertain(self) -> bool:
        """Tell whether a refresh token is out without an answer; a mark means nothing where none is sent (T5)."""
        return self.record.marked_at is not None and self.terms.renew == "refresh_token"

    def _meanwhile(self) -> str:
        if self.record.access_token is None:
            return "the refresh token is tried again with the next request"
        return "its access token is used as long as the vendor takes it"

    def _retry_at(self, now: float) -> float | None:
        """Give when the back-off ends, None if it is over: then the next request tries (T7)."""
        trouble = policy.current_trouble(self.record, self.terms)
        if trouble is None or trouble.retry_at is None or not trouble.at <= now < trouble.retry_at:
            return None
        return trouble.retry_at

    def _expires_soon(self, now: float) -> bool:
        record = self.record
        if record.expires_at is None or record.obtained_at is None:
            return False
        return record.expires_at - now < _EXPIRING * (record.expires_at - record.obtained_at)


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
