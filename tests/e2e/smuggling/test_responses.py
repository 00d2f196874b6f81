"""Response splitting: whatever an upstream answers, nobody gets bytes that belong to somebody else.

The caller of a hostile answer gets it as it was meant, a 502, or a reset; the next request on its connection and those
of other callers get the answers that are their own, and no byte of what came unasked.
"""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from tests.e2e.smuggling.case import SMUGGLED, Verdict
from tests.e2e.smuggling.conftest import Side
from tests.e2e.smuggling.hostile import HOSTILE, Hostile
from tests.e2e.smuggling.recorder import Do, Heard, Steps, named, play
from tests.e2e.smuggling.strict import Answer, Request, take_answers

pytestmark = pytest.mark.asyncio(loop_scope="module")

_FAILURES = {502, 504}
_NUMBERS = count()


async def heard_by_others(side: Side) -> list[bytes]:
    """What three other callers hear: two at once, then one more."""
    targets = [b"/other-%d" % next(_NUMBERS) for _ in range(3)]
    requests = [SMUGGLED.replace(b"/smuggled", target) for target in targets]
    together = await asyncio.gather(*(play(side.port, request) for request in requests[:2]))
    heard = [*together, await play(side.port, requests[2])]
    bodies = []
    for one in heard:
        answers, rest = take_answers(one.data, [], ended=False)
        assert (1, b"", "closed") == (len(answers), rest, one.end), one
        bodies.append(answers[0].body)
    assert [b"answer to " + target for target in targets] == bodies
    return [one.data for one in heard]


def answers_of(heard: Heard, hostile: Hostile) -> list[Answer]:
    """The answers to the hostile request and to the one behind it; what is not whole was broken off by a reset."""
    answers, rest = take_answers(heard.data, [hostile.method], ended=heard.end == "closed")
    assert heard.end == "reset" or (heard.end, rest) == ("closed", b""), heard
    return answers


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_answer(ours: Side, name: str) -> None:
    """The answer passes as it was meant or fails clearly, and the next ones are right."""
    hostile = HOSTILE[name]
    watched = Do.WATCH in hostile.steps

    def script(request: Request) -> Steps:
        return hostile.steps if request.target == b"/attack" else named(request)

    ours.recorder.forget()
    ours.recorder.script = script
    request = hostile.method + b" /t/attack HTTP/1.1\r\nHost: localhost\r\n"
    # What comes unasked while the next request is under way could be its answer for all that anybody can tell.
    heard = await play(ours.port, request + (b"Connection: close\r\n\r\n" if watched else b"\r\n" + SMUGGLED))
    if watched:
        await ours.recorder.until(lambda: ours.recorder.watched == 1)
    answers = answers_of(heard, hostile)

    first = answers[0] if answers else None
    passed = first is not None and first.status not in _FAILURES
    if first is not None and passed:
        assert (hostile.status, hostile.body) == (first.status, first.body)
    elif first is not None:
        assert 502 == first.status, "a fault, and not a time limit, ends it"
        assert [b"application/problem+json"] == first.values(b"content-type")
    if hostile.verdict is not Verdict.EITHER:
        assert (hostile.verdict is Verdict.SERVED) == passed
    assert [b"answer to /smuggled"] * len(answers[1:]) == [answer.body for answer in answers[1:]]
    others = await heard_by_others(ours)
    assert not any(b"poison" in data for data in [heard.data, *others])
    assert [] == ours.recorder.faults
