"""Answers as upstreams send them."""

from __future__ import annotations

from dataclasses import dataclass

import httptools

from ....errors import UpstreamError, UpstreamProtocolError
from ...message import Field
from .parser import Parser, Receiver

NO_BODY = frozenset({204, 304})  # statuses of answers that have none
_INTERIM = 16  # interim answers (1xx) to one request that are borne


@dataclass(slots=True)
class ResponseHead:
    """An answer's head. `delimited` tells that its body's end can be told from the connection's."""

    status: int
    reason: str
    headers: list[Field]
    length: int | None
    delimited: bool
    keep_alive: bool


class ResponseParser(Parser):
    """Parses what an upstream sends, for one request. Interim answers (1xx) are left out, but for 101."""

    __slots__ = ("_interim", "_skipped")

    def __init__(self, receiver: Receiver, *, limit: int, count: int) -> None:
        super().__init__(receiver, limit=limit, count=count)
        self._parser = httptools.HttpResponseParser(self)
        self._interim = 0
        self._skipped = False

    def on_status(self, reason: bytes) -> None:
        self._start += reason

    def on_headers_complete(self) -> None:
        parser = self._parser
        reason, fields, special = self._begun()
        status = parser.get_status_code()
        if status < 200 and status != 101:
            self._skip()
            return
        self._interim = 0
        version = parser.get_http_version()
        if version not in ("1.1", "1.0") or "\0" in reason:
            self._refuse(UpstreamProtocolError("the upstream's answer is not HTTP/1.1"))
        length, delimited = None, False
        for name, value in special:
            if name == "content-length":
                length, delimited = int(value), True
            elif name == "transfer-encoding":
                if value.lower() != "chunked" or version == "1.0" or delimited:
                    self._refuse(UpstreamProtocolError("the upstream encodes its answer in a way that nobody decodes"))
                delimited = True
        delimited = delimited or status in NO_BODY
        keep_alive = delimited and parser.should_keep_alive()
        self._receiver.head_received(ResponseHead(status, reason, fields, length, delimited, keep_alive))

    def on_message_complete(self) -> None:
        self._events += 1
        self._in_head = True
        self._under_way = False
        if self._skipped:
            self._skipped = False
        else:
            self._receiver.message_ended()

    def _skip(self) -> None:
        """Leave an interim answer out."""
        self._skipped = True
        self._interim += 1
        if self._interim > _INTERIM:
            self._refuse(UpstreamProtocolError("the upstream sends interim answers without end"))

    def _malformed(self, error: httptools.HttpParserError, data: bytes) -> UpstreamError:  # noqa: ARG002
        return UpstreamProtocolError("the answer of the upstream is not HTTP that can be passed on")

    def _too_large(self) -> UpstreamError:
        return UpstreamProtocolError(f"the upstream's head is longer than {self._limit} bytes or {self._count} fields")
