"""What the tokens that a person brought amount to, in words, and what is not as it was asked for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..config import CredentialConfig
from ..credentials.record import Record, Tokens


@dataclass(frozen=True, slots=True)
class Granted:
    """`held` is one phrase; each of `warnings` is a sentence of its own."""

    held: str
    warnings: tuple[str, ...]


def granted(credential: CredentialConfig, tokens: Tokens) -> Granted:
    """Tell what `tokens` are for `credential`."""
    both = (("an access token", tokens.access_token), ("a refresh token", tokens.refresh_token))
    held = ", ".join(word for word, token in both if token is not None)
    lifetime = (
        "its lifetime is not known" if tokens.expires_in is None else f"it expires in {duration(tokens.expires_in)}"
    )
    warnings = []
    asked, given = set(credential.scopes), set(scopes_in(tokens.scope))
    if asked and given and asked != given:
        lacking, more = " ".join(sorted(asked - given)), " ".join(sorted(given - asked))
        warnings.append(
            f"its scopes are not those of the configuration: lacking: {lacking or '-'}; more: {more or '-'}"
        )
    if tokens.refresh_token is None and credential.provider.renew == "refresh_token":
        warnings.append("there is no refresh token in it: when this one expires, a person has to sign in again")
    return Granted(f"{held}; {lifetime}", tuple(warnings))


def expiry(record: Record, now: float) -> str:
    """Tell when a credential's access token expires, or `-` where there is none."""
    at = record.expires_at
    if record.access_token is None:
        return "-"
    if at is None:
        return "unknown"
    return f"in {duration(at - now)}" if at > now else f"{duration(now - at)} ago"


def scopes_in(text: str) -> list[str]:
    """Give the scopes of an answer, which vendors separate by spaces or commas."""
    return [scope for scope in re.split(r"[\s,]+", text) if scope]


def duration(seconds: float) -> str:
    """Write a duration for a person, in its largest unit that says enough."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
