"""Faults on request: what shall go wrong, in which order, and the gate at which stalled requests wait.

One request meets at most one fault: the oldest that is meant for its side (`token` or `api`) and is not used up.
`before` means that the vendor has not processed the request, `after` that it has (a refresh token is rotated!) and
that its answer is what suffers. This module decides; the connection is spoiled in `serving`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .messages import JSON, Answer
from .settings import is_count, is_number

FAULTS = ("stall", "fail", "drop", "truncate", "garbage")
_STOCK_FAILURE = '{"error": "temporarily_unavailable"}'
_STOCK_GARBAGE = "<html><body>It works!</body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    on            token | api
    fault         stall: waits `seconds`, or until released, then goes on normally
                  fail: answers `status`, `body`, `content_type`, `headers`
                  drop: the connection is reset without an answer
                  truncate: Content-Length says more than is sent, then the connection closes
                  garbage: 200 with a body (`body`) that is no token answer
    when          before | after the vendor has processed the request
    times         how many requests it meets
    early         only with before: it acts before the request's body is read
    """

    on: str
    fault: str
    when: str = "before"
    times: int = 1
    seconds: float | None = None
    status: int = 503
    body: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    early: bool = False

    @property
    def point(self) -> str:
        """Where on the request's way it acts: early, before or after."""
        return "early" if self.early else self.when

    def spoil(self, answer: Answer | None) -> Answer:
        """The answer that goes out in place of the vendor's (None: the vendor has not processed the request)."""
        if self.fault == "garbage":
            return self._made_up(200, _STOCK_GARBAGE, "text/html")
        if self.fault == "fail" or answer is None:
            return self._made_up(self.status if self.fault == "fail" else 200, _STOCK_FAILURE, JSON)
        return answer

    def _made_up(self, status: int, stock: str, content_type: str) -> Answer:
        body = stock if self.body is None else self.body
        headers = {"Content-Type": self.content_type or content_type, **self.headers}
        return Answer(status, body.encode(), headers)


def parse_fault(data: Mapping[str, Any]) -> Fault:
    """A fault from its JSON; ValueError says which key is wrong. A `body` that is no string is sent as JSON."""
    known = {item.name for item in fields(Fault)}
    for key in data:
        if key not in known:
            raise ValueError(f"unknown key {key!r}: one of {', '.join(sorted(known))}")
    body = data.get("body")
    if body is not None and not isinstance(body, str):
        data = {**data, "body": json.dumps(body)}
    for key, (good, wanted) in _checks().items():
        if key in data or key in {"on", "fault"}:
            _demand(good(data.get(key)), f"{key} must be {wanted}")
    fault = Fault(**data)
    _demand(not fault.early or fault.when == "before", "early goes with when: before")
    return fault


def _demand(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)


def _checks() -> dict[str, tuple[Any, str]]:
    return {
        "on": (lambda value: value in ("token", "api"), "token or api"),
        "fault": (lambda value: value in FAULTS, f"one of {', '.join(FAULTS)}"),
        "when": (lambda value: value in ("before", "after"), "before or after"),
        "times": (is_count, "a whole number above 0"),
        "seconds": (lambda value: value is None or (is_number(value) and value >= 0), "a number, or null"),
        "status": (lambda value: is_count(value, 200) and value < 600, "a status from 200 to 599"),
        "content_type": (lambda value: value is None or isinstance(value, str), "a string"),
        "headers": (_are_headers, "an object of strings"),
        "early": (lambda value: isinstance(value, bool), "true or false"),
    }


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


class Faults:
    """The faults still to come, first in, first out."""

    def __init__(self) -> None:
        self._queue: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._queue.append(fault)

    def clear(self) -> None:
        self._queue.clear()

    def take(self, side: str) -> Fault | None:
        """The fault that the request at hand meets; one use of it is gone."""
        for place, fault in enumerate(self._queue):
            if fault.on == side:
                rest = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                self._queue[place : place + 1] = rest
                return fault
        return None


class Gate:
    """Where stalled requests wait until someone opens it, or their time is over."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[bool]] = set()

    async def passed(self, seconds: float | None) -> bool:
        """True: go on normally. False: the sandbox stops, drop the connection."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        try:
            return await asyncio.wait_for(turn, seconds)
        except TimeoutError:
            return True
        finally:
            self._waiting.discard(turn)

    def open(self, *, proceed: bool = True) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(proceed)
