"""More than one request on a connection, and what a head says about the connection: Connection, Expect, Upgrade."""

from __future__ import annotations

from tests.e2e.smuggling.case import (
    CHUNKED,
    CHUNKS,
    GOT,
    HELLO,
    NEXT,
    POSTED,
    SMUGGLED,
    Case,
    Meant,
    either,
    get,
    post,
    refused,
    served,
)

_FIRST: Meant = (b"GET", b"/first", b"")
_GET_FIRST = get(line=b"GET /t/first HTTP/1.1", then=b"")
_POST_FIRST = b"POST /t/first HTTP/1.1\r\nHost: localhost\r\n"
_FIVE = b"Content-Length: 5"
_OFFER = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
_SOCKET = [
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
]
_FAULTS = {
    "two lengths": post(_FIVE, b"Content-Length: 6"),
    "both framings": post(_FIVE, CHUNKED),
    "space before colon": post(b"Content-Length : 5"),
    "folded": get(b"X: a\r\n b"),
    "two Hosts": get(b"Host: elsewhere"),
    "bad version": get(line=b"GET /t/attack HTTP/2.0"),
    "rubbish": b"\x00\x01\x02\r\n\r\n" + SMUGGLED,
}

CASES: list[Case] = [
    *served(
        "pipeline",
        {"three": _GET_FIRST + get()},
        _FIRST,
        GOT,
        NEXT,
    ),
    *served("pipeline", {"bodies": post(_FIVE, then=post(CHUNKED, body=CHUNKS))}, POSTED, POSTED, NEXT),
    *served(
        "pipeline",
        {"a request for a body": post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED)},
        (b"POST", b"/attack", SMUGGLED),
        NEXT,
    ),
    *either("pipeline", {"CRLF behind a body": post(_FIVE, body=HELLO + b"\r\n")}, POSTED, NEXT),
    *(Case(f"pipeline: sound, then {name}", _GET_FIRST + raw, meant=(_FIRST,)) for name, raw in _FAULTS.items()),
    *(
        Case(
            f"pipeline: a body, then {name}",
            _POST_FIRST + _FIVE + b"\r\n\r\n" + HELLO + raw,
            meant=((b"POST", b"/first", HELLO),),
        )
        for name, raw in _FAULTS.items()
    ),
    Case(
        "pipeline: a body, then broken chunks",
        post(_FIVE, then=post(CHUNKED, body=b"zz\r\nhello\r\n0\r\n\r\n")),
        meant=(POSTED,),
        begun=True,
    ),
    *served(
        "Connection",
        {
            "Content-Length": post(_FIVE, b"Connection: Content-Length"),
            "Content-Length, before it": post(b"Connection: keep-alive, content-length", _FIVE),
            "Transfer-Encoding": post(CHUNKED, b"Connection: Transfer-Encoding", body=CHUNKS),
            "Host": post(_FIVE, b"Connection: host"),
            "Authorization": post(_FIVE, b"Connection: authorization, via, connection"),
            "empty": post(_FIVE, b"Connection:"),
        },
        POSTED,
        NEXT,
    ),
    *either(
        "Connection",
        {
            "odd": post(_FIVE, b'Connection: ,, ;, "close, ="'),
            "Proxy-Connection says close": post(_FIVE, b"Proxy-Connection: close"),
        },
        POSTED,
        NEXT,
    ),
    *served(
        "Connection",
        {
            "close": post(_FIVE, b"Connection: close"),
            "CLOSE": post(_FIVE, b"Connection: CLOSE"),
            "close in a list": post(_FIVE, b"Connection: x, close"),
            "close in a second field": post(_FIVE, b"Connection: x", b"Connection: close"),
            "close, chunked": post(CHUNKED, b"Connection: close", body=CHUNKS),
        },
        POSTED,
    ),
    *either("Connection", {"close and keep-alive": post(_FIVE, b"Connection: close, keep-alive")}, POSTED),
    *served(
        "Expect",
        {
            "100-continue": post(_FIVE, b"Expect: 100-continue"),
            "other case": post(_FIVE, b"Expect: 100-Continue"),
            "chunked": post(CHUNKED, b"Expect: 100-continue", body=CHUNKS),
        },
        POSTED,
        NEXT,
    ),
    *served("Expect", {"without a body": get(b"Expect: 100-continue")}, GOT, NEXT),
    *either(
        "Expect",
        {
            "unknown": post(_FIVE, b"Expect: 200-ok"),
            "list": post(_FIVE, b"Expect: 100-continue, x"),
            "twice": post(_FIVE, b"Expect: 100-continue", b"Expect: 100-continue"),
            "empty": post(_FIVE, b"Expect:"),
        },
        POSTED,
        NEXT,
    ),
    *either("Expect", {"in HTTP/1.0": post(_FIVE, b"Expect: 100-continue", version=b"HTTP/1.0")}, POSTED),
    *refused("Expect", {"with both framings": post(_FIVE, CHUNKED, b"Expect: 100-continue")}),
    *refused(
        "Expect",
        {"with broken chunks": post(CHUNKED, b"Expect: 100-continue", body=b"x\r\nhello\r\n0\r\n\r\n")},
        begun=True,
    ),
    *either("Upgrade", {"h2c": get(*_OFFER), "h2c, not named by Connection": get(b"Upgrade: h2c")}, GOT, NEXT),
    *either("Upgrade", {"h2c with a body": post(_FIVE, *_OFFER)}, POSTED, NEXT),
    *either("Upgrade", {"h2c with chunks": post(CHUNKED, *_OFFER, body=CHUNKS)}, POSTED, NEXT),
    *either(
        "Upgrade",
        {"websocket": get(*_SOCKET), "websocket, wrong version": get(*_SOCKET[:2], b"Sec-WebSocket-Version: 1")},
        GOT,
        NEXT,
    ),
    *either("Upgrade", {"websocket with a body": post(_FIVE, *_SOCKET)}, POSTED, NEXT),
    *either("Upgrade", {"TLS": get(b"Connection: Upgrade", b"Upgrade: TLS/1.2")}, GOT, NEXT),
    *either("Upgrade", {"in HTTP/1.0": get(*_OFFER, line=b"GET /t/attack HTTP/1.0")}, GOT),
]
