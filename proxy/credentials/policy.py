"""The rules T2 and T5 to T9 as pure functions: what to do with a record now, and what an outcome makes of it.

No clock, no store, no network: `now` comes in, records go in and out. A record that carries a mark is *uncertain* here;
whoever asks holds the lock, or knows that no exchange is under way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum

from ..config import INTERACTIVE, CredentialConfig
from ..errors import LoginRequiredError, NotConfiguredError, RenewalDelayedError, RenewalGuardedError
from .answers import Granted, Outcome, Passing, Refused, Uncertain, Unusable
from .record import Origin, Record, Snapshot, Tokens, Trouble, TroubleKind, utc

AHEAD = 0.8  # of a known lifetime: then a token is renewed before anyone needs it (T9)
SPREAD = 0.05  # of the lifetime: how much earlier at the most, so that many credentials do not renew at once
MAX_GUARD = 3600.0
FIRST_BACK_OFF, MAX_BACK_OFF = 1.0, 300.0
REFUSED_BACK_OFF = 600.0  # an unknown refusal is not asked for again sooner (T6)


class Need(Enum):
    """The one answer that is not a snapshot: an exchange has to be made."""

    EXCHANGE = "exchange"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rules need to know of one credential's configuration.

    `guard` is T8's guard time at its start, in seconds. A client's refusal of just the time `forgiven` is void: it was
    there when we started, and is tried again (T6). `sign_in` is the command by which a person brings new tokens.
    """

    name: str
    renew: str
    guard: float
    fingerprint: str
    missing: tuple[str, ...] = ()
    sign_in: str = "import"
    forgiven: float | None = None

    @classmethod
    def of(cls, config: CredentialConfig, guard: float) -> Terms:
        """Take from a configuration what the rules need; the client secret stays behind, hashed."""
        provider = config.provider
        by_browser = provider.grant in INTERACTIVE and bool(provider.authorize_url)
        sign_in = "login" if by_browser else "import"
        return cls(config.name, provider.renew, guard, fingerprint(config), config.missing, sign_in)


def fingerprint(config: CredentialConfig) -> str:
    """Give a short text that changes with all that a token endpoint may refuse a client for (T6)."""
    provider = config.provider
    parts = (
        provider.token_url,
        config.client_id,
        config.client_secret.reveal(),
        provider.token_request,
        provider.client_auth,
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def obtain(record: Record, terms: Terms, rejected: int | None, now: float) -> Snapshot | Need:
    """Give a token newer than generation `rejected` (None: any token), or say that an exchange is needed.

    Raises the `CredentialError` that tells why neither is possible now.
    """
    if terms.missing:
        raise NotConfiguredError(terms.name, terms.missing)
    if record.access_token is not None and (rejected is None or record.generation > rejected):
        return Snapshot(record.name, record.generation, record.access_token)
    reason = cannot_renew(record, terms)
    if reason:
        raise LoginRequiredError(terms.name, reason, remedy(record, terms))
    if record.access_token is not None and guarded(record, terms, now):
        raise RenewalGuardedError(
            terms.name,
            f"the token of {terms.name} was renewed moments ago and is rejected again; it is not renewed yet",
        )
    trouble = current_trouble(record, terms)
    if trouble is not None and trouble.retry_at is not None and trouble.at <= now < trouble.retry_at:
        raise RenewalDelayedError(
            terms.name, f"renewing {terms.name} failed: {trouble.reason}; it is tried again", trouble.retry_at - now
        )
    return Need.EXCHANGE


def cannot_renew(record: Record, terms: Terms) -> str:
    """Say why only a person can help, or nothing."""
    if terms.renew == "none":
        return "its tokens cannot be renewed"
    if terms.renew == "refresh_token" and record.refresh_token is None:
        if record.access_token is not None:
            return "the vendor gave no refresh token"
        return "it was logged out" if record.origin is Origin.LOGOUT else "nobody has signed in yet"
    trouble = current_trouble(record, terms)
    if trouble is not None and trouble.kind is TroubleKind.GRANT:
        if trouble.cut_off_at is not None:
            return (
                f"a renewal was cut off at {utc(trouble.cut_off_at)} before its answer came, and the vendor now "
                f"refuses the old refresh token ({trouble.reason}): most likely it had replaced it"
            )
        return f"the vendor refused the refresh token ({trouble.reason})"
    if trouble is not None and trouble.kind is TroubleKind.CLIENT:
        return f"the vendor refused this client ({trouble.reason})"
    return ""


def remedy(record: Record, terms: Terms) -> str:
    """Say what a person does about `cannot_renew`."""
    trouble = current_trouble(record, terms)
    if trouble is not None and trouble.kind is TroubleKind.CLIENT:
        return f"check client_id and client_secret of {terms.name}"
    return f"run: bearer-proxy {terms.sign_in} {terms.name}"


def current_trouble(record: Record, terms: Terms) -> Trouble | None:
    """Give the record's trouble unless it is void: another client's, or a refusal that is forgiven (T6)."""
    trouble = record.trouble
    if trouble is None or trouble.fingerprint not in ("", terms.fingerprint):
        return None
    return None if trouble.kind is TroubleKind.CLIENT and trouble.at == terms.forgiven else trouble


def guard_time(record: Record, terms: Terms) -> float:
    """Give T8's guard time as it stands: its start, or what it has grown to."""
    lifetime = _lifetime(record)
    start = terms.guard if lifetime is None else min(terms.guard, lifetime / 10)
    return max(start, record.guard)


def guarded(record: Record, terms: Terms, now: float) -> bool:
    """Tell whether this token is too young, and not yet past its own expiry, to be exchanged when rejected (T8)."""
    if record.origin is not Origin.EXCHANGE or record.obtained_at is None:
        return False
    if record.expires_at is not None and now >= record.expires_at:
        return False
    return 0 <= now - record.obtained_at < guard_time(record, terms)


def renewal_time(record: Record, terms: Terms, spread: float) -> float | None:
    """Say when to renew ahead of time, or None. `spread`, 0 to 1, is this credential's share of the jitter (T9)."""
    lifetime = _lifetime(record)
    if lifetime is None or record.obtained_at is None or record.marked_at is not None:
        return None
    if terms.missing or cannot_renew(record, terms):
        return None
    due = record.obtained_at + lifetime * (AHEAD - SPREAD * spread)
    if record.origin is Origin.EXCHANGE:
        due = max(due, record.obtained_at + guard_time(record, terms))
    trouble = current_trouble(record, terms)
    return due if trouble is None else max(due, trouble.retry_at or 0.0)


def marked(record: Record, now: float) -> Record:
    """Set T5's mark: a refresh token is about to be sent."""
    return replace(record, marked_at=now)


def after(outcome: Outcome, before: Record, terms: Terms, now: float, jitter: float) -> Record:
    """Give the record that an exchange's outcome makes of `before`, the record as it was before it was marked.

    An uncertainty of before stays until the vendor has answered for the grant. `jitter` is 0 to 1.
    """
    match outcome:
        case Granted(tokens):
            return accepted(before, tokens, Origin.EXCHANGE, now)
        case Unusable(tokens, reason):
            trouble = _trouble(before, TroubleKind.REFUSED, reason, terms, now, jitter)
            kept = tokens.refresh_token or (None if tokens.spent else before.refresh_token)
            return replace(
                before, generation=before.generation + 1, refresh_token=kept, marked_at=None, trouble=trouble
            )
        case Refused(TroubleKind.GRANT, reason):
            trouble = _trouble(before, TroubleKind.GRANT, reason, terms, now, jitter)
            told = before.trouble.cut_off_at if before.trouble is not None else None
            return replace(before, marked_at=None, trouble=replace(trouble, cut_off_at=before.marked_at or told))
        case Refused(kind, reason):
            return replace(before, trouble=_trouble(before, kind, reason, terms, now, jitter))
        case Passing(reason, retry_after):
            trouble = _trouble(before, TroubleKind.PASSING, reason, terms, now, jitter)
            later = max(trouble.retry_at or now, now + (retry_after or 0.0))
            return replace(before, trouble=replace(trouble, retry_at=later))
        case Uncertain(reason):
            trouble = _trouble(before, TroubleKind.UNCERTAIN, reason, terms, now, jitter)
            if terms.renew != "refresh_token":
                return replace(before, trouble=trouble)
            return replace(before, marked_at=now, trouble=trouble)


def accepted(before: Record, tokens: Tokens, origin: Origin, now: float) -> Record:
    """Give the next generation, trouble forgotten.

    An exchange that brings no refresh token keeps the old one; it keeps the organization, which is the grant's.
    """
    renewed = origin is Origin.EXCHANGE
    return Record(
        name=before.name,
        generation=before.generation + 1,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or (before.refresh_token if renewed and not tokens.spent else None),
        scope=tokens.scope or (before.scope if renewed else ""),
        expires_at=None if tokens.expires_in is None else now + tokens.expires_in,
        obtained_at=now,
        origin=origin,
        guard=before.guard if renewed else 0.0,
        exchanged_at=now if renewed else before.exchanged_at,
        brought_at=before.brought_at if renewed else now,
        org_pk=before.org_pk if renewed else "",
    )


def logged_out(before: Record, now: float) -> Record:
    """Give the next generation, which holds no token."""
    return Record(
        name=before.name,
        generation=before.generation + 1,
        origin=Origin.LOGOUT,
        obtained_at=now,
        exchanged_at=before.exchanged_at,
        brought_at=before.brought_at,
    )


def grown_guard(record: Record, terms: Terms) -> float:
    """Give the guard time after a replay with a new token was rejected too (T8)."""
    return min(MAX_GUARD, 2 * guard_time(record, terms))


def _trouble(before: Record, kind: TroubleKind, reason: str, terms: Terms, now: float, jitter: float) -> Trouble:
    lasting = kind in (TroubleKind.GRANT, TroubleKind.CLIENT)
    last = current_trouble(before, terms)
    failures = 1 if last is None else last.failures + 1
    back_off = min(MAX_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures - 1, 20)) * (0.75 + 0.5 * jitter)
    if kind is TroubleKind.REFUSED:
        back_off = max(back_off, REFUSED_BACK_OFF)
    return Trouble(
        kind=kind,
        reason=reason,
        at=now,
        retry_at=None if lasting else now + back_off,
        failures=failures,
        fingerprint=terms.fingerprint if kind in (TroubleKind.CLIENT, TroubleKind.REFUSED) else "",
    )


def _lifetime(record: Record) -> float | None:
    if record.expires_at is None or record.obtained_at is None or record.expires_at <= record.obtained_at:
        return None
    return record.expires_at - record.obtained_at
