"""Back-pressure: a body that waits to be read, and a connection that waits to be written to."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RequestTimeoutError, UpstreamTerminatedError
from proxy.gateway.transport.deadlines import Deadlines
from proxy.gateway.transport.stream import HIGH, Drain, Stream
from tests.support.gateway import Wire

CUT = UpstreamTerminatedError("cut")
LATE = RequestTimeoutError("late")


class Body:
    """A stream, and what it says to its connection."""

    def __init__(self):
        self.held: list[bool] = []
        self.wanted = 0
        self.limit = Deadlines(60, Stream.expire)
        self.stream = Stream(self.held.append, self.limit, lambda: LATE, self._want)

    def _want(self):
        self.wanted += 1

    async def reading(self):
        task = asyncio.create_task(self.stream.read())
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def body():
    return Body()


async def test_bytes_that_are_there(body):
    """They are read at once, all together, and nobody is asked for more."""
    body.stream.feed(b"a")
    body.stream.feed(b"b")
    assert (b"ab", 0, 2) == (await body.stream.read(), body.wanted, body.stream.received)


async def test_end(body):
    """It is told at once, though not all is read; then there is nothing, as often as one reads."""
    body.stream.feed(b"a")
    body.stream.end()
    assert (True, b"a", b"", b"") == (
        body.stream.ended,
        await body.stream.read(),
        await body.stream.read(),
        body.stream.at_hand(),
    )


@pytest.mark.parametrize(("act", "expected"), [("feed", b"x"), ("end", b"")])
async def test_reader_that_waits(body, act, expected):
    """It is asked for once, limited while it waits, and woken by what comes."""
    task = await body.reading()
    assert (1, 1) == (body.wanted, body.limit.waiting)
    if act == "feed":
        body.stream.feed(b"x")
    else:
        body.stream.end()
    assert expected == await task
    again = await body.reading()
    assert (1, act == "end") == (body.wanted, again.done())
    again.cancel()
    await asyncio.wait([again])
    assert 0 == body.limit.waiting


async def test_reader_that_is_cancelled(body):
    """Nothing that comes is lost by it."""
    task = await body.reading()
    body.stream.feed(b"a")
    task.cancel()
    await asyncio.wait([task])
    body.stream.feed(b"b")
    assert (b"ab", 0) == (await body.stream.read(), body.limit.waiting)


async def test_failure_after_data(body):
    """What came is read, then the reader is told, every time."""
    body.stream.feed(b"a")
    body.stream.fail(CUT)
    body.stream.fail(LATE)
    assert (b"a", False, CUT) == (await body.stream.read(), body.stream.ended, body.stream.error)
    for _ in range(2):
        with pytest.raises(UpstreamTerminatedError):
            await body.stream.read()


async def test_failure_while_a_reader_waits(body):
    """It is told."""
    task = await body.reading()
    body.stream.fail(CUT)
    with pytest.raises(UpstreamTerminatedError):
        await task


async def test_failure_after_the_end(body):
    """It is none: all has come."""
    body.stream.feed(b"a")
    body.stream.end()
    body.stream.fail(CUT)
    assert (b"a", b"", None) == (await body.stream.read(), await body.stream.read(), body.stream.error)


async def test_reader_that_waits_too_long(body):
    """It is told that it is late; each wait has its whole time."""
    task = await body.reading()
    body.limit._expire(next(iter(body.limit)))
    with pytest.raises(RequestTimeoutError):
        await task


@pytest.mark.parametrize("ahead", [HIGH - 1, HIGH, 3 * HIGH])
async def test_bytes_that_nobody_reads(body, ahead):
    """From `HIGH` on the connection is read no more, told once; when they are read it goes on."""
    for _ in range(ahead // 1024):
        body.stream.feed(b"x" * 1024)
    body.stream.feed(b"x" * (ahead % 1024))
    assert ([False] if ahead >= HIGH else []) == body.held
    assert ahead == len(body.stream.at_hand())
    assert ([False, True] if ahead >= HIGH else []) == body.held
    body.stream.feed(b"x" * HIGH)
    assert body.held[-1] is False


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=9), st.just("read"), st.just("turn")), max_size=30))
def test_any_order(steps):
    """Every byte is read once, in order."""

    async def run():
        body, fed, got = Body(), b"", []

        async def read():
            while chunk := await body.stream.read():
                got.append(chunk)

        task = asyncio.create_task(read())
        for step in steps:
            if step == "read":
                got.append(body.stream.at_hand())
            elif step == "turn":
                await asyncio.sleep(0)
            else:
                fed += step
                body.stream.feed(step)
        body.stream.end()
        await task
        assert (fed, len(fed), 0) == (b"".join(got), body.stream.received, body.limit.waiting)

    asyncio.run(run())


class Writing:
    """A drain and the connection that it is of."""

    def __init__(self):
        self.wire = Wire()
        self.limit = Deadlines(60, Drain.expire)
        self.drain = Drain(self.wire, self.limit, lambda: LATE)

    async def draining(self):
        task = asyncio.create_task(self.drain.drained())
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def writing():
    return Writing()


async def test_connection_that_takes_more(writing):
    """Nobody waits."""
    await writing.drain.drained()
    assert (HIGH, 0) == (writing.wire.high, writing.limit.waiting)


async def test_connection_that_is_full(writing):
    """The writer waits until it takes more."""
    writing.drain.pause()
    task = await writing.draining()
    assert (False, 1) == (task.done(), writing.limit.waiting)
    writing.drain.resume()
    await task
    assert 0 == writing.limit.waiting


async def test_connection_that_is_full_again(writing):
    """A writer that was woken looks again."""
    writing.drain.pause()
    task = await writing.draining()
    writing.drain.resume()
    writing.drain.pause()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    writing.drain.resume()
    await task


@pytest.mark.parametrize("before", [True, False])
async def test_connection_that_breaks(writing, before):
    """The writer is told, whether it waits or comes later, full or not."""
    writing.drain.pause()
    task = None if before else await writing.draining()
    writing.drain.fail(CUT)
    writing.drain.fail(LATE)
    for awaited in [task or writing.drain.drained(), writing.drain.drained()]:
        with pytest.raises(UpstreamTerminatedError):
            await awaited
    writing.drain.resume()
    with pytest.raises(UpstreamTerminatedError):
        await writing.drain.drained()


async def test_slow_reader(writing):
    """As long as it takes anything in each while, it is waited for; one that takes nothing is late."""
    writing.drain.pause()
    writing.wire.held = 300
    task = await writing.draining()
    for held in (299, 100, 99):
        writing.wire.held = held
        writing.limit.stop(writing.drain)
        writing.drain.expire()
        await asyncio.sleep(0)
        assert (False, 1) == (task.done(), writing.limit.waiting)
    writing.limit.stop(writing.drain)
    writing.drain.expire()
    with pytest.raises(RequestTimeoutError):
        await task
    assert 0 == writing.limit.waiting


async def test_writer_that_is_cancelled(writing):
    """Its limit goes with it."""
    writing.drain.pause()
    task = await writing.draining()
    task.cancel()
    await asyncio.wait([task])
    assert 0 == writing.limit.waiting


async def test_all_of_it(writing):
    """On demand the writer waits until as good as nothing is left."""
    writing.drain.empty()
    assert writing.wire.high <= 1
