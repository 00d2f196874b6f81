"""Many waits that share one timer: each ends after its time, and none that was stopped."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.gateway.transport.deadlines import Deadlines

SECONDS = 10.0


class Clock:
    """A loop's clock and timers, moved by hand."""

    def __init__(self):
        self.now = 1000.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        return self.call_at(self.now + delay, callback)

    def call_at(self, when, callback):
        timer = Timer(when, callback)
        self.timers.append(timer)
        return timer

    def move(self, seconds):
        until = self.now + seconds
        while due := sorted((t for t in self.timers if t.when <= until), key=lambda t: t.when):
            self.timers.remove(due[0])
            self.now = max(self.now, due[0].when)
            if not due[0].cancelled:
                due[0].callback()
        self.now = until


class Timer:
    def __init__(self, when, callback):
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


def bench():
    """Give a clock, deadlines on it, and the list of what expires, with its time."""
    clock, late = Clock(), []

    async def make():
        return Deadlines(SECONDS, lambda item: late.append((item, clock.now)))

    deadlines = asyncio.run(make())
    deadlines._loop, deadlines._now = clock, clock.time
    return clock, deadlines, late


def test_wait_that_is_not_stopped():
    """It ends once, after its time and not before."""
    clock, deadlines, late = bench()
    deadlines.start("a")
    clock.move(SECONDS - 0.01)
    assert ([], 1) == (late, deadlines.waiting)
    clock.move(0.02)
    assert ([("a", 1010.0)], 0) == (late, deadlines.waiting)
    clock.move(100)
    assert 1 == len(late)


def test_wait_that_is_stopped():
    """It does not end, and stopping it twice is nothing."""
    clock, deadlines, late = bench()
    deadlines.start("a")
    deadlines.stop("a")
    deadlines.stop("a")
    clock.move(100)
    assert ([], 0) == (late, deadlines.waiting)


def test_wait_that_begins_anew():
    """It lasts its whole time from then, and comes after those that began before."""
    clock, deadlines, late = bench()
    deadlines.start("a")
    deadlines.start("b")
    clock.move(9)
    deadlines.start("a")
    assert ["b", "a"] == list(deadlines)
    clock.move(2)
    assert ["b"] == [item for item, _ in late]
    clock.move(8)
    assert [("b", 1010.0), ("a", 1019.0)] == late


def test_many_waits():
    """They share one timer."""
    clock, deadlines, late = bench()
    for number in range(100):
        deadlines.start(number)
        assert 1 == len(clock.timers)
        clock.move(0.05)
    clock.move(100)
    assert (list(range(100)), []) == ([item for item, _ in late], clock.timers)


def test_wait_that_begins_as_another_ends():
    """It gets its whole time."""
    clock, deadlines, late = bench()
    deadlines._expire = lambda item: (late.append((item, clock.now)), len(late) < 3 and deadlines.start(item))
    deadlines.start("a")
    clock.move(100)
    assert [("a", 1010.0), ("a", 1020.0), ("a", 1030.0)] == late


def test_expiry_that_stops_another():
    """The other may be told all the same if it was due in the same moment; it is not told twice."""
    clock, deadlines, late = bench()
    deadlines._expire = lambda item: (late.append(item), deadlines.stop("b"))
    deadlines.start("a")
    deadlines.start("b")
    clock.move(100)
    assert ["a", "b"] == late


def test_close():
    """Nothing ends any more."""
    clock, deadlines, late = bench()
    deadlines.start("a")
    deadlines.close()
    clock.move(100)
    assert ([], 0) == (late, deadlines.waiting)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["start", "stop"]), st.integers(0, 4), st.integers(0, 16).map(lambda n: n / 4)),
        max_size=60,
    )
)
def test_any_order(steps):
    """What expires, and when, is what a timer for each would do."""
    clock, deadlines, late = bench()
    expected: list[tuple[int, float]] = []
    began: dict[int, float] = {}

    def expire(until):
        for item, at in sorted(began.items(), key=lambda pair: pair[1]):
            if at + SECONDS <= until:
                expected.append((item, at + SECONDS))
                del began[item]

    for step, item, pause in steps:
        if step == "start":
            began[item] = clock.now
            deadlines.start(item)
        else:
            began.pop(item, None)
            deadlines.stop(item)
        clock.move(pause)
        expire(clock.now)
    clock.move(50)
    expire(clock.now)
    assert [item for item, _ in sorted(expected)] == [item for item, _ in sorted(late)]
    assert [at for _, at in sorted(expected)] == pytest.approx([at for _, at in sorted(late)], abs=0.002)


async def test_real_loop():
    """The timer is the loop's."""
    ended = asyncio.get_running_loop().create_future()
    deadlines = Deadlines(0.01, ended.set_result)
    deadlines.start("a")
    assert "a" == await asyncio.wait_for(ended, 5)
    deadlines.close()
