"""Hostile answers, as data: what an upstream sends, and what may come of it (RFC 9112 sections 4 to 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.smuggling.case import Verdict
from tests.e2e.smuggling.recorder import Do, Steps

# An answer that nobody asked for, and nobody may get.
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
_OK = b"HTTP/1.1 200 OK\r\n"
_HELLO = b"Content-Length: 5\r\n\r\nhello"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Hostile:
    """An answer to `method`. Where it passes at all, the caller gets `status` and `body`."""

    name: str
    steps: Steps
    verdict: Verdict
    status: int = 200
    body: bytes = b"hello"
    method: bytes = b"GET"


def _of(verdict: Verdict, kind: str, table: Mapping[str, bytes]) -> list[Hostile]:
    return [Hostile(f"{kind}: {name}", [raw, Do.CLOSE], verdict) for name, raw in table.items()]


_LENGTHS = {
    "plus": b"+5",
    "minus": b"-5",
    "hexadecimal": b"0x5",
    "list with another": b"5, 6",
    "two numbers": b"5 5",
    "empty": b"",
    "parameter": b"5;",
    "vertical tab": b"\x0b5",
    "above 64 bits": b"18446744073709551621",
    "far above 64 bits": b"9" * 400,
}
_CODINGS = {
    "unknown": b"xchunked",
    "identity": b"identity",
    "gzip": b"gzip",
    "gzip first": b"gzip, chunked",
    "gzip last": b"chunked, gzip",
    "twice": b"chunked, chunked",
    "parameter": b"chunked;q=1",
    "vertical tab": b"\x0bchunked",
    "empty": b"",
}
_HEADS = {
    "two lengths": b"Content-Length: 6\r\n",
    "longer length first": b"Content-Length: 50\r\n",
    "NUL in a value": b"X: a\x00b\r\n",
    "NUL in a name": b"X\x00: a\r\n",
    "control in a value": b"X: a\x01b\r\n",
    "control in a name": b"X\x01: a\r\n",
    "CR in a value": b"X: a\rSet-Cookie: poison=1\r\n",
    "LF in a value": b"X: a\nSet-Cookie: poison=1\r\n",
    "no colon": b"nothing\r\n",
    "empty name": b": a\r\n",
    "space in a name": b"X Y: a\r\n",
    "too many fields": b"X: a\r\n" * 1000,
    "a field longer than any head": b"X: " + b"a" * 90_000 + b"\r\n",
    "fields longer than any head": (b"X: " + b"a" * 2000 + b"\r\n") * 90,
}
_FORGIVEN_HEADS = {
    "the same length twice": b"Content-Length: 5\r\n",
    "space before colon": b"X : a\r\n",
    "folded": b"X: a\r\n b\r\n",
}
_LINES = {
    "HTTP/2": b"HTTP/2.0 200 OK\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n",
    "two digits": b"HTTP/1.1 20 OK\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\n",
    "plus": b"HTTP/1.1 +20 OK\r\n",
    "below 100": b"HTTP/1.1 099 OK\r\n",
    "letters": b"HTTP/1.1 2xx OK\r\n",
    "no status": b"HTTP/1.1 OK\r\n",
    "no version": b"200 OK\r\n",
    "lower case": b"http/1.1 200 OK\r\n",
    "other protocol": b"ICY 200 OK\r\n",
    "NUL before": b"\x00HTTP/1.1 200 OK\r\n",
    "NUL in the reason": b"HTTP/1.1 200 O\x00K\r\n",
    "CR in the reason": b"HTTP/1.1 200 O\rK\r\n",
    "LF for its end": b"HTTP/1.1 200 OK\n",
    "space before": b" HTTP/1.1 200 OK\r\n",
    "no space behind the version": b"HTTP/1.1200 OK\r\n",
    "a request": b"GET / HTTP/1.1\r\n",
    "rubbish": b"\x16\x03\x03\x00\x02\x01\x00\r\n",
}
_FORGIVEN_LINES = {
    "two spaces": b"HTTP/1.1  200 OK\r\n",
    "no reason": b"HTTP/1.1 200\r\n",
    "1.0": b"HTTP/1.0 200 OK\r\n",
    "1.2": b"HTTP/1.2 200 OK\r\n",
    "letters beyond ASCII in the reason": b"HTTP/1.1 200 caf\xe9\r\n",
    "empty line before": b"\r\nHTTP/1.1 200 OK\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\n",
}
_CHUNKS = {
    "no digit": b"g\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "above 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "no CRLF behind the data": b"5\r\nhello0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "LF at the end": b"5\r\nhello\r\n0\n\n",
    "LF in an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "cut in the data": b"5\r\nhel",
    "cut behind the data": b"5\r\nhello\r\n",
    "cut behind the last size": b"5\r\nhello\r\n0\r\n",
    "trailer without a colon": b"5\r\nhello\r\n0\r\nnothing\r\n\r\n",
    "trailer with NUL": b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
}
_FORGIVEN_CHUNKS = {
    "extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "leading zeros": b"0005\r\nhello\r\n0\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nX: a\r\n\r\n",
    "trailer with a length": b"5\r\nhello\r\n0\r\nContent-Length: 0\r\n\r\n",
    "one byte each": b"".join(b"1\r\n%c\r\n" % byte for byte in b"hello") + b"0\r\n\r\n",
}
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
_BEHIND = {
    "a length": _OK + _HELLO,
    "chunks": _OK + _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "chunks and a trailer": _OK + _CHUNKED + b"5\r\nhello\r\n0\r\nX: a\r\n\r\n",
    "HTTP/1.0 and a length": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + _HELLO,
}

ANSWERS = [
    *_of(
        Verdict.REFUSED,
        "length",
        {name: _OK + b"Content-Length: " + raw + b"\r\n\r\nhello" for name, raw in _LENGTHS.items()},
    ),
    *_of(Verdict.EITHER, "length", {"the same twice in a list": _OK + b"Content-Length: 5, 5\r\n\r\nhello"}),
    *_of(Verdict.REFUSED, "length", {"behind LF": _OK + b"X: a\nContent-Length: 5\r\n\r\nhello"}),
    *_of(
        Verdict.REFUSED,
        "coding",
        {
            name: _OK + b"Transfer-Encoding: " + raw + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            for name, raw in _CODINGS.items()
        },
    ),
    *_of(
        Verdict.REFUSED,
        "coding",
        {
            "in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
            "in two fields": _OK + b"Transfer-Encoding: chunked\r\n" + _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
            "identity, then chunked": _OK + b"Transfer-Encoding: identity\r\n" + _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
            "chunked, then identity": _OK
            + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        },
    ),
    *_of(
        Verdict.EITHER,
        "coding",
        {
            "and a length": _OK + b"Content-Length: 5\r\n" + _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
            "and a shorter length": _OK + b"Content-Length: 1\r\n" + _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
            "and a length behind it": _OK
            + b"Transfer-Encoding: chunked\r\nContent-Length: 500\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        },
    ),
    *_of(Verdict.REFUSED, "head", {name: _OK + raw + _HELLO for name, raw in _HEADS.items()}),
    *_of(Verdict.EITHER, "head", {name: _OK + raw + _HELLO for name, raw in _FORGIVEN_HEADS.items()}),
    *_of(
        Verdict.REFUSED,
        "head",
        {"only LF": (_OK + _HELLO).replace(b"\r\n", b"\n"), "cut": _OK + b"X: a\r\n", "none": b""},
    ),
    *_of(Verdict.REFUSED, "line", {name: raw + _HELLO for name, raw in _LINES.items()}),
    *_of(Verdict.EITHER, "line", {name: raw + _HELLO for name, raw in _FORGIVEN_LINES.items()}),
    *_of(Verdict.REFUSED, "chunks", {name: _OK + _CHUNKED + raw for name, raw in _CHUNKS.items()}),
    *_of(Verdict.EITHER, "chunks", {name: _OK + _CHUNKED + raw for name, raw in _FORGIVEN_CHUNKS.items()}),
    *_of(Verdict.REFUSED, "cut", {"in a length": _OK + b"Content-Length: 50\r\n\r\nhello"}),
    *_of(Verdict.SERVED, "close", {"ends the body": _OK + b"\r\nhello"}),
    Hostile("cut: by a reset", [_OK + b"\r\nhello", Do.RESET], Verdict.REFUSED),
    Hostile("endless: a field", [_OK + b"X: ", b"a" * 10_000, Do.REPEAT], Verdict.REFUSED),
    Hostile("endless: fields", [_OK, b"X: a\r\n" * 2000, Do.REPEAT], Verdict.REFUSED),
    Hostile("endless: a reason", [b"HTTP/1.1 200 ", b"a" * 10_000, Do.REPEAT], Verdict.REFUSED),
    Hostile("endless: interim answers", [_INTERIM * 200, Do.REPEAT], Verdict.REFUSED),
    Hostile("endless: empty lines", [b"\r\n" * 5000, Do.REPEAT], Verdict.REFUSED),
    Hostile("endless: a chunk's extension", [_OK + _CHUNKED + b"5;", b"a" * 10_000, Do.REPEAT], Verdict.REFUSED),
    Hostile("endless: a trailer", [_OK + _CHUNKED + b"0\r\nX: ", b"a" * 10_000, Do.REPEAT], Verdict.REFUSED),
    Hostile("interim: one", [_INTERIM + _OK + _HELLO], Verdict.SERVED),
    Hostile("interim: 100, unasked", [b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + _HELLO], Verdict.SERVED),
    Hostile("interim: a thousand", [b"HTTP/1.1 102 Processing\r\n\r\n" * 1000 + _OK + _HELLO], Verdict.EITHER),
    Hostile("interim: with a body", [b"HTTP/1.1 103 Early Hints\r\n" + _HELLO + _OK + _HELLO], Verdict.REFUSED),
    Hostile(
        "interim: 101, unasked",
        [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + POISON],
        Verdict.REFUSED,
    ),
    *(Hostile(f"behind: {name}", [raw + POISON], Verdict.SERVED) for name, raw in _BEHIND.items()),
    *(Hostile(f"behind, later: {name}", [raw, POISON, Do.WATCH], Verdict.SERVED) for name, raw in _BEHIND.items()),
    Hostile("close: said, and not done", [_OK + b"Connection: close\r\n" + _HELLO, Do.WATCH], Verdict.SERVED),
    Hostile("close: HTTP/1.0", [b"HTTP/1.0 200 OK\r\n" + _HELLO, Do.WATCH], Verdict.SERVED),
    Hostile("behind, later: one byte", [_OK + _HELLO, b"\x00", Do.WATCH], Verdict.SERVED),
    Hostile("behind, later: CRLF and more", [_OK + _HELLO, b"\r\n" + POISON, Do.WATCH], Verdict.SERVED),
    Hostile("behind: an empty body", [_OK + b"Content-Length: 0\r\n\r\n" + POISON], Verdict.SERVED, body=b""),
    Hostile("behind: 204", [b"HTTP/1.1 204 No Content\r\n\r\n" + POISON], Verdict.SERVED, 204, b""),
    Hostile(
        "behind: 204 with a length",
        [b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison"],
        Verdict.EITHER,
        204,
        b"",
    ),
    Hostile(
        "behind: 204 with chunks",
        [b"HTTP/1.1 204 No Content\r\n" + _CHUNKED + b"6\r\npoison\r\n0\r\n\r\n"],
        Verdict.EITHER,
        204,
        b"",
    ),
    Hostile(
        "behind: 304 with a body",
        [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison"],
        Verdict.EITHER,
        304,
        b"",
    ),
    Hostile(
        "behind: 205 with a body",
        [b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" + POISON],
        Verdict.SERVED,
        205,
        b"",
    ),
    Hostile(
        "behind: HEAD with a body", [_OK + b"Content-Length: 6\r\n\r\npoison"], Verdict.SERVED, body=b"", method=b"HEAD"
    ),
    Hostile(
        "behind: HEAD with chunks",
        [_OK + _CHUNKED + b"6\r\npoison\r\n0\r\n\r\n"],
        Verdict.SERVED,
        body=b"",
        method=b"HEAD",
    ),
    Hostile(
        "behind: HEAD with a whole answer",
        [_OK + b"Content-Length: 6\r\n\r\n" + POISON],
        Verdict.SERVED,
        body=b"",
        method=b"HEAD",
    ),
    Hostile("behind: HEAD without a length", [_OK + b"\r\n" + POISON], Verdict.SERVED, body=b"", method=b"HEAD"),
]
HOSTILE = {answer.name: answer for answer in ANSWERS}
assert len(ANSWERS) == len(HOSTILE), "two answers have one name"
