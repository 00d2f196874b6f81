"""What counts as a rejection: the upstream saying that it does not take this token. Pure.

    any 401                                                       by its status alone
    another 4xx, WWW-Authenticate says error="invalid_token"      by its head
    another 4xx, a JSON object whose `error` is invalid_token     by its body
    a 200 to a request with a JSONP callback, wrapping such JSON  by its body, where the provider does so

A body is looked at in a copy, un-gzipped, up to `LOOK` bytes; a longer one is no rejection.
"""

from __future__ import annotations

import json
import re
import zlib
from enum import Enum

from .message import Headers, first

LOOK = 16 << 10  # bytes of a body that are looked at, before and after decoding

_CHALLENGE = re.compile(r'\berror\s*=\s*"?invalid_token"?', re.IGNORECASE)
_JSONP = re.compile(rb"\s*(?:/\*\*/)?\s*[\w.$\[\]]+\s*\(\s*(\{.*\})\s*\)\s*;?\s*", re.DOTALL)


class Verdict(Enum):
    """What the head of a response says."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LOOK = "look into the body"


def judge_head(method: str, status: int, headers: Headers, *, jsonp: bool) -> Verdict:
    """Judge by the head. `jsonp` tells that the request bore the provider's JSONP parameter."""
    if status == 401:
        return Verdict.REJECTED
    if 400 <= status < 500:
        if any(name.lower() == "www-authenticate" and _CHALLENGE.search(value) for name, value in headers):
            return Verdict.REJECTED
    elif not (jsonp and status == 200):
        return Verdict.ACCEPTED
    if method == "HEAD" or first(headers, "Content-Encoding").lower() not in ("", "identity", "gzip", "x-gzip"):
        return Verdict.ACCEPTED
    length = first(headers, "Content-Length")
    return Verdict.ACCEPTED if length.isdigit() and int(length) > LOOK else Verdict.LOOK


def judge_body(status: int, headers: Headers, body: bytes) -> bool:
    """Tell whether a whole `body`, as it came and `LOOK` bytes at most, is a rejection."""
    if first(headers, "Content-Encoding").lower() in ("gzip", "x-gzip"):
        body = _unzipped(body)
    if status == 200:
        match = _JSONP.fullmatch(body)
        body = match[1] if match else b""
    if not body.lstrip().startswith(b"{"):
        return False
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("error") == "invalid_token"


def _unzipped(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(body, LOOK)
    except zlib.error:
        return b""
