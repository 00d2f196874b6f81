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

# An auth-param of RFC 9110 section 11.2; reading them in turn keeps what stands in quotes from looking like one.
_PARAMETER = re.compile(r"""(?<![\w!#$%&'*+.^`|~-])([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))""")
_CALLBACK = re.compile(rb"(?:/\*\*/)?\s*[\w.$\[\]]+\s*")


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
        if any(name.lower() == "www-authenticate" and _says_invalid_token(value) for name, value in headers):
            return Verdict.REJECTED
    elif not (jsonp and status == 200):
        return Verdict.ACCEPTED
    if method == "HEAD" or first(headers, "Content-Encoding").lower() not in ("", "identity", "gzip", "x-gzip"):
        return Verdict.ACCEPTED
    kind = first(headers, "Content-Type").lower()
    if kind and "json" not in kind and "javascript" not in kind:
        return Verdict.ACCEPTED
    length = first(headers, "Content-Length").lstrip("0")
    long = length.isascii() and length.isdigit() and (len(length) > 9 or int(length) > LOOK)
    return Verdict.ACCEPTED if long else Verdict.LOOK


def judge_body(status: int, headers: Headers, body: bytes) -> bool:
    """Tell whether a whole `body`, as it came and `LOOK` bytes at most, is a rejection."""
    if first(headers, "Content-Encoding").lower() in ("gzip", "x-gzip"):
        body = _unzipped(body)
    if status == 200:
        body = _unwrapped(body)
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


def _unwrapped(body: bytes) -> bytes:
    """Give what a JSONP answer passes to its callback, or nothing."""
    name, bracket, rest = body.strip().partition(b"(")
    rest = rest.rstrip(b"; \t\r\n")
    if not bracket or not rest.endswith(b")") or not _CALLBACK.fullmatch(name):
        return b""
    return rest[:-1].strip()


def _says_invalid_token(challenge: str) -> bool:
    return any(
        name.lower() == "error" and (quoted or plain).lower() == "invalid_token"
        for name, quoted, plain in _PARAMETER.findall(challenge)
    )
