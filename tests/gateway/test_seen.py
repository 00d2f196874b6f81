"""An answer that is looked into first: what was seen is passed on all the same, and nobody waits for long."""

import asyncio

import pytest

from proxy.errors import UpstreamTerminatedError
from proxy.gateway import seen
from proxy.gateway.judge import LOOK, Verdict
from proxy.gateway.seen import SeenAnswer
from tests.support.gateway import INVALID, Answer, whole

CUT = UpstreamTerminatedError("cut")


@pytest.mark.parametrize(
    ("expected", "verdict", "status", "chunks"),
    [
        (True, Verdict.LOOK, 400, [INVALID]),
        (True, Verdict.LOOK, 400, [INVALID[:5], INVALID[5:]]),
        (True, Verdict.LOOK, 400, [INVALID.ljust(LOOK)]),
        (False, Verdict.LOOK, 400, [INVALID.ljust(LOOK + 1)]),
        (False, Verdict.LOOK, 400, [INVALID.ljust(LOOK), b" "]),
        (False, Verdict.LOOK, 400, [b"no"]),
        (False, Verdict.LOOK, 400, []),
        (True, Verdict.REJECTED, 401, []),
        (True, Verdict.REJECTED, 401, [b"x" * LOOK, b"y", b"z"]),
    ],
)
async def test_answer(expected, verdict, status, chunks):
    """It is judged by what its head and a body that is not too long say, and passed on whole."""
    answer = SeenAnswer(Answer(status, *chunks))
    assert expected is await answer.judge(verdict)
    assert b"".join(chunks) == await whole(answer)
    assert (True, b"", b"") == (answer.ended, answer.at_hand(), await answer.read())


async def test_long_body():
    """No more of it is waited for than is looked into."""
    incoming = Answer(401, *[b"x" * LOOK] * 5)
    await SeenAnswer(incoming).judge(Verdict.REJECTED)
    assert 3 == len(incoming.left)


@pytest.mark.parametrize("first", ["read", "at_hand"])
async def test_what_was_seen(first):
    """It comes first, and once."""
    answer = SeenAnswer(Answer(400, b"a", b"b" * LOOK, b"c"))
    assert not await answer.judge(Verdict.LOOK)
    begin = await answer.read() if first == "read" else answer.at_hand()
    assert (b"a" + b"b" * LOOK, b"c") == (begin, await answer.read())
    assert answer.ended


async def test_rejection_that_breaks_off():
    """It is one; its caller gets what came, and then the failure."""
    answer = SeenAnswer(Answer(401, b"a", CUT))
    assert await answer.judge(Verdict.REJECTED)
    assert b"a" == answer.at_hand()
    for _ in range(2):
        with pytest.raises(UpstreamTerminatedError):
            await answer.read()
    assert not answer.ended


async def test_other_answer_that_breaks_off():
    """Whether it is a rejection nobody knows: it is a failure."""
    with pytest.raises(UpstreamTerminatedError):
        await SeenAnswer(Answer(400, b"a", CUT)).judge(Verdict.LOOK)


@pytest.mark.parametrize(("expected", "verdict"), [(True, Verdict.REJECTED), (False, Verdict.LOOK)])
async def test_body_that_does_not_come(monkeypatch, expected, verdict):
    """After a while it is judged without, and goes on when it is passed on."""
    monkeypatch.setattr(seen, "_PATIENCE", 0.01)

    class Slow(Answer):
        gate = asyncio.Event()

        async def read(self):
            if len(self.left) < 2:
                await self.gate.wait()
            return await super().read()

    incoming = Slow(401, b"{", b"}")
    answer = SeenAnswer(incoming)
    assert expected is await answer.judge(verdict)
    incoming.gate.set()
    assert b"{}" == await whole(answer)


async def test_cancelled():
    """Whoever looks can be sent away."""
    answer = Answer(401, b"a")
    answer.place = answer.stop.at = "here"
    task = asyncio.create_task(SeenAnswer(answer).judge(Verdict.REJECTED))
    await answer.stop.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_close():
    """It is the answer's."""
    incoming = Answer(401)
    SeenAnswer(incoming).close()
    assert 1 == incoming.closed
