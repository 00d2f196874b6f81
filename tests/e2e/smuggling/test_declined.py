"""A request that is answered before its body was wanted: what is left of the body never becomes a request."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.smuggling.case import SMUGGLED
from tests.e2e.smuggling.conftest import Side
from tests.e2e.smuggling.recorder import EARLY, Heard, Steps, calling, named, play
from tests.e2e.smuggling.strict import Answer, Request, take_answers

pytestmark = pytest.mark.asyncio(loop_scope="module")

_INNER = SMUGGLED.replace(b"/smuggled", b"/inner")
_BODIES = {"one request": _INNER, "many requests": _INNER * 200, "more than is buffered": _INNER * 20_000}
_FRAMINGS = ["length", "chunks", "expect"]


def framed(framing: str, body: bytes) -> tuple[bytes, bytes]:
    """Fields for a body, and the body as it goes on the wire."""
    if framing == "chunks":
        return b"Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    expect = b"Expect: 100-continue\r\n" if framing == "expect" else b""
    return expect + b"Content-Length: %d\r\n" % len(body), body


def answers_of(heard: Heard) -> list[Answer]:
    """All answers; what is left open must have been reset."""
    answers, rest = take_answers(heard.data, [b"POST", b"GET"], ended=heard.end == "closed")
    assert (heard.end, rest) == ("closed", b"") or heard.end == "reset", heard.data[-200:]
    return answers


def assert_next(answers: list[Answer], requests: list[Request]) -> None:
    """Check that what came behind, if anything, was the request that stands there."""
    assert [(200, b"answer to /smuggled")] * len(requests) == [(one.status, one.body) for one in answers]
    assert {b"/smuggled"} >= {request.target for request in requests}
    assert len(requests) <= 1


@pytest.mark.parametrize("framing", _FRAMINGS)
@pytest.mark.parametrize("size", _BODIES)
async def test_body_that_is_not_wanted(ours: Side, framing: str, size: str) -> None:
    """A request for a place that does not exist is 404; its body is passed over, or the connection closed."""
    ours.recorder.forget()
    fields, body = framed(framing, _BODIES[size])
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n"
    first, *more = answers_of(await play(ours.port, head + body + SMUGGLED))
    assert (404, [b"application/problem+json"]) == (first.status, first.values(b"content-type"))
    assert_next(more, ours.recorder.requests)
    assert [] == ours.recorder.faults + ours.recorder.cut


@pytest.mark.parametrize("framing", _FRAMINGS)
@pytest.mark.parametrize("size", _BODIES)
async def test_answer_before_the_body(ours: Side, framing: str, size: str) -> None:
    """An upstream answers early: the rest of the body stays a body, and the connections are not mixed up."""

    def script(request: Request) -> Steps:
        return [] if request.target == b"/early" else named(request)

    ours.recorder.forget()
    ours.recorder.script = script
    fields, body = framed(framing, _BODIES[size])
    head = b"POST /t/early HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n"
    async with calling(ours.port) as caller:
        hearing = asyncio.create_task(caller.heard())
        await caller.send(head + body[:20])
        await ours.recorder.until(lambda: ours.recorder.early > 0)
        await caller.send(body[20:] + SMUGGLED)
        heard = await hearing
    await ours.recorder.settled()
    first, *more = answers_of(heard)
    assert EARLY.endswith(first.body)
    assert 413 == first.status
    assert_next(more, [one for one in ours.recorder.requests if one.target != b"/early"])
    assert [] == ours.recorder.faults
    assert {b"POST /early HTTP/1.1"} >= set(ours.recorder.cut)
