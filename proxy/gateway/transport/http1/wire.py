"""Heads and chunks as they go on the wire."""

from __future__ import annotations

from collections.abc import Iterable

from ...message import Field, Headers


def head_bytes(start: str, headers: Iterable[Field]) -> bytes:
    """Give a head as it goes on the wire."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"{start}\r\n{lines}\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Give one chunk of a chunked body; of no data, its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = chunk(b"")


def has_field(headers: Headers, name: str) -> bool:
    """Tell whether there is a field of that name, which is given in lower case."""
    return any(key.lower() == name for key, _ in headers)
