"""What follows from few things that come again and again, found out once: names of fields, paths, whole heads.

What a caller or an upstream invents cannot fill the memory: what is long is not remembered, and when there is too much
all is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T", bound=Sized)

_MOST = 2048  # entries
_LONGEST = 64  # characters of a text


class _Untold(dict[K, V]):
    """A dict that does not show what it holds: heads hold keys and queries."""

    def __repr__(self) -> str:
        return f"<{len(self)} things remembered>"


class Memo(_Untold[K, V]):
    """Results by what they follow from. A look-up is a dict's."""

    def keep(self, key: K, value: V) -> None:
        """Remember a result."""
        if len(self) >= _MOST:
            self.clear()
        self[key] = value


class Lookup(_Untold[T, V]):
    """Gives for a text, by `[]`, what `find` gives for it."""

    def __init__(self, find: Callable[[T], V]) -> None:
        super().__init__()
        self._find: Callable[[T], V] = find

    def __missing__(self, text: T) -> V:
        found = self._find(text)
        if len(text) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[text] = found
        return found
