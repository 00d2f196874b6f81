"""Lines that are written together: when, in which order with records, and what becomes of them when nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from pathlib import Path
from typing import TextIO

import pytest

from proxy import logs

LIMIT = 20.0  # seconds that anything is waited for
FULL = 32 << 10
ROOT = Path(__file__).parents[1]


class Pipe:
    """A pipe with a reader that reads when it is told to."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.stream: TextIO = os.fdopen(writer, "w")

    def at_hand(self) -> str:
        """Give what has been written since the last time."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.reader, 1 << 20).decode()
        return ""

    async def next(self) -> str:
        """Wait until something is written, and give it."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.reader, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), LIMIT)
        finally:
            loop.remove_reader(self.reader)
        return self.at_hand()

    def close_reader(self) -> None:
        """Go away as a reader."""
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        self.stream.close()
        if self.reader >= 0:
            os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that nobody reads from."""
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
async def lines(pipe: Pipe) -> AsyncIterator[logs.Lines]:
    """Lines that go into the pipe."""
    lines = logs.Lines(pipe.stream)
    yield lines
    lines.close()


@pytest.fixture
def _restored() -> Iterator[None]:
    """Logging is as before when a test is over."""
    loggers = [logging.getLogger(name) for name in ("bearer_proxy", "aiohttp", "asyncio")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


async def test_few_lines(pipe, lines):
    """They wait for each other, not for long, and go out together; the next ones do so again."""
    for pair in (("a\n", "b\n"), ("c\n", "d\n")):
        for line in pair:
            lines.add(line)
        assert "" == pipe.at_hand()
        assert "".join(pair) == await pipe.next()


async def test_many_lines(pipe, lines):
    """They are written as soon as there are enough, without a turn of the event loop."""
    line = "x" * 99 + "\n"
    enough = -(-FULL // len(line))
    for _ in range(enough - 1):
        lines.add(line)
    assert "" == pipe.at_hand()
    lines.add(line)
    lines.add("one more\n")
    assert line * enough == pipe.at_hand()


async def test_close(pipe, lines):
    """What waits is written, and nothing is left for the event loop to do."""
    lines.add("a\n")
    timer = lines._timer
    lines.close()
    assert "a\n" == pipe.at_hand()
    assert timer.cancelled()


def test_no_event_loop(pipe):
    """Nothing waits."""
    logs.Lines(pipe.stream).add("a\n")
    assert "a\n" == pipe.at_hand()


@pytest.mark.parametrize("text", ["\u00e9\u2603\n", "\udc80\n"])
def test_text_that_is_not_ascii(pipe, text):
    """It is written as the ordinary log writes it on standard error."""
    logs.Lines(pipe.stream).add(text)
    assert text.encode("utf-8", "backslashreplace").decode() == pipe.at_hand()


@pytest.mark.usefixtures("_restored")
async def test_record_after_lines(pipe):
    """It stands after them, a library's too, and lines that come later stand after it."""
    logs.configure("text", "info", pipe.stream)
    lines = logs.lines()
    for name in ("bearer_proxy", "aiohttp.server"):
        lines.add("before\n")
        logging.getLogger(name).error("between")
        lines.add("after\n")
        lines.close()
        first, _, last = pipe.at_hand().splitlines()
        assert ("before", "after") == (first, last)


async def test_record_while_lines_are_written():
    """It does not write them twice."""

    class Logging(StringIO):
        def write(self, text):
            mine.flush()
            return super().write(text)

    stream = Logging()
    mine = logs.Lines(stream)
    mine.add("a\n")
    mine.close()
    assert "a\n" == stream.getvalue()


async def test_reader_that_is_gone(pipe, lines):
    """Lines are lost and counted, and nothing is raised."""
    pipe.close_reader()
    for _ in range(2):
        lines.add("a\n")
        lines.add("b\n")
        lines.flush()
    assert 4 == lines.lost


async def test_full_disk():
    """Lines are lost and counted."""
    with Path("/dev/full").open("w") as stream:
        lines = logs.Lines(stream)
        lines.add("a\n")
        lines.close()
    assert 1 == lines.lost


@pytest.mark.parametrize("stream", ["closed", None])
def test_no_stream(stream, tmp_path):
    """Lines are lost and counted where standard error is closed."""
    gone = (tmp_path / "x").open("w")
    gone.close()
    lines = logs.Lines(gone if stream else stream)
    lines.add("a\n")
    assert 1 == lines.lost


@pytest.mark.parametrize("blocking", [True, False])
async def test_reader_that_is_slow(pipe, lines, blocking):
    """It gets every line whole, also from a pipe that somebody has set to non-blocking."""
    os.set_blocking(pipe.stream.fileno(), blocking)
    os.set_blocking(pipe.reader, True)
    got: list[bytes] = []

    def read() -> None:
        while not got or b"end" not in got[-1]:
            got.append(os.read(pipe.reader, 5000))

    reader = threading.Thread(target=read, daemon=True)
    wanted = [f"{number:0999}\n" for number in range(300)]
    with contextlib.suppress(BlockingIOError):
        while not blocking:
            os.write(pipe.stream.fileno(), b"\n" * 4096)
    reader.start()
    for line in [*wanted, "end\n"]:
        lines.add(line)
    lines.flush()
    await asyncio.to_thread(reader.join, LIMIT)
    assert not reader.is_alive()
    assert "".join(wanted) + "end" == b"".join(got).decode().strip("\n")
    assert 0 == lines.lost


CRASHING = """
import asyncio
from proxy import logs

async def crash():
    logs.configure("text", "info")
    logs.lines().add("the last line\\n")
    raise SystemExit("an end that nobody foresaw")

asyncio.run(crash())
"""


def test_process_that_ends_unforeseen():
    """What waits is written all the same."""
    done = subprocess.run(
        [sys.executable, "-c", CRASHING], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert 1 == done.returncode
    assert "the last line\n" in done.stderr
