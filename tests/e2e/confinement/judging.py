"""What requests were, and whether their outcomes are sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.e2e.confinement.caller import Outcome
from tests.e2e.confinement.grammar import CLOSED
from tests.e2e.confinement.readings import escapes


def request(target: str, *fields: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {target} {version}", "Host: localhost", *fields, "", ""]).encode("latin-1")


def strays(targets: Sequence[str], outcomes: Sequence[Outcome], base: str) -> dict[str, Outcome]:
    """The requests of which the server made something outside their route, and those that ended in another way.

    A server may decline with 400 what is malformed to it, as nginx does.
    """
    return {
        target: found
        for target, found in zip(targets, outcomes, strict=True)
        if found.closed
        or escapes(found.paths, base, CLOSED)
        or (found.refused and not 400 <= found.status < 500)
        or not (found.refused or found.paths or found.status == 400)
    }


def without_gaps(outcomes: Sequence[Outcome]) -> bool:
    """Whether nothing arrived at a server between its first answer and its last but what is answered here."""
    numbers = [one.number for one in outcomes if one.paths]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def counted(outcomes: Sequence[Outcome]) -> Counter[str]:
    """How many were refused by the proxy, declined by the server, and answered by it."""
    return Counter("refused" if one.refused else "arrived" if one.paths else "declined" for one in outcomes)
