"""Connections to an upstream: their number holds whatever is cancelled when, and nobody who waits is forgotten."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Limits
from proxy.errors import ProxyLimitError, UpstreamRefusedError
from proxy.gateway.transport.deadlines import Deadlines
from proxy.gateway.transport.pool import Pool


class Connection:
    """A connection that tells its pool of its end."""

    def __init__(self, bench):
        self.bench = bench
        self.made = asyncio.get_running_loop().time()
        self.closed = False

    def close(self):
        self.closed = True
        self.bench.pool.lost(self)


class Bench:
    """A pool whose dialing is held while `gate` is closed, and fails while there is an `error`."""

    def __init__(self, **limits):
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = None
        self.connections = []
        self.idle = Deadlines(60, Connection.close)
        self.pool = Pool(self.dial, Limits(**limits), self.idle)

    async def dial(self):
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.connections.append(Connection(self))
        return self.connections[-1]

    @property
    def counts(self):
        return self.pool.open, self.pool.idle, self.pool.pending

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)

    async def waiting(self, count):
        """Let callers come one after the other, and give their tasks."""
        tasks = []
        for _ in range(count):
            tasks.append(asyncio.create_task(self.pool.fresh()))
            await self.settle()
        return tasks


async def test_connection_that_is_given_back():
    """It is the next one's; of several the last, so that the others come to their end."""
    bench = Bench()
    one, two = await bench.pool.fresh(), await bench.pool.fresh()
    assert bench.pool.kept() is None
    bench.pool.give_back(one)
    bench.pool.give_back(two)
    assert ((2, 2, 0), [one, two]) == (bench.counts, list(bench.idle))
    assert [two, one, None] == [bench.pool.kept() for _ in range(3)]
    assert (2, 0, 0) == bench.counts


async def test_fresh_connection():
    """It is none of those that are kept, which may be dead."""
    bench = Bench()
    one = await bench.pool.fresh()
    bench.pool.give_back(one)
    assert one is not await bench.pool.fresh()
    assert (2, 1, 0) == bench.counts


@pytest.mark.parametrize(("keepalive", "age", "kept"), [(1, 300.0, True), (0, 300.0, False), (1, 0.0, False)])
async def test_connection_that_is_not_kept(keepalive, age, kept):
    """It is closed where enough are kept, or it is too old."""
    bench = Bench(keepalive=keepalive, upstream_keepalive_time=age)
    one = await bench.pool.fresh()
    bench.pool.give_back(one)
    assert (not kept, (int(kept), int(kept), 0)) == (one.closed, bench.counts)


@pytest.mark.parametrize("idle", [True, False])
async def test_connection_that_is_lost(idle):
    """It counts no more, however often that is told."""
    bench = Bench()
    one = await bench.pool.fresh()
    if idle:
        bench.pool.give_back(one)
    for _ in range(3):
        one.close()
    assert ((0, 0, 0), 0, None) == (bench.counts, bench.idle.waiting, bench.pool.kept())


async def test_dialing_that_fails():
    """It counts no more, and the next who waits tries."""
    bench = Bench(max_connections=1)
    bench.gate.clear()
    bench.error = UpstreamRefusedError("no")
    tasks = await bench.waiting(3)
    assert (1, 0, 2) == bench.counts
    bench.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert ([bench.error] * 3, (0, 0, 0)) == (results, bench.counts)


async def test_all_in_use():
    """Who comes then waits, and gets the first that is given back, in the order of coming."""
    bench = Bench(max_connections=2)
    one, two = await bench.pool.fresh(), await bench.pool.fresh()
    tasks = await bench.waiting(3)
    assert (2, 0, 3) == bench.counts
    bench.pool.give_back(two)
    bench.pool.give_back(one)
    assert [two, one] == await asyncio.gather(*tasks[:2])
    two.close()
    third = await tasks[2]
    assert (third not in (one, two), (2, 0, 0)) == (True, bench.counts)


async def test_too_many_who_wait():
    """One more is refused at once."""
    bench = Bench(max_connections=1, max_pending_requests=1)
    one = await bench.pool.fresh()
    (task,) = await bench.waiting(1)
    with pytest.raises(ProxyLimitError, match="too many"):
        await bench.pool.fresh()
    bench.pool.give_back(one)
    assert (one, (1, 0, 0)) == (await task, bench.counts)


async def test_wait_that_is_too_long():
    """It ends, and takes nothing with it."""
    bench = Bench(max_connections=1, connect_timeout=0.01)
    one = await bench.pool.fresh()
    with pytest.raises(ProxyLimitError, match="in time"):
        await bench.pool.fresh()
    assert (1, 0, 0) == bench.counts
    bench.pool.give_back(one)
    assert (1, 1, 0) == bench.counts


@pytest.mark.parametrize("given", ["connection", "room"])
@pytest.mark.parametrize("another", [True, False])
async def test_cancelled_as_it_is_given_something(given, another):
    """The next who waits gets it; without one, nothing is lost and nothing counted twice."""
    bench = Bench(max_connections=1)
    one = await bench.pool.fresh()
    tasks = await bench.waiting(2 if another else 1)
    if given == "connection":
        bench.pool.give_back(one)
    else:
        one.close()
    tasks[0].cancel()
    await bench.settle()
    assert tasks[0].cancelled()
    if another:
        assert (given == "connection") == (await tasks[1] is one)
        assert (1, 0, 0) == bench.counts
    else:
        assert ((1, 1, 0) if given == "connection" else (0, 0, 0)) == bench.counts


async def test_cancelled_while_it_waits():
    """It is passed over."""
    bench = Bench(max_connections=1)
    one = await bench.pool.fresh()
    tasks = await bench.waiting(2)
    tasks[0].cancel()
    await bench.settle()
    assert (1, 0, 1) == bench.counts
    bench.pool.give_back(one)
    assert one is await tasks[1]


async def test_cancelled_as_it_is_passed_over():
    """A connection that is given back in the same moment goes to the next."""
    bench = Bench(max_connections=1)
    one = await bench.pool.fresh()
    tasks = await bench.waiting(2)
    tasks[0].cancel()
    bench.pool.give_back(one)
    await bench.settle()
    assert (True, one) == (tasks[0].cancelled(), await tasks[1])


async def test_cancelled_while_it_dials():
    """Its room goes to the next."""
    bench = Bench(max_connections=1)
    bench.gate.clear()
    tasks = await bench.waiting(2)
    tasks[0].cancel()
    await bench.settle()
    assert (1, 0, 0) == bench.counts
    bench.gate.set()
    assert (await tasks[1], (1, 0, 0)) == (bench.connections[0], bench.counts)


async def test_connection_that_is_closed_as_it_is_handed_over():
    """It counts no more, and whoever would have got it gets a new one in its room."""
    bench = Bench(max_connections=1)
    one = await bench.pool.fresh()
    (task,) = await bench.waiting(1)
    bench.pool.give_back(one)
    one.close()
    other = await task
    assert (False, (1, 0, 0)) == (other.closed, bench.counts)


async def test_closed_connection_handed_to_one_who_was_cancelled():
    """It is not kept as if it lived."""
    bench = Bench(max_connections=1)
    one = await bench.pool.fresh()
    (task,) = await bench.waiting(1)
    bench.pool.give_back(one)
    one.close()
    task.cancel()
    await bench.settle()
    assert (True, (0, 0, 0)) == (task.cancelled(), bench.counts)


async def test_close():
    """What is kept is closed, what is in use goes on."""
    bench = Bench()
    one, two = await bench.pool.fresh(), await bench.pool.fresh()
    bench.pool.give_back(one)
    bench.pool.close()
    assert (True, False, (1, 0, 0)) == (one.closed, two.closed, bench.counts)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "keep", "back", "close", "cancel", "fail", "hold", "go", "turn"]), st.integers(0)
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_any_order(steps):
    """The counts are right at every step, no more are open than may be, and in the end nobody waits."""
    asyncio.run(_any_order(steps))


async def _any_order(steps):
    bench = Bench(max_connections=3, max_pending_requests=4, keepalive=2)
    tasks, used = [], []
    for step, number in steps:
        if step == "come":
            tasks.append(asyncio.create_task(bench.pool.fresh()))
        elif step == "keep" and (kept := bench.pool.kept()) is not None:
            assert not kept.closed
            used.append(kept)
        elif step in ("back", "close") and used:
            one = used.pop(number % len(used))
            if step == "back" and not one.closed:
                bench.pool.give_back(one)
            else:
                one.close()
        elif step == "cancel" and tasks:
            tasks[number % len(tasks)].cancel()
        elif step == "fail":
            bench.error = None if bench.error else UpstreamRefusedError("no")
        elif step in ("hold", "go"):
            (bench.gate.clear if step == "hold" else bench.gate.set)()
        elif step == "turn":
            await bench.settle()
            given = [task.result() for task in tasks if task.done() and not task.cancelled() and not task.exception()]
            tasks = [task for task in tasks if not task.done()]
            used += given
            assert len({id(one) for one in used}) == len(used)
            assert sum(not one.closed for one in bench.connections) <= bench.pool.open <= 3
        assert bench.pool.open <= 3
        assert bench.pool.pending <= 4
        assert bench.pool.idle <= 2
    bench.gate.set()
    while True:
        await bench.settle()
        used += [task.result() for task in tasks if task.done() and not task.cancelled() and not task.exception()]
        tasks = [task for task in tasks if not task.done()]
        if not used:
            break
        used.pop().close()
    assert [] == tasks
    bench.pool.close()
    assert (0, 0, 0) == bench.counts
    assert all(one.closed for one in bench.connections)
