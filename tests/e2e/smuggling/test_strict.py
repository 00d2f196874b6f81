"""The reading by which the other tests judge is itself held against all cases."""

from __future__ import annotations

import pytest

from tests.e2e.smuggling.case import Meant, Verdict
from tests.e2e.smuggling.corpus import CASES
from tests.e2e.smuggling.strict import Malformed, take_request

# Whether these go on is no question of grammar: rules of ours, lengths, and what a recipient may forgive.
GRAMMAR = {name: case for name, case in CASES.items() if not name.startswith(("policy", "limit"))}
FORGIVEN = {"line: CRLF before", "Host: missing in HTTP/1.0"}


def read(data: bytes) -> tuple[list[Meant], bool]:
    """The requests that are read in `data`, and whether that was all."""
    requests: list[Meant] = []
    try:
        while data and (taken := take_request(data)):
            request, data = taken
            target = request.target.removeprefix(b"https://localhost").removeprefix(b"http://localhost")
            requests.append((request.method, target.removeprefix(b"/t"), request.body))
    except Malformed:
        return requests, False
    return requests, not data


def test_number_of_cases() -> None:
    """There are many, and of both kinds."""
    verdicts = [case.verdict for case in CASES.values()]
    assert verdicts.count(Verdict.REFUSED) > 400
    assert verdicts.count(Verdict.SERVED) > 50


@pytest.mark.parametrize("name", [name for name, case in GRAMMAR.items() if case.verdict is Verdict.REFUSED])
def test_refused(name: str) -> None:
    """It reads what was meant up to the fault, and sees the fault."""
    assert (list(CASES[name].meant), False) == read(CASES[name].raw)


@pytest.mark.parametrize("name", [name for name, case in GRAMMAR.items() if case.verdict is Verdict.SERVED])
def test_served(name: str) -> None:
    """It reads what was meant; that a connection closes is not its matter."""
    requests, _ = read(CASES[name].raw)
    assert name in FORGIVEN or list(CASES[name].meant) == requests[: len(CASES[name].meant)]
