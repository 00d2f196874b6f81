"""The control endpoint: everything the sandbox can be told or asked, as JSON over HTTP. See `_TABLE`.

It shows no token but those of a grant it has just made, and the Authorization headers in the journal, which are
the vendor's to see. It is as open as the sandbox itself: it must not be reachable beyond the machine it runs on.
A wrong path is 404, wrong input 400, a page in a browser that asks 403, all with `{"error": …}`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TypeAlias

from aiohttp import web

from .faults import parse_fault
from .messages import Answer, Call, json_answer
from .routing import Missing, Routes
from .serving import Origin, to_call, to_response

Action: TypeAlias = Callable[[Origin, Call], Awaitable[Answer]]
_DONE = Answer(204)
_LONGEST_WAIT = 600.0


class Control:
    """The handler of the control endpoint."""

    def __init__(self, origins: Mapping[str, Origin], clock: Callable[[], float]) -> None:
        self._origins = origins
        self._clock = clock

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        call = to_call(request, await request.read(), self._clock())
        try:
            answer = await self._answer(call)
        except ValueError as error:
            answer = json_answer({"error": str(error)}, 400)
        return to_response(answer, call.now)

    async def _answer(self, call: Call) -> Answer:
        if "Origin" in call.headers:
            return json_answer({"error": "no page controls the sandbox"}, 403)
        if (call.method, call.path) == ("POST", "/reset"):
            for origin in self._origins.values():
                origin.reset()
            return _DONE
        found = _ROUTES.find(call.method, call.path)
        if isinstance(found, Missing):
            return json_answer({"error": f"{call.method} {call.path} is not served here"}, found.status)
        vendor = found.params["vendor"]
        if vendor not in self._origins:
            return json_answer({"error": f"unknown vendor {vendor!r}: one of {', '.join(self._origins)}"}, 404)
        return await found.handler(self._origins[vendor], call)


def _given(call: Call) -> dict[str, object]:
    if call.json is None:
        raise ValueError("the body must be a JSON object")
    return call.json


def _number(call: Call, key: str, default: float) -> float:
    try:
        number = float(call.query.get(key, default))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key} must be a number")
    return number


async def _grant(origin: Origin, _: Call) -> Answer:
    return json_answer(origin.vendor.grant())


async def _expire(origin: Origin, _: Call) -> Answer:
    origin.vendor.expire()
    return _DONE


async def _revoke(origin: Origin, _: Call) -> Answer:
    origin.vendor.ledger.revoke()
    return _DONE


async def _release(origin: Origin, _: Call) -> Answer:
    origin.gate.open()
    return _DONE


async def _show_settings(origin: Origin, _: Call) -> Answer:
    return json_answer(asdict(origin.vendor.settings))


async def _patch_settings(origin: Origin, call: Call) -> Answer:
    origin.vendor.patch(_given(call))
    return await _show_settings(origin, call)


async def _add_fault(origin: Origin, call: Call) -> Answer:
    fault = parse_fault(_given(call))
    origin.faults.add(fault)
    return json_answer(asdict(fault), 201)


async def _clear_faults(origin: Origin, _: Call) -> Answer:
    origin.faults.clear()
    return _DONE


async def _state(origin: Origin, _: Call) -> Answer:
    return json_answer(origin.vendor.state())


async def _wait(origin: Origin, call: Call) -> Answer:
    counters = origin.vendor.counters
    key = call.query.get("key", "")
    if key not in counters:
        raise ValueError(f"key must be one of {', '.join(counters.values())}")
    seconds = min(_number(call, "timeout", 10.0), _LONGEST_WAIT)
    reached = await counters.reach(key, int(_number(call, "at_least", 1)), seconds)
    return json_answer(origin.vendor.state(), 200 if reached else 408)


async def _journal(origin: Origin, _: Call) -> Answer:
    return json_answer([asdict(seen) for seen in origin.journal])


async def _clear_journal(origin: Origin, _: Call) -> Answer:
    origin.journal.clear()
    return _DONE


_TABLE: tuple[tuple[str, str, Action], ...] = (
    ("POST", "/{vendor}/grant", _grant),
    ("POST", "/{vendor}/expire", _expire),
    ("POST", "/{vendor}/revoke", _revoke),
    ("POST", "/{vendor}/release", _release),
    ("GET", "/{vendor}/settings", _show_settings),
    ("PATCH", "/{vendor}/settings", _patch_settings),
    ("POST", "/{vendor}/faults", _add_fault),
    ("DELETE", "/{vendor}/faults", _clear_faults),
    ("GET", "/{vendor}/state", _state),
    ("GET", "/{vendor}/wait", _wait),
    ("GET", "/{vendor}/requests", _journal),
    ("DELETE", "/{vendor}/requests", _clear_journal),
)
_ROUTES = Routes(_TABLE)
