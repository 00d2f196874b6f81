"""Log lines: for a person by default, JSON by setting. What a line may say is decided where it is written.

A record may carry `fields` (name → plain value) for the line, and in `shown` the names that its message tells already.
Tracebacks are cut to their frames: the text of an exception from a library may hold what was sent. The same goes for
what nobody catches, once a command has called `tell_accidents`.

Records are written at once. Lines of which there are too many for that are collected in `Lines`, which goes out before
the next record does, and at the end of the process: what is read stands in the order in which it was logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

_LIBRARIES = ("aiohttp", "asyncio", "concurrent.futures")
_FLUSH = 0.25  # seconds that a line waits for others
_FULL = 32 << 10  # characters of lines that do not wait


def configure(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process: one handler on standard error."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger("bearer_proxy")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers[:] = [_WithoutText(handler)]
        library.setLevel(logging.ERROR)
        library.propagate = False


def tell_accidents() -> None:
    """Have this process log what nobody catches, in place of Python's own telling, which shows its words."""
    sys.excepthook = _tell
    threading.excepthook = lambda what: _tell(what.exc_type, what.exc_value, what.exc_traceback)
    sys.unraisablehook = lambda what: _tell(what.exc_type, what.exc_value, what.exc_traceback)


def _tell(kind: type[BaseException], error: BaseException | None, frames: TracebackType | None) -> None:
    told = (kind, error or kind(), frames)
    logging.getLogger("bearer_proxy").critical("not foreseen, and caught by nobody: %s", kind.__name__, exc_info=told)


def lines() -> Lines:
    """Give the lines that go where the records of this process go."""
    for handler in logging.getLogger("bearer_proxy").handlers:
        if isinstance(handler, _Handler):
            return handler.lines
    return Lines(sys.stderr)


class Lines:
    """Lines, each with its end, that are written together. `lost` counts those that could not be written.

    Nothing here raises. A stream that takes nothing more makes the writer wait, as it does for a record.
    """

    def __init__(self, stream: TextIO) -> None:
        self.lost = 0
        self._stream = stream
        self._waiting: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: str) -> None:
        """Take a line: it is written within a quarter of a second, without a running loop at once."""
        self._waiting.append(line)
        self._size += len(line)
        if self._size >= _FULL:
            self.flush()
        elif self._timer is None:
            self._set_timer()

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting, self._size = self._waiting, [], 0  # first, for a record may come up while this writes
        if not waiting:
            return
        try:
            _write(self._stream, "".join(waiting))
        except Exception:  # noqa: BLE001 - whatever is wrong with the stream, no request fails for it
            self.lost += len(waiting)

    def close(self) -> None:
        """Write what waits, and leave nothing for later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()

    def _set_timer(self) -> None:
        try:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH, self.close)
        except RuntimeError:
            self.flush()


class _Handler(logging.StreamHandler[TextIO]):
    """Writes records, each after the lines that were there before it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lines = Lines(stream)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.flush()
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - `logging` calls it so
        """Tell that a line could not be written, and where it comes from; `logging` itself would show its values."""
        error = sys.exc_info()[0]
        kind = "an error" if error is None else error.__name__
        self.lines.add(f"a line is lost: {kind} ({record.pathname}:{record.lineno})\n")

    def flush(self) -> None:
        """Write what waits: `logging` calls this at the end of the process."""
        self.lines.flush()
        super().flush()


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO message name=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line, and the frames of a traceback below it."""
        shown = getattr(record, "shown", ())
        fields = getattr(record, "fields", {})
        told = [f"{name}={value}" for name, value in fields.items() if name not in shown and _says_something(value)]
        line = " ".join([_time(record), record.levelname, record.getMessage(), *told])
        return "\n".join([line, *_frames(record)])


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        frames = _frames(record)
        if frames:
            line["traceback"] = frames
        return json.dumps(line)


class _WithoutText(logging.Handler):
    """Passes on that a library has logged an error, where and of which kind, without its words."""

    def __init__(self, target: logging.Handler) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "an error"
        text = f"{record.name} reports {kind} ({record.module}:{record.lineno})"
        plain = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, text, (), record.exc_info
        )
        self._target.handle(plain)


def _write(stream: TextIO, text: str) -> None:
    """Write a text whole, to the file itself where there is one: what fails is then not kept and tried again."""
    try:
        descriptor = stream.fileno()
    except OSError:
        stream.write(text)
        stream.flush()
        return
    left = memoryview(text.encode("utf-8", "backslashreplace"))
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            _wait(descriptor)


def _wait(descriptor: int) -> None:
    """Wait until a file takes more that somebody has set to non-blocking."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _says_something(value: object) -> bool:
    return value is not None and value is not False and value != ""


def _frames(record: logging.LogRecord) -> list[str]:
    if not record.exc_info or record.exc_info[2] is None:
        return []
    frames = traceback.extract_tb(record.exc_info[2])
    return [f"  at {frame.name} ({frame.filename}:{frame.lineno})" for frame in frames]
