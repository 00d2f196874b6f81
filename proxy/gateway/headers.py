"""Header fields of both directions: strip first, inject last. Pure (D1, D4).

A field is compared without case, and with `_` read as `-`: some servers behind CGI-like interfaces do so too.
"""

from __future__ import annotations

from collections.abc import Iterator

from .message import Headers

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
# What the proxy says itself, or answers itself (Expect), and what only the credential may say.
_SET_BY_US = frozenset({"host", "content-length", "authorization", "expect"})
_METHOD_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
# What makes some servers take another path than the one that was judged (D3).
_PATH_OVERRIDES = frozenset({"x-original-url", "x-rewrite-url", "x-original-uri"})
_NEVER_TO_VENDOR = HOP_BY_HOP | _SET_BY_US | _PATH_OVERRIDES
_NEVER_TO_CALLER = HOP_BY_HOP | {"alt-svc", "strict-transport-security"}


def outbound(headers: Headers, authority: str, length: int | None, *, limited: bool) -> Headers:
    """Build the fields for the upstream, all but Authorization.

    `length` is the body's, None where there is none or it is chunked. With `limited` methods the fields that would
    smuggle another method are left out.
    """
    drop = _NEVER_TO_VENDOR | _named_by_connection(headers)
    if limited:
        drop |= _METHOD_OVERRIDES
    result = [("Host", authority)]
    for name, value in headers:
        key = _key(name)
        if key == "cookie" and OWN_COOKIES in value:
            value = without_own_cookies(value)  # noqa: PLW2901 - the field goes on under its name
            if not value:
                continue
        if key not in drop:
            result.append((name, value))
    if length is not None:
        result.append(("Content-Length", str(length)))
    result.append(("Via", VIA))
    return result


def inbound(headers: Headers) -> Headers:
    """Build the fields for the caller."""
    drop = _NEVER_TO_CALLER | _named_by_connection(headers)
    return [
        (name, value)
        for name, value in headers
        if (key := _key(name)) not in drop and not key.startswith("access-control-")
    ]


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


def _named_by_connection(headers: Headers) -> frozenset[str]:
    """Give the fields that Connection names: they go no further."""
    return frozenset(_tokens(headers))


def _tokens(headers: Headers) -> Iterator[str]:
    for name, value in headers:
        if name.lower() in ("connection", "proxy-connection"):
            yield from (_key(token.strip()) for token in value.split(",") if token.strip())


def _key(name: str) -> str:
    return name.lower().replace("_", "-")
