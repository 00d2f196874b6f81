"""Callers' keys: found in a request, and told apart by their hashes.

A key comes as Bearer token or Basic password, in Authorization or Proxy-Authorization, or as a query parameter of a
tool that knows nothing else (D10). It is looked up by its SHA-256, which nobody can steer, and what is found is
compared in constant time; of keys that are known only hashes are kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from ..config import ClientConfig

_PARAMETERS = frozenset({b"access_token", b"bearer_token"})
_NOBODY: tuple[bytes, ClientConfig | None] = b"", None
_MOST = 4  # keys of one request that are looked at: more is guessing


class KeyRing:
    """Tells whose key it is."""

    def __init__(self, clients: Iterable[ClientConfig]) -> None:
        self._owners = {key.digest: (key.digest, client) for client in clients for key in client.keys}

    def __bool__(self) -> bool:
        return bool(self._owners)

    def owner(self, digest: bytes) -> ClientConfig | None:
        """Give the client that has the key of this SHA-256."""
        known, client = self._owners.get(digest, _NOBODY)
        return client if hmac.compare_digest(known, digest) else None


def given_digests(credentials: Iterable[bytes], query: str = "") -> tuple[bytes, ...]:
    """Give the SHA-256 of each key that a request bears, four at most.

    `credentials` are the values of its Authorization and Proxy-Authorization fields, `query` has no `?`. Keys are in
    UTF-8; what is not was meant in Latin-1, as some clients have it.
    """
    found: dict[bytes, None] = {}
    for key in _given(credentials, query):
        if key and len(found) < _MOST:
            found[hashlib.sha256(_utf8(key)).digest()] = None
    return tuple(found)


def _given(credentials: Iterable[bytes], query: str) -> Iterator[bytes]:
    yield from map(_credential, credentials)
    if "en" in query or "%" in query:  # as in `token`, however it is written
        for part in query.encode("latin-1", "replace").replace(b";", b"&").split(b"&"):
            name, _, value = part.partition(b"=")
            if unquote_to_bytes(name.replace(b"+", b" ")).strip() in _PARAMETERS:
                yield unquote_to_bytes(value)
                yield unquote_to_bytes(value.replace(b"+", b" "))


def _utf8(key: bytes) -> bytes:
    try:
        key.decode()
    except UnicodeDecodeError:
        return key.decode("latin-1").encode()
    return key


def _credential(value: bytes) -> bytes:
    """Give the key in an Authorization field, or nothing."""
    scheme, _, rest = value.strip().partition(b" ")
    text = rest.strip()
    if scheme.lower() == b"bearer":
        return text
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(text, validate=True).partition(b":")[2]
    except ValueError:
        return b""
