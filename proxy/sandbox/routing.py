"""Which handler serves a path: templates such as `/api/3/stacks/{uid}.json`, matched on the undecoded path.

Trailing slashes count, nothing is normalised: the vendors are strict about both. Parameters come out decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

H = TypeVar("H")


@dataclass(frozen=True, slots=True)
class Found(Generic[H]):
    handler: H
    params: dict[str, str]


@dataclass(frozen=True, slots=True)
class Missing:
    """No handler. `allowed` names the methods the path does have; empty: no such path."""

    allowed: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        return 405 if self.allowed else 404


class Routes(Generic[H]):
    """A table of (method, template, handler). HEAD is served by GET."""

    def __init__(self, table: Iterable[tuple[str, str, H]]) -> None:
        self._table = [(method, _pattern(template), handler) for method, template, handler in table]

    def has(self, path: str) -> bool:
        """Whether the path is served, by whatever method."""
        return any(pattern.fullmatch(path) for _, pattern, _ in self._table)

    def find(self, method: str, path: str) -> Found[H] | Missing:
        wanted = "GET" if method == "HEAD" else method
        allowed = []
        for served, pattern, handler in self._table:
            if (match := pattern.fullmatch(path)) is None:
                continue
            if served in {wanted, "*"}:
                return Found(handler, {name: unquote(value) for name, value in match.groupdict().items()})
            allowed.append(served)
        return Missing(allowed)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts)))
