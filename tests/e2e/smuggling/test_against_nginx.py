"""Request smuggling: the same hostile bytes to us and to nginx, and nothing goes through here that does not go there.

What does go through must be what was meant, on a strict reading of all that reached the upstream; what does not is
refused in our own words, and its connection closed. An ordinary caller who comes next gets the answer that is its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from itertools import count

import pytest

from tests.e2e.conftest import Gateway
from tests.e2e.smuggling.case import NEXT, SMUGGLED, Case, Meant, Verdict
from tests.e2e.smuggling.conftest import Side
from tests.e2e.smuggling.corpus import CASES
from tests.e2e.smuggling.recorder import Heard, play
from tests.e2e.smuggling.strict import Answer, Request, take_answers

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMED_OUT = 408
REFUSALS = {400, 403, TIMED_OUT, 413, 414, 417, 431, 494, 501, 505}
# What passes here and not at nginx, and why that is sound.
LAXER = {
    "length: tabs about it": "a tab is optional white space (RFC 9110 section 5.6.3); the length goes on written anew",
    "coding: tab before": "the same; the body goes on in chunks of ours",
    "Host: empty": "a name may be empty (RFC 9110 section 7.2); it only chooses the route",
    "Host: dots": "it names no route; the upstream's own Host goes on",
    "target: NUL, encoded": "it stays encoded: targets pass unchanged, and nothing here decodes them",
    "protocol: RTSP": "llhttp reads it as HTTP/1.0; it goes on as HTTP/1.1, written anew",
    "protocol: RTSP/1.1": "the same as HTTP/1.1",
    "protocol: ICE": "the same, of the method SOURCE alone",
    "Connection: odd": "`close` is no token of it, so that a request may come behind",
    "Expect: twice": "nothing of it goes on",
}
# What goes on of a request that has no fields but Host and Connection.
PLAIN_FIELDS = {b"host", b"authorization", b"via", b"connection"}
_NUMBERS = count()


def meant_by(request: Request) -> Meant:
    """A request as cases write it."""
    return request.method, request.target.removeprefix(b"/t"), request.body


def answers_of(heard: Heard, case: Case, *ends: str) -> list[Answer]:
    """All answers, read strictly; with nothing behind them, and the connection ended in one of these ways."""
    answers, rest = take_answers(heard.data, [method for method, _, _ in case.meant], ended=heard.end == "closed")
    assert b"" == rest
    assert heard.end in ends
    return answers


def assert_refusal(answer: Answer) -> None:
    """Check that an answer is an error of ours."""
    assert answer.status in REFUSALS
    assert [b"application/problem+json"] == answer.values(b"content-type")
    assert {"error", "error_description", "status"} <= json.loads(answer.body).keys()


def assert_ours(request: Request, gateway: Gateway) -> None:
    """Check that a request is one that the proxy wrote, and not the caller."""
    assert [b"Bearer " + gateway.tokens.access] == request.values(b"authorization")
    assert [b"1.1 bearer-proxy"] == request.values(b"via")
    assert [b"127.0.0.1:%d" % gateway.upstream_port] == request.values(b"host")
    assert b"h2c" not in request.values(b"upgrade")
    if meant_by(request) == NEXT:
        assert PLAIN_FIELDS >= {name.lower() for name, _ in request.fields}, "fields of another request"


async def attack(side: Side, case: Case, *segments: bytes) -> tuple[list[Meant], Heard]:
    """What a proxy let through of a case, and what it answered."""
    side.recorder.forget()
    heard = await play(side.port, *(segments or [case.raw]))
    await side.recorder.settled()
    return [meant_by(request) for request in side.recorder.requests], heard


async def assert_own_answer(side: Side) -> None:
    """Check that an ordinary caller gets the answer to its own request, and nothing more."""
    target = b"/after-%d" % next(_NUMBERS)
    heard = await play(side.port, SMUGGLED.replace(b"/smuggled", target))
    (answer,), rest = take_answers(heard.data, [], ended=False)
    assert (200, b"answer to " + target, b"", "closed") == (answer.status, answer.body, rest, heard.end)


def assert_outcome(case: Case, seen: list[Meant], answers: list[Answer]) -> None:
    """Check that what passed was meant, and that the rest was refused where it has to be, once and in our words."""
    assert list(case.meant[: len(seen)]) == seen
    assert [b"answer to " + target for _, target, _ in seen] == [answer.body for answer in answers[: len(seen)]]
    refusals = answers[len(seen) :]
    assert len(refusals) <= 1
    for answer in refusals:
        assert_refusal(answer)
        assert answer.status != TIMED_OUT or not case.name.startswith("limit"), "a limit, and not a time limit, ends it"
    if case.verdict is not Verdict.EITHER:
        assert (case.meant, case.verdict is Verdict.REFUSED) == (tuple(seen), bool(refusals))


@pytest.mark.parametrize("name", CASES)
async def test_hostile_request(gateway: Gateway, ours: Side, theirs: Side, name: str) -> None:
    """Nothing passes that nginx refuses, or that was not meant; the rest is refused, and harms nobody else."""
    case = CASES[name]
    (seen, heard), (there, _) = await asyncio.gather(attack(ours, case), attack(theirs, case))
    answers = answers_of(heard, case, "closed")
    assert_outcome(case, seen, answers)
    assert name in LAXER or seen == there[: len(seen)], f"nginx lets through only {there}"
    assert [] == ours.recorder.faults
    assert case.begun or [] == ours.recorder.cut
    for request in ours.recorder.requests:
        assert_ours(request, gateway)
    await assert_own_answer(ours)


# What only waits takes its time, and once is enough.
SWIFT = [name for name, case in CASES.items() if not (case.begun or " cut " in name or name.startswith("limit"))]


@pytest.mark.parametrize("name", SWIFT)
async def test_hostile_request_again(gateway: Gateway, ours: Side, name: str) -> None:
    """The same bytes come to the same, the second time too, and when each head comes by itself."""
    case = CASES[name]
    heads = [head for head in re.split(rb"(?<=\r\n\r\n)", case.raw) if head]
    outcomes = []
    for segments in ([case.raw], heads, heads, [case.raw]):
        seen, heard = await attack(ours, case, *segments)
        answers = answers_of(heard, case, "closed", "reset")  # a head may come when the connection is closed already
        assert_outcome(case, seen, answers)
        assert [] == ours.recorder.faults + ours.recorder.cut
        for request in ours.recorder.requests:
            assert_ours(request, gateway)
        outcomes.append((seen, answers[: len(seen)], len(answers)))
    assert [outcomes[0]] * len(outcomes) == outcomes
    await assert_own_answer(ours)
