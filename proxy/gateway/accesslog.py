"""One line per request. An allow-list: the path, the *names* of query parameters, numbers, and words of ours.

The lines are those that the formatters of `logs.py` would write, byte for byte, but no record is made: what is plain
goes straight into its line, and only an odd target is looked into. How they are written is told in `logs.py`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted

from .. import logs
from ..config import Config
from ..errors import BadTargetError
from .message import Trail
from .target import parameter_names, split_target

LOG = logging.getLogger("bearer_proxy.access")

_LONGEST = 200  # characters of a path, and of a query's names, that are logged
# What stands for itself in a target, in a text and in a JSON string: printable ASCII but for quotes, # and backslash.
_PLAIN = re.compile(rf"(/[!$->@-\[\]-~]{{0,{_LONGEST - 1}}})(?:\?([!$-\[\]-~]*))?").fullmatch
_ENCODED = re.compile("[%+]").search
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))
_MOST_ENDS = 1024  # of lines, kept ready

_Trail = tuple[str, str, str, int | None, bool, str]


def open_access_log(config: Config) -> AccessLog | None:
    """Give the access log, or None if no line is wanted. `close` it."""
    if not (config.access_log and LOG.isEnabledFor(logging.INFO)):
        return None
    return AccessLog(config.log_format, logs.lines())


class AccessLog:
    """Writes `lines`, in the format "text" or "json". `clock` gives nanoseconds since the epoch."""

    def __init__(self, log_format: str, lines: logs.Lines, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._is_json = log_format == "json"
        self._lines = lines
        self._clock = clock
        self._second = -1
        self._date = ""
        self._ends: dict[_Trail, str] = {}

    @property
    def lost(self) -> int:
        """How many lines could not be written."""
        return self._lines.lost

    def write(self, method: str, target: str, status: int, sent: int, seconds: float, peer: str, trail: Trail) -> None:
        """Log one request, `sent` in bytes. Never raises."""
        second, millisecond = divmod(self._clock() // 1_000_000, 1000)
        if second != self._second:
            self._turn(second)
        if method not in _METHODS:
            method = self._escaped(_plain(method[:20]))
        path = _plain_path(target) or (self._escaped(_shown(target)) if target else "-")
        key = trail.client, trail.route, trail.credential, trail.generation, trail.replayed, trail.error
        end = self._ends.get(key)
        if end is None:
            end = self._end(key)
        if self._is_json:
            self._lines.add(
                f'{self._date}{_MILLISECONDS[millisecond]}", "level": "info", "logger": "bearer_proxy.access", '
                f'"message": "{method} {path} {status}", "method": "{method}", "path": "{path}", "status": {status}, '
                f'"milliseconds": {seconds * 1000:.1f}, "bytes": {sent}{end}, "peer": {quoted(peer)}}}\n'
            )
        else:
            self._lines.add(
                f"{self._date}{_MILLISECONDS[millisecond]} INFO {method} {path} {status} "
                f"milliseconds={seconds * 1000:.1f} bytes={sent}{end}{f' peer={peer}' if peer else ''}\n"
            )

    def close(self) -> None:
        """Write what waits."""
        self._lines.close()

    def _turn(self, second: int) -> None:
        """Begin another second."""
        self._second = second
        date = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._date = f'{{"time": "{date}' if self._is_json else date

    def _escaped(self, text: str) -> str:
        return quoted(text)[1:-1] if self._is_json else text

    def _end(self, key: _Trail) -> str:
        """Give the end of a line, all but the peer. Most lines end alike, so it is kept."""
        if len(self._ends) >= _MOST_ENDS:
            self._ends.clear()
        end = self._ends[key] = _json_end(*key) if self._is_json else _text_end(*key)
        return end


def _json_end(client: str, route: str, credential: str, generation: int | None, replayed: bool, error: str) -> str:
    return (
        f', "client": {quoted(client)}, "route": {quoted(route)}, "credential": {quoted(credential)}, '
        f'"generation": {"null" if generation is None else generation}, '
        f'"replayed": {"true" if replayed else "false"}, "error": {quoted(error)}'
    )


def _text_end(client: str, route: str, credential: str, generation: int | None, replayed: bool, error: str) -> str:
    shown = {
        "client": client,
        "route": route,
        "credential": credential,
        "generation": "" if generation is None else str(generation),
        "replayed": "True" if replayed else "",
        "error": error,
    }
    return "".join([f" {name}={text}" for name, text in shown.items() if text])


def _plain_path(target: str) -> str:
    """Give what is shown of a target in which all stands for itself, or nothing."""
    match = _PLAIN(target)
    if match is None:
        return ""
    path, query = match.groups()
    if not query:
        return path
    names = ",".join([part.partition("=")[0] for part in query.replace(";", "&").split("&") if "=" in part])
    if _ENCODED(names):
        return ""
    return f"{path}?{names[:_LONGEST]}" if names else path


def _shown(target: str) -> str:
    """Give what is shown of any target."""
    try:
        _, path, query = split_target(target)
    except BadTargetError:
        return "(malformed target)"
    named = [part for part in query[1:].replace(";", "&").split("&") if "=" in part]
    names = ",".join(parameter_names("?" + "&".join(named))).replace(" ", "%20")
    return _plain(path) + (f"?{_plain(names)}" if names else "")


def _plain(text: str) -> str:
    """Keep a text to one line of printable ASCII."""
    return text[:_LONGEST].encode("unicode_escape").decode("ascii")
