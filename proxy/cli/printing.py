"""What is shown on a terminal: nothing that it would obey."""

from __future__ import annotations


def printable(text: str) -> str:
    """Give a text that others may have written as one line that a terminal shows and does not obey."""
    return "".join(one if one.isprintable() else "?" for one in text)
