"""All hostile requests, by name."""

from __future__ import annotations

from tests.e2e.smuggling import chunks, connections, fields, framing, lines
from tests.e2e.smuggling.case import Case

_ALL = [case for part in (framing, chunks, fields, lines, connections) for case in part.CASES]
CASES: dict[str, Case] = {case.name: case for case in _ALL}
assert len(_ALL) == len(CASES), "two cases have one name"
