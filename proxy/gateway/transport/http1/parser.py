"""What the parsers of both directions share."""

from __future__ import annotations

from typing import Any, Protocol

import httptools

from ....errors import CallerError, UpstreamError
from ...memo import Lookup
from ...message import Field

MAX_LENGTH = (1 << 63) - 1  # bytes of a body that others can count too
_SPECIAL = frozenset({"host", "content-length", "transfer-encoding", "expect", "upgrade"})


class Receiver(Protocol):
    """What a parser tells, in order: a head, its body's bytes, its end. `received` counts the bytes."""

    received: int

    def head_received(self, head: Any) -> None: ...
    def body_received(self, data: bytes) -> None: ...
    def message_ended(self) -> None: ...


def _known(name: bytes) -> tuple[str, str]:
    """Give a field's name as text, and its lower-case form if it is one that this module looks at."""
    text = name.decode("latin-1")
    return text, text.lower() if text.lower() in _SPECIAL else ""


_NAMES = Lookup(_known)


class Parser:
    """What both directions share: `feed`, fields, and the count of bytes that bring nothing."""

    __slots__ = (
        "_count",
        "_events",
        "_feeding",
        "_fields",
        "_in_head",
        "_limit",
        "_parser",
        "_receiver",
        "_refusal",
        "_rest",
        "_special",
        "_start",
        "_stuck",
        "_under_way",
        "on_body",
    )

    def __init__(self, receiver: Receiver, *, limit: int, count: int) -> None:
        self._receiver = receiver
        self._limit = limit
        self._count = count
        self._start = b""  # the target, or the reason
        self._fields: list[Field] = []
        self._special: list[Field] = []
        self._stuck = 0  # bytes that have brought nothing yet
        self._feeding = 0  # bytes that are being parsed
        self._events = 0  # heads and ends
        self._in_head = True
        self._under_way = False  # a message has begun, and is not complete
        self.on_body = receiver.body_received
        self._refusal: CallerError | UpstreamError | None = None
        self._rest = b""  # what came after an upgrade
        self._parser: Any

    def feed(self, data: bytes) -> None:
        """Parse what has come. Raises `CallerError` or `UpstreamError`."""
        self._feeding = len(data)
        progress = self._events + self._receiver.received
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            raise self._refusal or self._malformed(error, data) from None
        if self._events + self._receiver.received != progress:
            self._stuck = 0
        else:
            self._stuck += len(data)
            if self._stuck > self._limit:
                raise self._too_large()

    @property
    def fresh(self) -> bool:
        """Whether no byte of the next message has come."""
        return not self._under_way and not self._stuck

    def rest(self) -> bytes:
        """Give what came after a request, or an answer, that changes the protocol."""
        early, self._rest = self._rest, b""
        return early

    def close(self) -> None:
        """Parse no more, and let go of what refers to this."""
        self._parser = None

    def on_message_begin(self) -> None:
        self._under_way = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            text, special = _NAMES[name]
            field = text, value.rstrip().decode("latin-1")
            self._fields.append(field)
            if special:
                self._special.append((special, field[1]))

    def on_message_complete(self) -> None:
        self._events += 1
        self._in_head = True
        self._under_way = False
        self._receiver.message_ended()

    def _begun(self) -> tuple[str, list[Field], list[Field]]:
        """Give the head's start, its fields and those that this module looks at. Refuses what is too large."""
        start, fields, special = self._start, self._fields, self._special
        self._start, self._fields = b"", []
        if special:
            self._special = []
        self._events += 1
        self._in_head = False
        at_most = self._stuck + self._feeding  # bytes that the head can have
        if len(fields) > self._count or (at_most > self._limit and self._size(start, fields) > self._limit):
            self._refuse(self._too_large())
        return start.decode("latin-1"), fields, special

    def _size(self, start: bytes, fields: list[Field]) -> int:
        return len(start) + sum(len(name) + len(value) + 4 for name, value in fields)

    def _upgraded(self, rest: bytes) -> None:
        """Keep what came after a message that changes the protocol."""
        self._rest = rest

    def _refuse(self, error: CallerError | UpstreamError) -> None:
        self._refusal = error
        raise error

    def _malformed(self, error: httptools.HttpParserError, data: bytes) -> CallerError | UpstreamError:
        raise NotImplementedError

    def _too_large(self) -> CallerError | UpstreamError:
        raise NotImplementedError
