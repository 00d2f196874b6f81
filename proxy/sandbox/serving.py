"""One vendor at its socket: reads the call, lets faults act, keeps the journal, sends the answer.

The vendor decides (`Vendor.answer`), this module moves bytes. The journal holds what the vendor saw, Authorization
included: it is the vendor's side. Nothing here is logged. The pages of a sign-in are neither counted nor in the
journal, and meet no faults.
A caller that goes away does not stop its request: a real vendor goes on as well.
"""

from __future__ import annotations

import hashlib
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, overload

from aiohttp import web

from .faults import Fault, Faults, Gate
from .messages import Answer, Call, split_target
from .vendor import Vendor

KEPT_BODY = 1024 * 1024  # a longer body is hashed and counted, not kept
JOURNAL_LENGTH = 10_000  # so that a benchmark does not eat the memory
EMPTY_PROMISE = 64  # bytes that a truncated answer announces when its body is empty


@dataclass(slots=True)
class Seen:
    """An API request as the vendor saw it. None: not read, or not answered (yet)."""

    method: str
    target: str = field(repr=False)
    headers: list[list[str]] = field(repr=False)
    body_sha256: str | None = None
    body_length: int | None = None
    status: int | None = None


class Origin:
    """The HTTP side of one vendor."""

    def __init__(self, vendor: Vendor[Any]) -> None:
        self.vendor = vendor
        self.faults = Faults()
        self.gate = Gate()
        self.journal: deque[Seen] = deque(maxlen=JOURNAL_LENGTH)

    def reset(self) -> None:
        """Everything as at the start; requests that wait are dropped."""
        self.gate.open(proceed=False)
        self.faults.clear()
        self.journal.clear()
        self.vendor.reset()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        side = self.vendor.side(split_target(request.raw_path)[0])
        seen = _seen(request)
        if side == "api":
            self.journal.append(seen)
        if side != "page":
            self.vendor.counters.add("exchanges" if side == "token" else "api_requests")
        fault = self.faults.take(side)
        try:
            answer = await self._answer(request, fault, seen)
        except (_DroppedError, ConnectionError, web.RequestPayloadError):  # the last two: the caller broke off
            return _reset(request)
        seen.status = answer.status
        if fault is not None and fault.fault == "truncate":
            return await _truncated(request, answer)
        return to_response(answer, self.vendor.clock())

    async def _answer(self, request: web.BaseRequest, fault: Fault | None, seen: Seen) -> Answer:
        answer = await self._meet(fault, "early", None)
        if answer is not None:
            return answer
        body = await _read_body(request, seen)
        answer = await self._meet(fault, "before", None)
        if answer is not None:
            return answer
        vendor = self.vendor
        return await self._meet(fault, "after", vendor.answer(to_call(request, body, vendor.clock())))

    @overload
    async def _meet(self, fault: Fault | None, point: str, answer: Answer) -> Answer: ...

    @overload
    async def _meet(self, fault: Fault | None, point: str, answer: None) -> Answer | None: ...

    async def _meet(self, fault: Fault | None, point: str, answer: Answer | None) -> Answer | None:
        """The answer as the fault leaves it at this point of the way."""
        if fault is None or fault.point != point:
            return answer
        if fault.fault == "drop" or (fault.fault == "stall" and not await self._stalled(fault)):
            raise _DroppedError
        return answer if fault.fault == "stall" else fault.spoil(answer)

    async def _stalled(self, fault: Fault) -> bool:
        counters = self.vendor.counters  # a reset puts new ones in their place
        counters.add("stalled")
        try:
            return await self.gate.passed(fault.seconds)
        finally:
            counters.add("stalled", -1)


class _DroppedError(Exception):
    """The connection shall be reset without an answer."""


def _seen(request: web.BaseRequest) -> Seen:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers]
    return Seen(request.method, request.raw_path, headers)


async def _read_body(request: web.BaseRequest, seen: Seen) -> bytes | None:
    """The body, None if it is too long to keep; length and digest go into the journal either way."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    digest, length, kept = hashlib.sha256(), 0, bytearray()
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        length += len(chunk)
        if length <= KEPT_BODY:
            kept += chunk
    seen.body_sha256, seen.body_length = digest.hexdigest(), length
    return bytes(kept) if length <= KEPT_BODY else None


def to_call(request: web.BaseRequest, body: bytes | None, now: float) -> Call:
    return Call(request.method, request.raw_path, request.headers, body, now)


def to_response(answer: Answer, now: float) -> web.Response:
    """`Date` follows the vendor's clock, so that a clock set wrong shows, as it would outside."""
    headers = {"Date": formatdate(now, usegmt=True), **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _reset(request: web.BaseRequest) -> web.Response:
    """End the connection with RST: SO_LINGER 0 throws away what was not sent."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()  # goes nowhere


async def _truncated(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body) or EMPTY_PROMISE
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
