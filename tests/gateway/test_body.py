"""A kept body on real files: every byte in order in each pass, limits, and nothing left behind."""

import asyncio
import contextlib
import errno
import os
import tempfile
from pathlib import Path

import pytest

from proxy.errors import BadTargetError
from proxy.gateway.body import CHUNK, KeptBody, Spool

FILES = Path("/proc/self/fd")
OVER = "this pass over the body is over"


class Caller:
    """Sends chunks, then the end; waits before those that stand behind a closed gate."""

    def __init__(self, *chunks: bytes | Exception, slow: bool = False) -> None:
        self.left: list[bytes | Exception] = list(chunks)
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.reads = 0
        if not slow:
            self.gate.set()

    async def __call__(self) -> bytes:
        assert not self.asked.is_set() or self.gate.is_set(), "a stream has one reader at a time"
        self.reads += 1
        self.asked.set()
        await self.gate.wait()
        item = self.left.pop(0) if self.left else b""
        if isinstance(item, Exception):
            raise item
        return item


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path, 1000)


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path):
    """No test leaves a descriptor open, or a name in the folder."""
    yield
    assert [] == spool_files(tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.fixture
def keep(spool):
    """Make bodies, which are closed at the end."""
    made = []

    def make(caller, length=None, *, memory=10, limit=100, spool=spool):
        body = KeptBody(caller, length, spool=spool, memory=memory, limit=limit)
        made.append(body)
        return body

    yield make
    for body in made:
        body.close()
        body.close()
    assert 0 == spool.used


async def whole(body):
    return b"".join([chunk async for chunk in body])


def spool_files(tmp_path):
    """Give the link counts of the open files that lie in the folder."""
    counts = []
    for link in FILES.iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            if link.readlink().is_relative_to(tmp_path):
                counts.append(link.stat().st_nlink)
    return counts


def chunks(*sizes):
    """Give chunks of these sizes, no byte of which equals another."""
    every = bytes(range(256))
    return [every[sum(sizes[:index]) : sum(sizes[: index + 1])] for index in range(len(sizes))]


@pytest.mark.parametrize(
    ("spooled", "sizes"),
    [
        (0, []),
        (0, [10]),
        (0, [4, 6]),
        (1, [4, 6, 1]),
        (11, [11]),
        (7, [5, 7]),
        (7, [5, 6, 1]),
        (91, [9, 90, 1]),
        (100, [100]),
        (99, [1, *[11] * 9]),
    ],
)
async def test_body_within_the_limit(keep, spool, tmp_path, spooled, sizes):
    """It streams as it comes and can be had again and again, from memory and, beyond that, from a nameless file."""
    body = keep(Caller(*chunks(*sizes)))
    expected = bytes(range(sum(sizes)))
    assert chunks(*sizes) == [chunk async for chunk in body]
    assert [expected] * 3 == [await whole(body) for _ in range(3)]
    assert body.replayable
    assert spooled == spool.used
    assert ([0] if spooled else []) == spool_files(tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("sizes", [[101], [50, 51], [10, 90, 1], [100, 1]])
async def test_body_past_the_limit(keep, spool, tmp_path, sizes):
    """It streams on in one pass, and nothing of it is kept any more."""
    body = keep(Caller(*chunks(*sizes)))
    assert bytes(range(101)) == await whole(body)
    assert not body.replayable
    assert not await body.rest()
    assert (0, []) == (spool.used, spool_files(tmp_path))
    with pytest.raises(RuntimeError, match=OVER):
        await whole(body)


@pytest.mark.parametrize(("expected", "length"), [(True, 100), (False, 101)])
async def test_length_known_beforehand(keep, spool, expected, length):
    """Nothing is kept of a body that is announced as too long; before its first byte it can still be sent."""
    body = keep(Caller(*chunks(20, 20)), length)
    assert length == body.length
    assert body.replayable
    stream = aiter(body)
    await anext(stream)
    assert (expected, 20 if expected else 0) == (body.replayable, spool.used)


async def test_body_read_back(keep, tmp_path):
    """It comes in pieces of bounded size, from memory as from disk."""
    size = 3 * CHUNK + 1
    wide = Spool(tmp_path, 2 * size)
    for memory in (0, size):
        body = keep(Caller(b"x" * size), memory=memory, limit=size, spool=wide)
        await body.rest()
        assert [CHUNK] * 3 + [1] == [len(chunk) async for chunk in body]


async def test_total_limit(keep, spool):
    """All bodies share it; one that finds no room streams on, and room that is given back can be used."""
    first, second = (keep(Caller(b"x" * 600), limit=2000) for _ in range(2))
    assert await first.rest()
    assert b"x" * 600 == await whole(second)
    assert (False, True, 600) == (second.replayable, first.replayable, spool.used)
    first.close()
    assert 0 == spool.used
    assert await keep(Caller(b"x" * 1000), limit=2000).rest()
    assert (1000, False) == (spool.used, spool.reserve(1))


def full(*_, **__):
    raise OSError(errno.ENOSPC, "no space left on device")


@pytest.mark.parametrize(
    ("name", "failing"), [("pwrite", full), ("pwrite", lambda _file, chunk, _offset: len(chunk) - 1), ("dup", full)]
)
@pytest.mark.parametrize("before", [[], [20]])
async def test_disk_that_fails(keep, spool, tmp_path, monkeypatch, name, failing, before):
    """A full disk ends the keeping, not the sending, and gives its room back."""
    body = keep(Caller(*chunks(5, *before, 30)))
    stream = aiter(body)
    got = [await anext(stream) for _ in (5, *before)]
    monkeypatch.setattr(os, name, failing)
    if name == "dup" and before:
        monkeypatch.setattr(os, "pwrite", full)
    got += [chunk async for chunk in stream]
    assert chunks(5, *before, 30) == got
    assert (False, 0, []) == (body.replayable, spool.used, spool_files(tmp_path))


@pytest.mark.parametrize(("folder", "opens"), [("absent", tempfile.TemporaryFile), (".", full)])
async def test_file_that_cannot_be_opened(keep, tmp_path, monkeypatch, folder, opens):
    """It is a failing disk."""
    monkeypatch.setattr(tempfile, "TemporaryFile", opens)
    spool = Spool(tmp_path / folder, 1000)
    body = keep(Caller(b"x" * 50), spool=spool)
    assert b"x" * 50 == await whole(body)
    assert (False, 0) == (body.replayable, spool.used)


async def test_pass_that_was_superseded(keep):
    """It is over, whatever is still to come; the new one has every byte."""
    body = keep(Caller(*chunks(5, 50, 5)))
    old = aiter(body)
    await anext(old)
    assert bytes(range(60)) == await whole(body)
    with pytest.raises(RuntimeError, match=OVER):
        await anext(old)


@pytest.mark.parametrize("sizes", [[3, 2, 1], [30, 20, 1]])
async def test_pass_that_was_superseded_while_it_waited(keep, sizes):
    """The byte that it waited for is the new one's too."""
    caller = Caller(*chunks(*sizes), slow=True)
    body = keep(caller)
    old = asyncio.ensure_future(anext(aiter(body)))
    await caller.asked.wait()
    new = asyncio.create_task(whole(body))
    await asyncio.sleep(0)
    caller.gate.set()
    with pytest.raises(RuntimeError, match=OVER):
        await old
    assert bytes(range(sum(sizes))) == await new


async def test_rest_while_a_pass_goes_on(keep):
    """Neither takes a byte from the other: the pass ends with an error, or has them all."""
    caller = Caller(*chunks(3, 2, 1), slow=True)
    body = keep(caller)
    rest = asyncio.create_task(body.rest())
    await caller.asked.wait()
    passing = asyncio.create_task(whole(body))
    await asyncio.sleep(0)
    caller.gate.set()
    assert await rest
    with contextlib.suppress(RuntimeError):
        assert bytes(range(6)) == await passing
    assert bytes(range(6)) == await whole(body)


@pytest.mark.parametrize(("expected", "reads", "length"), [(True, 4, None), (True, 4, 51), (False, 2, 101)])
async def test_rest(keep, expected, reads, length):
    """It reads on while that is of use, and no further."""
    caller = Caller(*chunks(5, 40, 6))
    body = keep(caller, length)
    stream = aiter(body)
    assert chunks(5, 40) == [await anext(stream), await anext(stream)]
    assert expected is await body.rest()
    assert reads == caller.reads


async def test_cancelled_while_the_caller_is_slow(keep):
    """No byte is lost: another pass has them all."""
    caller = Caller(*chunks(5, 5), slow=True)
    body = keep(caller)
    waiting = asyncio.ensure_future(anext(aiter(body)))
    await caller.asked.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    caller.gate.set()
    assert bytes(range(10)) == await whole(body)


@pytest.mark.parametrize("size", [5, 50])
async def test_cancelled_between_reading_and_keeping(keep, size):
    """The chunk that was read is kept all the same."""
    caller = Caller(*chunks(size, 5))

    async def read():
        chunk = await caller()
        if caller.reads == 1:
            waiting.cancel()
        return chunk

    body = keep(read)
    waiting = asyncio.ensure_future(anext(aiter(body)))
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert bytes(range(size + 5)) == await whole(body)


async def test_close_while_the_caller_is_slow(keep, spool, tmp_path):
    """What comes then is not kept, and the pass is over."""
    caller = Caller(*chunks(50, 50), slow=True)
    body = keep(caller)
    stream = aiter(body)
    waiting = asyncio.ensure_future(anext(stream))
    await caller.asked.wait()
    body.close()
    caller.gate.set()
    await asyncio.wait([waiting])
    assert (False, 0, []) == (body.replayable, spool.used, spool_files(tmp_path))
    waiting.exception()
    with pytest.raises((RuntimeError, StopAsyncIteration)):
        await anext(stream)


@pytest.mark.parametrize(("kept", "error"), [(True, BadTargetError("malformed")), (False, ConnectionResetError())])
async def test_caller_that_fails(keep, kept, error):
    """The error goes to whoever reads; one of the caller's own making is remembered."""
    body = keep(Caller(b"a", error, error))
    with pytest.raises(type(error)):
        await whole(body)
    assert (error if kept else None) is body.error
    with pytest.raises(type(error)):
        await body.rest()
