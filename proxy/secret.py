"""A text that no log, error, repr or traceback may show.

`Secret` redacts itself, so that nobody has to remember to: only `reveal()` gives the text, and it is called where the
text leaves for the vendor or for the store. It does not pickle and has no length to measure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import NoReturn

_RECOGNIZED = 8  # characters: what is shorter stands in many texts by chance


class Secret:
    """Hold a token, a client secret or a code. Compares in constant time; falsy when empty."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text itself, for the wire or the store and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._text), _bytes(other._text))

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def repeats(text: str, secrets: Iterable[Secret]) -> bool:
    """Tell whether a text, which somebody else wrote, has one of `secrets` in it."""
    return any(len(one.reveal()) >= _RECOGNIZED and one.reveal() in text for one in secrets)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
