"""What a person types that nobody shall see: read from a terminal without echo, from a pipe as it is.

`ask` is for a question that has to be answered; `typed_line` waits beside other things, and can be cancelled.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ..errors import TokenFormatError

LONGEST_PASTE = 1 << 20  # characters
_LONGEST_LINE = 4095  # bytes: a terminal cuts a line there, and says nothing
_NO_TOKEN = f"this is longer than {LONGEST_PASTE} characters, and so no token"
_TOO_LONG = "this is longer than a terminal takes in one line: give it from a file, with <"


def ask(question: str) -> str:
    """Ask without echo. Raises `TokenFormatError` for a line that the terminal has cut, and KeyboardInterrupt."""
    with _signals_as_ctrl_c():
        line = getpass.getpass(question)
    if len(line) >= _LONGEST_LINE:
        raise TokenFormatError(_TOO_LONG)
    return line.strip()


def at_terminal() -> bool:
    """Tell whether a person sits before us; a program may be started with no standard input at all."""
    return sys.stdin is not None and sys.stdin.isatty()


def whole(stream: TextIO | None) -> str:
    """Read all that `stream` holds. Raises `TokenFormatError` where that is more than any token takes."""
    text = "" if stream is None else stream.read(LONGEST_PASTE + 1)
    if len(text) > LONGEST_PASTE:
        raise TokenFormatError(_NO_TOKEN)
    return text


async def typed_line(question: str) -> str:
    """Wait for one line on standard input, without echo if that is a terminal. Raises as `ask`, and EOFError.

    `question` is printed once echo is off: what is pasted at the very sight of it is neither shown nor lost.
    """
    if sys.stdin is None:
        raise EOFError
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        _print(question)
        return await _line(descriptor)
    restore = _silenced(descriptor)
    try:
        _print(question)
        line = await _line(descriptor)
    finally:
        restore()
    if len(line.encode()) >= _LONGEST_LINE:
        raise TokenFormatError(_TOO_LONG)
    return line


@contextmanager
def _signals_as_ctrl_c() -> Iterator[None]:
    """Let the signals that would end the program at once end a question as Ctrl-C does, so that echo comes back."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _silenced(descriptor: int) -> Callable[[], None]:
    """Switch echo off, and give what brings it back."""
    before = termios.tcgetattr(descriptor)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    return lambda: termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _print(question: str) -> None:
    if question:
        print(question, flush=True)


async def _line(descriptor: int) -> str:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:  # a plain file is always ready
        return _first_line(whole(sys.stdin).encode())
    try:
        text = b""
        while b"\n" not in text:
            if len(text) > LONGEST_PASTE:
                raise TokenFormatError(_NO_TOKEN)
            await ready.wait()
            ready.clear()
            chunk = os.read(descriptor, 1 << 16)
            text += chunk
            if not chunk:
                break
    finally:
        loop.remove_reader(descriptor)
    return _first_line(text)


def _first_line(text: bytes) -> str:
    if not text:
        raise EOFError
    return text.partition(b"\n")[0].decode("utf-8", "replace").strip()
