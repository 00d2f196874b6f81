"""Answers to pages of other origins, where a route allows them (the Fetch standard's CORS protocol). Pure.

No answer allows credentials of the browser's own, cookies among them: a page that has a key sends it.
"""

from __future__ import annotations

from .message import Field, Headers, Response, Whole, first

_MAX_AGE = 600  # seconds for which a browser keeps the answer to a preflight
_VARY = ("Vary", "Origin")


def is_preflight(method: str, headers: Headers) -> bool:
    """Tell whether a browser asks what a page may do."""
    return method == "OPTIONS" and bool(first(headers, "access-control-request-method"))


def preflight(headers: Headers, methods: frozenset[str] | None) -> Response:
    """Say that a page may do what its browser asks about, as far as the route's `methods` go."""
    asked = first(headers, "access-control-request-method")
    allowed = sorted(methods) if methods is not None else [asked]
    fields: list[Field] = [
        ("Access-Control-Allow-Methods", ", ".join(allowed)),
        ("Access-Control-Max-Age", str(_MAX_AGE)),
    ]
    names = first(headers, "access-control-request-headers")
    if names:
        fields.append(("Access-Control-Allow-Headers", names))
    if first(headers, "access-control-request-private-network") == "true":
        fields.append(("Access-Control-Allow-Private-Network", "true"))
    return Response(204, "No Content", fields, Whole(b""), 0)


def allowing(origin: str) -> tuple[Field, ...]:
    """Give the fields by which a page of `origin` may read an answer; of none, those that keep caches apart."""
    if not origin:
        return (_VARY,)
    return ("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "*"), _VARY
