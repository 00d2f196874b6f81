"""Chunked bodies in all shapes: sizes, extensions, ends of lines and trailers (RFC 9112 section 7.1)."""

from __future__ import annotations

from tests.e2e.smuggling.case import CHUNKED, NEXT, POSTED, SMUGGLED, Case, either, post, refused, served

_END = b"\r\nhello\r\n0\r\n\r\n"
_ENDLESS = 700_000  # bytes: more than is read at once, and a head besides
_SIZES = {
    "no digit": b"g",
    "empty": b"",
    "blank": b" ",
    "0x": b"0x5",
    "minus": b"-5",
    "minus one": b"-1",
    "plus": b"+5",
    "space before": b" 5",
    "tab before": b"\t5",
    "vertical tab before": b"\x0b5",
    "vertical tab behind": b"5\x0b",
    "NUL behind": b"5\x00",
    "digit and letter": b"5g",
    "underscore": b"0_5",
    "h": b"5h",
    "decimal point": b"5.0",
    "comma": b"5,5",
    "two sizes": b"5 5",
    "full-width digit": "\uff15".encode(),
    "above 64 bits": b"10000000000000005",
    "17 digits": b"0000f000000000000005",
    "huge": b"f" * 40,
    "quoted": b'"5"',
    "bare CR behind": b"5\r",
    "bare CR before": b"\r5",
    "empty line before": b"\r\n5",
}
_BODIES = {
    "no CRLF behind the data": b"5\r\nhello0\r\n\r\n",
    "data longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "data much longer than its size": b"5\r\nhello, hello\r\n0\r\n\r\n",
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "LF everywhere": b"5\nhello\n0\n\n",
    "CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "CR behind the data": b"5\r\nhello\r0\r\n\r\n",
    "CRCRLF behind the size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "space behind the data": b"5\r\nhello \r\n0\r\n\r\n",
    "two bytes for CRLF": b"5\r\nhelloxx0\r\n\r\n",
    "LF behind the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "LF twice at the end": b"5\r\nhello\r\n0\n\n",
    "CR at the end": b"5\r\nhello\r\n0\r\n\r",
    "no empty line at the end": b"5\r\nhello\r\n0\r\n",
    "nothing behind the last size": b"5\r\nhello\r\n0",
    "extension with LF": b"5;a\nhello\r\n0\r\n\r\n",
    "extension with LF and a line": b"5;\nxx\r\nhello\r\n0\r\n\r\n",
    "extension with CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension with NUL": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "extension with CRLF in quotes": b'5;a="\r\nhello"\r\n0\r\n\r\n',
    "extension of the last chunk with LF": b"5\r\nhello\r\n0;a\n\r\n",
}
_EXTENSIONS = {
    "extension": b"5;a=b",
    "extension without a value": b"5;a",
    "extensions": b"5;a=b;c;d=e",
    "extension, quoted": b'5;a="b c"',
}
_ODD_EXTENSIONS = {
    "space behind": b"5 ",
    "tab behind": b"5\t",
    "leading zeros": b"005",
    "many leading zeros": b"0000000000000005",
    "semicolon": b"5;",
    "extension, quoted quote": b'5;a="b\\"c"',
    "extension, semicolon in quotes": b'5;a="b;c"',
    "extension, spaces": b"5 ; a = b",
    "extension, quotes left open": b'5;a="b',
    "extension, no name": b"5;=b",
    "extension, long": b"5;a=" + b"x" * 5000,
}
_TRAILERS = {
    "Content-Length": b"Content-Length: 5",
    "Transfer-Encoding": CHUNKED,
    "Host": b"Host: elsewhere",
    "Authorization": b"Authorization: Bearer stolen",
    "Connection": b"Connection: keep-alive",
    "Content-Type": b"Content-Type: text/evil",
    "plain": b"X-Checksum: 1",
    "several": b"A: 1\r\nB: 2\r\nA: 3",
}
_BAD_TRAILERS = {
    "no colon": b"nothing",
    "empty name": b": a",
    "space before colon": b"X : a",
    "NUL": b"X: a\x00",
    "control in the name": b"X\x01: a",
    "folded": b"X: a\r\n b",
    "behind LF": b"X: a\nY: b",
    "behind CR": b"X: a\rY: b",
    "a request": SMUGGLED[:-4],
}


def _chunked(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


def _with_trailers(lines: bytes) -> bytes:
    return _chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n\r\n")


CASES: list[Case] = [
    *refused("chunk size", {name: _chunked(size + _END) for name, size in _SIZES.items()}, begun=True),
    *refused(
        "chunk size",
        {
            f"{name}, last": _chunked(b"5\r\nhello\r\n" + size + b"\r\n\r\n")
            for name, size in (("0x0", b"0x0"), ("minus 0", b"-0"), ("space before 0", b" 0"))
        },
        begun=True,
    ),
    *refused("chunks", {name: _chunked(body) for name, body in _BODIES.items()}, begun=True),
    *served("chunks", {name: _chunked(line + _END) for name, line in _EXTENSIONS.items()}, POSTED, NEXT),
    *either(
        "chunks", {name: _chunked(line + _END) for name, line in _ODD_EXTENSIONS.items()}, POSTED, NEXT, begun=True
    ),
    *served("chunks", {"several zeros at the end": _chunked(b"5\r\nhello\r\n000\r\n\r\n")}, POSTED, NEXT),
    *served(
        "chunks",
        {"one byte each": _chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in b"hello") + b"0\r\n\r\n")},
        POSTED,
        NEXT,
    ),
    *served(
        "chunks", {"capital size": _chunked(b"A\r\nhellohello\r\n0\r\n\r\n")}, (b"POST", b"/attack", b"hello" * 2), NEXT
    ),
    *served(
        "chunks",
        {"a request in a chunk": _chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))},
        (b"POST", b"/attack", SMUGGLED),
        NEXT,
    ),
    *either("trailer", {name: _with_trailers(lines) for name, lines in _TRAILERS.items()}, POSTED, NEXT, begun=True),
    *refused("trailer", {name: _with_trailers(lines) for name, lines in _BAD_TRAILERS.items()}, begun=True),
    *either(
        "limit",
        {
            "a long extension": _chunked(b"5;a=" + b"x" * 90_000 + _END),
            "long extensions of many chunks": _chunked(
                b"".join(b"1;%s\r\n%c\r\n" % (b"x" * 20_000, byte) for byte in b"hello") + b"0\r\n\r\n"
            ),
            "a long trailer": _with_trailers(b"X: " + b"x" * 90_000),
            "many trailers": _with_trailers(b"\r\n".join([b"X: a"] * 5000)),
        },
        POSTED,
        NEXT,
        begun=True,
    ),
    *refused(
        "limit",
        {
            "an extension without end": post(CHUNKED, body=b"5;a=" + b"x" * _ENDLESS, then=b""),
            "a trailer without end": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nX: " + b"x" * _ENDLESS, then=b""),
            "trailers without end": post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + b"X: aaaaaaaa\r\n" * 50_000, then=b""),
        },
        begun=True,
    ),
    # What only waits is ended by client_body_timeout.
    *refused("chunks", {"no last one": post(CHUNKED, body=b"5\r\nhello\r\n", then=b"")}, begun=True),
    *refused("chunks", {"cut in the size": post(CHUNKED, body=b"5", then=b"")}, begun=True),
]
