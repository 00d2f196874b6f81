"""Answers of token endpoints, and tokens as a person pastes them, read defensively (T10). Pure.

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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

from ..config import Provider
from ..errors import TokenFormatError
from ..secret import Secret
from .record import Tokens, TroubleKind

MAX_ANSWER = 1 << 20  # bytes
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\"]*[#?]")
_TOKENS = ("access_token", "refresh_token")
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


def read_answer(status: int, headers: Mapping[str, str], body: bytes, provider: Provider, now: float) -> Outcome:
    """Decide what a complete answer of a token endpoint means. `headers` compares names without case."""
    if status in (502, 504):
        return Uncertain(f"a gateway before the token endpoint answered {status}")
    if status == 429 or status >= 500:
        return Passing(f"the token endpoint answered {status}", _retry_after(headers.get("Retry-After", ""), now))
    fields = _fields(body)
    if 200 <= status < 300:
        if fields is None:
            return Uncertain("the token endpoint's answer cannot be read")
        tokens = _tokens(fields)
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


def read_pasted(text: str) -> Tokens:
    """Read token JSON, form-encoded text, a redirect URL with its fragment or query, or a bare access token.

    Raises `TokenFormatError`, which does not repeat the text.
    """
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise TokenFormatError("nothing was given: paste token JSON, form text, or the address you were sent to")
    fields = _pasted_fields(text)
    if fields.get("error"):
        raise TokenFormatError(f"this is an error, not a token: {_code(fields, 'it is not a registered one')}")
    tokens = _tokens(fields)
    if tokens.access_token is None and fields.get("access_token"):
        raise TokenFormatError("the access token has characters that no bearer token has (RFC 6750 section 2.1)")
    if tokens.access_token is None and tokens.refresh_token is None and fields.get("code"):
        raise TokenFormatError("this is a code, which this version cannot exchange: bring the token itself")
    if tokens.access_token is None and tokens.refresh_token is None:
        raise TokenFormatError("there is no access_token in it: paste the whole answer or the whole address")
    return tokens


def read_lifetime(value: object) -> float | None:
    """Read `expires_in`, a number or a string of one, in seconds; None where it says nothing usable (T9)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_LIFETIME) if math.isfinite(seconds) and seconds > 0 else None


def _pasted_fields(text: str) -> Mapping[str, object]:
    if _B64TOKEN.fullmatch(text) and text.rstrip("=") not in _TOKENS:
        return {"access_token": text}
    if not _URL.match(text):
        return _fields(text.encode("utf-8", "replace")) or {}
    try:
        parts = urlsplit(text)
    except ValueError:
        raise TokenFormatError("this address cannot be read: copy it whole") from None
    return _pairs(parts.query) | _pairs(parts.fragment)


def _pairs(text: str) -> dict[str, str]:
    """Read the parameters of an address; a `+` in a token stands for itself, though it should have been encoded."""
    as_they_are = parse_qsl(text.replace("+", "%2B"))
    return dict(parse_qsl(text)) | {key: value for key, value in as_they_are if key in _TOKENS}


def _fields(body: bytes) -> Mapping[str, object] | None:
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


def _tokens(fields: Mapping[str, object]) -> Tokens:
    access, refresh, scope = (fields.get(key) for key in ("access_token", "refresh_token", "scope"))
    new = str(refresh) if isinstance(refresh, str | int) and not isinstance(refresh, bool) and refresh else ""
    new = "" if any("\ud800" <= character <= "\udfff" for character in new) else new  # no request could carry it
    return Tokens(
        access_token=Secret(access) if isinstance(access, str) and _B64TOKEN.fullmatch(access) else None,
        refresh_token=Secret(new) if new else None,
        spent=bool(refresh) and not new,
        expires_in=read_lifetime(fields.get("expires_in")),
        scope=scope if isinstance(scope, str) and scope.isprintable() else "",
    )


def _refusal(status: int, fields: Mapping[str, object], provider: Provider) -> Refused:
    error, description = fields.get("error"), fields.get("error_description")
    said = _code(fields, f"HTTP {status}")
    if error == "invalid_grant":
        return Refused(TroubleKind.GRANT, said)
    if isinstance(description, str) and description.startswith(provider.invalid_grant_descriptions):
        return Refused(TroubleKind.GRANT, "it does not know the refresh token")
    if status == 401 or error in ("invalid_client", "unauthorized_client"):
        return Refused(TroubleKind.CLIENT, said)
    return Refused(TroubleKind.REFUSED, said)


def _code(fields: Mapping[str, object], otherwise: str) -> str:
    error = fields.get("error")
    return error if isinstance(error, str) and error in _CODES else otherwise


def _retry_after(value: str, now: float) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110 section 10.2.3)."""
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value), _MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
