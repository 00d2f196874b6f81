"""Log lines: for a person by default, JSON by setting. What a line may say is decided where it is written.

A record may carry `fields` (name → plain value) for the line, and in `shown` the names that its message tells already.
Tracebacks are cut to their frames: the text of an exception from a library may hold what was sent.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO

_LIBRARIES = ("aiohttp", "asyncio")


def configure(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process: one handler on standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
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


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _says_something(value: object) -> bool:
    return value is not None and value is not False and value != ""


def _frames(record: logging.LogRecord) -> list[str]:
    if not record.exc_info or record.exc_info[2] is None:
        return []
    frames = traceback.extract_tb(record.exc_info[2])
    return [f"  at {frame.name} ({frame.filename}:{frame.lineno})" for frame in frames]
