"""A strict reading of HTTP/1.1, as RFC 9112 writes it and nothing beside: what two readers could take for two things is
`Malformed`. Shares no code with the proxy, and no parser with it.

Stricter than the RFC has to be: a line ends in CRLF; no framing field is doubled, listed, or spelled with `_`; no
trailer says what belongs in a head; no control character but the tab is in a value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"(%s):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*" % _TOKEN)
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = rb"/[\x21\x22\x24-\x7e]*"
_REQUEST = re.compile(rb"(%s) (%s|https?://%s(?:%s)?) HTTP/1\.([01])" % (_TOKEN, _PATH, _HOST.pattern, _PATH))
_LENGTH = re.compile(rb"[0-9]{1,19}")
_LENGTH_MOST = 2**63 - 1  # what a signed number of 64 bits holds
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;%s(?:=(?:%s|%s))?)*" % (_TOKEN, _TOKEN, _QUOTED))
_LIKE_FRAMING = re.compile(rb"(?i)content_length|transfer_encoding")
_NOT_IN_TRAILERS = frozenset({b"authorization", b"content-length", b"host", b"transfer-encoding", b"trailer"})

Field = tuple[bytes, bytes]


class Malformed(Exception):  # noqa: N818 - a judgement on bytes
    """These bytes are no message, or could be taken for another one."""


@dataclass(frozen=True)
class Request:
    """A request as it was understood."""

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[Field, ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        return _values(self.fields, name)


@dataclass(frozen=True)
class Answer:
    """An answer as it was understood; interim ones (1xx) are answers too."""

    status: int
    fields: tuple[Field, ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        return _values(self.fields, name)


def take_request(data: bytes) -> tuple[Request, bytes] | None:
    """Take the request that `data` begins with, and give what is left; None while it is not whole."""
    head = _head(data)
    if head is None:
        return None
    line, fields, rest = head
    match = _REQUEST.fullmatch(line)
    if match is None:
        raise Malformed("request line")
    method, target, minor = match.groups()
    hosts = _values(fields, b"host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise Malformed("Host")
    framing = _framing(fields, minor)
    taken = _body(rest, 0 if framing is None else framing)
    if taken is None:
        return None
    body, rest = taken
    return Request(method, target, minor, fields, body), rest


def take_answer(data: bytes, method: bytes, *, ended: bool) -> tuple[Answer, bytes] | None:
    """Take the answer to `method` that `data` begins with, and give what is left; None while it is not whole.

    A body without a length is whole when the connection has `ended` in order.
    """
    head = _head(data)
    if head is None:
        return None
    line, fields, rest = head
    match = _STATUS.fullmatch(line)
    if match is None:
        raise Malformed("status line")
    status = int(match[2])
    framing = _framing(fields, match[1])
    if status < 200 or status == 204:
        if framing is not None:
            raise Malformed("framing of what has no body")
        return Answer(status, fields, b""), rest
    if method == b"HEAD" or status == 304:
        return Answer(status, fields, b""), rest
    if framing is None:
        return (Answer(status, fields, rest), b"") if ended else None
    taken = _body(rest, framing)
    return None if taken is None else (Answer(status, fields, taken[0]), taken[1])


def take_answers(data: bytes, methods: Sequence[bytes], *, ended: bool) -> tuple[list[Answer], bytes]:
    """Take all whole answers to requests of these methods, interim ones left out, and give what is left."""
    answers: list[Answer] = []
    while data:
        method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
        taken = take_answer(data, method, ended=ended)
        if taken is None:
            break
        answer, data = taken
        if answer.status >= 200:
            answers.append(answer)
    return answers, data


def start_line(data: bytes) -> bytes:
    """The first line of what is left, as far as it is there."""
    return data.partition(b"\r\n")[0]


def _values(fields: Sequence[Field], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


def _head(data: bytes) -> tuple[bytes, tuple[Field, ...], bytes] | None:
    """Split off the start line and the fields."""
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[:end]
    if re.search(rb"\r(?!\n|$)|(?<!\r)\n", head):
        raise Malformed("a line that does not end in CRLF")
    if end < 0:
        return None
    line, *lines = head.split(b"\r\n")
    return line, _fields(lines), data[end + 4 :]


def _fields(lines: Sequence[bytes]) -> tuple[Field, ...]:
    matches = [_FIELD.fullmatch(line) for line in lines]
    fields = tuple((match[1], match[2]) for match in matches if match is not None)
    if len(fields) != len(lines) or any(_LIKE_FRAMING.fullmatch(name) for name, _ in fields):
        raise Malformed("field")
    return fields


def _framing(fields: Sequence[Field], minor: bytes) -> int | None:
    """The length of the body, -1 if it comes in chunks, None where nothing is said."""
    lengths, codings = _values(fields, b"content-length"), _values(fields, b"transfer-encoding")
    if codings:
        if lengths or minor == b"0" or [b"chunked"] != [coding.lower() for coding in codings]:
            raise Malformed("Transfer-Encoding")
        return -1
    if not lengths:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > _LENGTH_MOST:
        raise Malformed("Content-Length")
    return int(lengths[0])


def _body(data: bytes, framing: int) -> tuple[bytes, bytes] | None:
    if framing < 0:
        return _chunks(data)
    return (data[:framing], data[framing:]) if len(data) >= framing else None


def _chunks(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line, end, data = data.partition(b"\r\n")
        match = _CHUNK.fullmatch(line)
        if not end:
            return None
        if match is None:
            raise Malformed("chunk")
        size = int(match[1], 16)
        if size == 0:
            rest = _trailers(data)
            return None if rest is None else (body, rest)
        body += data[:size]
        if not b"\r\n".startswith(data[size : size + 2]):
            raise Malformed("end of a chunk")
        if len(data) < size + 2:
            return None
        data = data[size + 2 :]


def _trailers(data: bytes) -> bytes | None:
    """What is left behind the trailers."""
    lines = []
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            return None
        if not line:
            break
        lines.append(line)
    if _NOT_IN_TRAILERS & {name.lower() for name, _ in _fields(lines)}:
        raise Malformed("trailer")
    return data
