"""Requests that end before their answer does: cancelled, failed or broken off. Nothing stays open, nothing is sent."""

import asyncio

import pytest

from proxy.errors import BadTargetError, LoginRequiredError, UpstreamTerminatedError
from tests.support.gateway import INVALID, Answer, Bench, whole

CHUNKS = (b"x" * 20, b"y" * 20)  # more than is kept in memory
CUT = UpstreamTerminatedError("it closed the connection")
MALFORMED = BadTargetError("the request body is malformed")


@pytest.fixture
async def bench(tmp_path):
    """Give a bench whose vendor rejects the first token before it has read the second chunk."""
    bench = Bench(tmp_path)
    bench.vendor.newest, bench.vendor.reads = 2, 1
    return bench


def assert_over(bench, sends):
    assert sends == len(bench.vendor.requests)
    assert [1] * len(bench.vendor.given) == bench.closed()
    assert 0 == bench.spool.used


@pytest.mark.parametrize(
    ("place", "sends"),
    [("send 1", 1), ("body 1", 1), ("read 1", 1), ("renew", 1), ("body 2", 1), ("body 3", 1), ("send 2", 2)],
)
async def test_cancelled(bench, place, sends):
    """Wherever that is, the answer is closed once and the kept body let go."""
    bench.stop.at = place
    request = asyncio.create_task(bench.forward("POST", "/rc/a", *CHUNKS))
    await bench.stop.reached.wait()
    request.cancel()
    await asyncio.wait([request])
    assert request.cancelled()
    assert_over(bench, sends)


async def test_cancelled_while_the_answer_to_a_replay_is_judged(bench):
    """Both answers are closed once."""
    bench.vendor.answers = [Answer(401), Answer(403, INVALID)]
    bench.stop.at = "read 2"
    request = asyncio.create_task(bench.forward("POST", "/rc/a", *CHUNKS))
    await bench.stop.reached.wait()
    request.cancel()
    await asyncio.wait([request])
    assert_over(bench, 2)
    assert [] == bench.credential.replays


@pytest.mark.parametrize(
    ("expected", "sends", "answers", "chunks"),
    [
        (CUT, 1, [CUT], CHUNKS),
        (CUT, 1, [Answer(403, b"{", CUT)], CHUNKS),
        (CUT, 2, [Answer(401), CUT], CHUNKS),
        (CUT, 2, [Answer(401), Answer(403, CUT)], CHUNKS),
        (MALFORMED, 1, [], [MALFORMED]),
        (MALFORMED, 1, [], [*CHUNKS, MALFORMED]),
    ],
)
async def test_failed(bench, expected, sends, answers, chunks):
    """The error is the caller's answer; there is no further attempt."""
    bench.vendor.answers = list(answers)
    with pytest.raises(type(expected)) as caught:
        await bench.forward("POST", "/rc/a", *chunks)
    assert expected is caught.value
    assert_over(bench, sends)
    assert [] == bench.credential.replays


async def test_upload_that_the_caller_breaks(bench):
    """The caller's fault is not the upstream's."""
    bench.vendor.reads = None
    with pytest.raises(BadTargetError):
        await bench.forward("POST", "/rc/a", CHUNKS[0], MALFORMED)
    assert_over(bench, 1)


@pytest.mark.parametrize("error", [None, LoginRequiredError("acme", "it was logged out", "do this")])
async def test_response_that_is_not_read(bench, error):
    """Closing it is enough."""
    bench.credential.error = error
    response = await bench.forward("POST", "/rc/a", *CHUNKS)
    assert 0 == bench.closed()[-1]
    response.close()
    assert_over(bench, 1 if error else 2)


async def test_body_kept_until_the_response_is_closed(bench):
    """Its room on disk is given back then."""
    response = await bench.forward("POST", "/rc/a", *CHUNKS)
    assert sum(map(len, CHUNKS)) == bench.spool.used
    response.close()
    assert_over(bench, 2)


@pytest.mark.parametrize(
    ("status", "seen", "chunks"), [(200, b"ab", [b"a", b"b", CUT]), (401, b"a", [b"a", CUT]), (401, b"", [CUT])]
)
async def test_answer_that_breaks_off(bench, status, seen, chunks):
    """What came goes to the caller, and then the failure: nothing cut short looks whole."""
    bench.credential.error = LoginRequiredError("acme", "it was logged out", "do this")
    bench.vendor.answers = [Answer(status, *chunks)]
    response = await bench.forward("POST", "/rc/a", *CHUNKS)
    got = []

    async def read():
        got.append(response.body.at_hand())
        while not response.body.ended:
            got.append(await response.body.read())

    with pytest.raises(UpstreamTerminatedError):
        await read()
    response.close()
    assert (status, seen) == (response.status, b"".join(got))
    assert_over(bench, 1)


async def test_answer_that_is_whole(bench):
    """It ends, and reading on gives nothing."""
    response = await bench.forward()
    assert b"fine" == await whole(response.body)
    assert b"" == await whole(response.body)
    response.close()
    assert_over(bench, 2)
