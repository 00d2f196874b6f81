"""Header fields of both directions: strip first, inject last. Pure (D1, D4).

A field is compared without case, and with `_`, `.` and other punctuation read as `-`: servers behind CGI-like
interfaces cannot tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum, auto

from .memo import Lookup
from .message import Field, Headers
from .target import without_parameters

VIA = "1.1 bearer-proxy"
OWN_COOKIES = "bearer_proxy_"  # how the names of our own cookies begin

# RFC 9110 section 7.6.1, and what older agents send in their place.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CONNECTION = frozenset({"connection", "proxy-connection"})
_ORDINARY = frozenset({"", "close", "keep-alive", "upgrade"})  # what Connection says when it names no field
# What the proxy says itself, or answers itself (Expect), and what only the credential may say.
_SET_BY_US = frozenset({"host", "content-length", "authorization", "expect"})
_METHOD_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
LINK_FIELDS = frozenset({"location", "content-location", "link", "refresh", "set-cookie"})
# What makes some servers take another path than the one that was judged (D3), or a second one (WebDAV's COPY and MOVE).
_PATH_OVERRIDES = frozenset({"x-original-url", "x-rewrite-url", "x-original-uri", "destination"})
_USER = re.compile(r"^(\s*[A-Za-z]+://)[^/?#]*@")
_PUNCTUATION = re.compile(r"[^a-z0-9-]")
_NEVER_TO_VENDOR = HOP_BY_HOP | _SET_BY_US | _PATH_OVERRIDES
# What a browser would take for all that has our origin, other vendors' answers too.
_FOR_A_WHOLE_ORIGIN = frozenset(
    {
        "alt-svc",
        "clear-site-data",
        "nel",
        "report-to",
        "reporting-endpoints",
        "service-worker-allowed",
        "strict-transport-security",
    }
)
_NEVER_TO_CALLER = HOP_BY_HOP | _FOR_A_WHOLE_ORIGIN


class _Fate(Enum):
    """What becomes of a field."""

    PASSES = auto()
    STAYS = auto()
    NAMES_OTHERS = auto()  # it is Connection: it stays, and so do those that it names
    COOKIE = auto()
    REFERS = auto()  # to the page that led here
    OVERRIDES_METHOD = auto()
    HOLDS_LINKS = auto()


def _to_vendor(name: str) -> _Fate:
    key = _key(name)
    if key in _CONNECTION:
        return _Fate.NAMES_OTHERS
    if key in _NEVER_TO_VENDOR:
        return _Fate.STAYS
    if key in _METHOD_OVERRIDES:
        return _Fate.OVERRIDES_METHOD
    return _APART.get(key, _Fate.PASSES)


def _to_caller(name: str) -> _Fate:
    key = _key(name)
    if key in _CONNECTION:
        return _Fate.NAMES_OTHERS
    if key in _NEVER_TO_CALLER or key.startswith("access-control-"):
        return _Fate.STAYS
    return _Fate.HOLDS_LINKS if key in LINK_FIELDS else _Fate.PASSES


_APART = {"cookie": _Fate.COOKIE, "referer": _Fate.REFERS}
_TO_VENDOR = Lookup(_to_vendor)
_TO_CALLER = Lookup(_to_caller)
_PASSES, _NAMES_OTHERS = _Fate.PASSES, _Fate.NAMES_OTHERS


def outbound(
    headers: Headers, authority: str, length: int | None, *, limited: bool, tokens: Collection[str] = ()
) -> list[Field]:
    """Build the fields for the upstream, all but Authorization.

    `length` is the body's, None where there is none or it is chunked. With `limited` methods the fields that would
    smuggle another method are left out. Query parameters named in `tokens` are cut out of Referer, and users too (D4).
    """
    result = [("Host", authority)]
    named = ""
    for field in headers:
        fate = _TO_VENDOR[field[0]]
        if fate is _PASSES:
            result.append(field)
        elif fate is _NAMES_OTHERS:
            named = f"{named},{field[1]}" if named else field[1]
        elif fate is _Fate.COOKIE:
            value = without_own_cookies(field[1]) if OWN_COOKIES in field[1] else field[1]
            if value:
                result.append((field[0], value))
        elif fate is _Fate.REFERS:
            page, mark, query = _USER.sub(r"\1", field[1]).partition("?")
            result.append((field[0], page + without_parameters(mark + query, tokens)))
        elif fate is _Fate.OVERRIDES_METHOD and not limited:
            result.append(field)
    if named:
        result[1:] = _without(result[1:], named)
    if length is not None:
        result.append(("Content-Length", str(length)))
    result.append(("Via", VIA))
    return result


def inbound(headers: Headers) -> tuple[list[Field], bool]:
    """Build the fields for the caller; tell whether any of them holds links to the upstream."""
    result = []
    named, linked = "", False
    for field in headers:
        fate = _TO_CALLER[field[0]]
        if fate is _PASSES:
            result.append(field)
        elif fate is _NAMES_OTHERS:
            named = f"{named},{field[1]}" if named else field[1]
        elif fate is _Fate.HOLDS_LINKS:
            result.append(field)
            linked = True
    return (_without(result, named) if named else result), linked


def without_own_cookies(value: str) -> str:
    """Cut our own cookies out of a Cookie field; the bytes of others stay as they are."""
    kept = [part for part in value.split(";") if not part.strip().startswith(OWN_COOKIES)]
    return ";".join(kept).strip()


def proxy_status(details: str, *, error: str = "", received: int | None = None) -> tuple[str, str]:
    """Give the Proxy-Status field (RFC 9209) with `details` for a person."""
    plain = "".join(character if " " <= character <= "~" else "?" for character in details)
    text = plain.replace("\\", "\\\\").replace('"', '\\"')
    parts = ["bearer-proxy"]
    if error:
        parts.append(f"error={error}")
    if received is not None:
        parts.append(f"received-status={received}")
    parts.append(f'details="{text}"')
    return "Proxy-Status", "; ".join(parts)


def _without(headers: list[Field], named: str) -> list[Field]:
    """Leave out the fields that Connection names: they go no further."""
    names = _NAMED[named]
    return [field for field in headers if _key(field[0]) not in names] if names else headers


def _named(connection: str) -> frozenset[str]:
    return frozenset(_key(token.strip()) for token in connection.split(",")) - _ORDINARY


_NAMED = Lookup(_named)


def _key(name: str) -> str:
    return _PUNCTUATION.sub("-", name.lower())
