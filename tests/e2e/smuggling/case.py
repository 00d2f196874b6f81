"""How a hostile request is written down: its bytes, and what may come of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

Meant = tuple[bytes, bytes, bytes]  # method, target without the route's prefix, body


class Verdict(Enum):
    """What a proxy may do."""

    REFUSED = "serve what is meant, refuse the next, close"
    SERVED = "serve what is meant, close"
    EITHER = "serve what is meant or its beginning, refuse or drop what comes then, close"


@dataclass(frozen=True)
class Case:
    """Bytes of a caller. `meant` are the requests that there are in them, in order, up to the fault.

    `begun`: the fault lies in a body, so that the upstream may have seen a beginning that is then broken off.
    """

    name: str
    raw: bytes
    verdict: Verdict = Verdict.REFUSED
    meant: tuple[Meant, ...] = ()
    begun: bool = False


HELLO = b"hello"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
# Each case ends in a request that nobody may see as one of its own, unless it is.
SMUGGLED = b"GET /t/smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GOT: Meant = (b"GET", b"/attack", b"")
POSTED: Meant = (b"POST", b"/attack", HELLO)
NEXT: Meant = (b"GET", b"/smuggled", b"")


def get(
    *fields: bytes, line: bytes = b"GET /t/attack HTTP/1.1", host: bytes = b"Host: localhost", then: bytes = SMUGGLED
) -> bytes:
    """A request without a body, and what comes behind it."""
    return b"\r\n".join([line, *([host] if host else []), *fields, b"", then])


def post(*fields: bytes, body: bytes = HELLO, version: bytes = b"HTTP/1.1", then: bytes = SMUGGLED) -> bytes:
    """A request with a body, framed by `fields`, and what comes behind it."""
    return get(*fields, line=b"POST /t/attack " + version, then=body + then)


def refused(kind: str, table: Mapping[str, bytes], *, begun: bool = False) -> list[Case]:
    """Cases of which nothing may be served."""
    return [Case(f"{kind}: {name}", raw, begun=begun) for name, raw in table.items()]


def served(kind: str, table: Mapping[str, bytes], *meant: Meant) -> list[Case]:
    """Cases that are sound, whatever they look like."""
    return [Case(f"{kind}: {name}", raw, Verdict.SERVED, meant) for name, raw in table.items()]


def either(kind: str, table: Mapping[str, bytes], *meant: Meant, begun: bool = False) -> list[Case]:
    """Cases that RFC 9112 lets a recipient serve or refuse."""
    return [Case(f"{kind}: {name}", raw, Verdict.EITHER, meant, begun=begun) for name, raw in table.items()]
