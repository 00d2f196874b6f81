"""Answers of token endpoints, read defensively (T10). Pure.

`read_answer` decides what one complete answer means; the case list:

    2xx with a usable access token              Granted
    2xx with an unusable one, or a refresh token alone    Unusable: the answer counts, the access token does not
    2xx with `error`                            as the error says
    2xx otherwise                               Uncertain: the vendor may have rotated
    429, 5xx but 502 and 504                    Passing
    502, 504                                    Uncertain: some gateway lost the vendor's answer
    invalid_grant, or the provider's own words  Refused: grant
    401, invalid_client, unauthorized_client    Refused: client
    any other 3xx, 4xx                          Refused: request

No text of the vendor's leaves this module: a description may echo a token, so only registered error codes are named.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl

from ..config import Provider
from ..secret import Secret, repeats
from .record import Tokens, TroubleKind

MAX_ANSWER = 1 << 20  # bytes
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1
TOKENS = ("access_token", "refresh_token")
_MAX_LIFETIME = 10 * 365 * 86400.0
_MAX_RETRY_AFTER = 86400.0
# RFC 6749 section 5.2 and the IANA registry of OAuth extension errors.
_CODES = frozenset(
    {
        "access_denied",
        "authorization_pending",
        "expired_token",
        "insufficient_scope",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "invalid_token",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    }
)


@dataclass(frozen=True, slots=True)
class Granted:
    """New tokens."""

    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Unusable:
    """A complete answer without a usable access token. What else it brought must be kept: the old is spent."""

    tokens: Tokens
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A complete answer that says no."""

    kind: TroubleKind
    reason: str


@dataclass(frozen=True, slots=True)
class Passing:
    """Nothing was sent, or the vendor says: later. `retry_after` in seconds."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Something was sent and no complete answer came: the vendor may have rotated or not."""

    reason: str


Outcome = Granted | Unusable | Refused | Passing | Uncertain


def outcome_word(outcome: Outcome) -> str:
    """Give the word for an outcome, in the log and in the metrics."""
    return "unavailable" if isinstance(outcome, Passing) else type(outcome).__name__.lower()


def read_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    provider: Provider,
    now: float,
    sent: Sequence[Secret] = (),
) -> Outcome:
    """Decide what a complete answer of a token endpoint means. `headers` compares names without case.

    `sent` are the secrets of the request: what of the answer is shown has none of them in it.
    """
    if status in (502, 504):
        return Uncertain(f"a gateway before the token endpoint answered {status}")
    if status == 429 or status >= 500:
        return Passing(f"the token endpoint answered {status}", _retry_after(headers, now))
    fields = read_fields(body)
    if 200 <= status < 300:
        if fields is None:
            return Uncertain("the token endpoint's answer cannot be read")
        tokens = tokens_in(fields, sent)
        if tokens.access_token is not None:
            return Granted(tokens)
        if tokens.refresh_token is not None or tokens.spent:
            return Unusable(tokens, "the token endpoint's answer holds no usable access token")
        if not fields.get("error"):
            if fields.get("access_token"):
                return Unusable(tokens, "the token endpoint's answer holds no usable access token")
            return Uncertain("the token endpoint's answer holds no token")
    if 100 <= status < 200:
        return Uncertain(f"the token endpoint answered {status}")
    return _refusal(status, fields or {}, provider)


def is_b64token(text: str) -> bool:
    """Tell whether a text has only what a bearer token may have (RFC 6750 section 2.1)."""
    return bool(_B64TOKEN.fullmatch(text))


def read_lifetime(value: object) -> float | None:
    """Read `expires_in`, a number or a string of one, in seconds; None where it says nothing usable (T9)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_LIFETIME) if math.isfinite(seconds) and seconds > 0 else None


def read_fields(body: bytes) -> Mapping[str, object] | None:
    """Read a body as a JSON object or as form text, by what it is: vendors mislabel both."""
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    if text.startswith(("{", "[", '"')):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None
    pairs = parse_qsl(text.removeprefix("#").removeprefix("?"), max_num_fields=100) if text.count("&") < 100 else []
    return dict(pairs) or None


def tokens_in(fields: Mapping[str, object], sent: Sequence[Secret] = ()) -> Tokens:
    """Give what of `fields` can be used as tokens, which may be nothing. A scope that repeats a secret is none."""
    access, refresh, scope = (fields.get(key) for key in ("access_token", "refresh_token", "scope"))
    new = str(refresh) if isinstance(refresh, str | int) and not isinstance(refresh, bool) and refresh else ""
    new = "" if any("\ud800" <= character <= "\udfff" for character in new) else new  # no request could carry it
    own = [Secret(text) for text in (access, new) if isinstance(text, str)]
    shown = isinstance(scope, str) and scope.isprintable() and not repeats(scope, (*sent, *own))
    return Tokens(
        access_token=Secret(access) if isinstance(access, str) and _B64TOKEN.fullmatch(access) else None,
        refresh_token=Secret(new) if new else None,
        spent=bool(refresh) and not new,
        expires_in=read_lifetime(fields.get("expires_in")),
        scope=str(scope) if shown else "",
    )


def _refusal(status: int, fields: Mapping[str, object], provider: Provider) -> Refused:
    error, description = fields.get("error"), fields.get("error_description")
    said = registered_error(fields, f"HTTP {status}")
    if error == "invalid_grant":
        return Refused(TroubleKind.GRANT, said)
    if isinstance(description, str) and description.startswith(provider.invalid_grant_descriptions):
        return Refused(TroubleKind.GRANT, "it does not know the refresh token")
    if status == 401 or error in ("invalid_client", "unauthorized_client"):
        return Refused(TroubleKind.CLIENT, said)
    return Refused(TroubleKind.REFUSED, said)


def registered_error(fields: Mapping[str, object], otherwise: str) -> str:
    """Give the error code among `fields` if it is a registered one: any other text might hold a token."""
    error = fields.get("error")
    return error if isinstance(error, str) and error in _CODES else otherwise


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110 section 10.2.3), in seconds from now.

    A date is the vendor's, and so is held against the vendor's own clock, where the answer bears its Date.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _MAX_RETRY_AFTER)
    date = _date(value)
    if date is None:
        return None
    theirs = _date(headers.get("Date", ""))
    return min(max(date - (now if theirs is None else theirs), 0.0), _MAX_RETRY_AFTER)


def _date(value: str) -> float | None:
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
