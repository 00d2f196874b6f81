"""Requests parsed: what each part of them is, and each refusal of what another server might read in another way."""

import pytest

from proxy.errors import BadTargetError, HeadTooLargeError, MethodNotImplementedError
from proxy.gateway.transport.http1 import RequestParser

from .cutting import pieces
from .parsing import CHUNKED, COUNT, LIMIT, REQUEST, Seen, both_ways


def test_request():
    """Its parts are its bytes as Latin-1, its fields in order with repeats."""
    data = b"PUT /caf%E9?a HTTP/1.1\r\nhOST: h:1\r\nX: \t caf\xe9 \t\r\nx:\r\nContent-Length: 2\r\n\r\nab"
    (head, body, end), refusal = both_ways(RequestParser, data)
    assert refusal is None
    assert ("PUT", "/caf%E9?a", "1.1", "h:1") == (head.method, head.target, head.version, head.host)
    assert [("hOST", "h:1"), ("X", "caf\xe9"), ("x", ""), ("Content-Length", "2")] == [*head.headers]
    assert (2, True, True, b"ab", "end") == (head.length, head.has_body, head.keep_alive, body, end)


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        (BadTargetError, b"GET / HTTP/1.1\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n"),
        (BadTargetError, b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
        (BadTargetError, b"GET /\r\n\r\n"),
        (BadTargetError, b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (BadTargetError, REQUEST + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
        (BadTargetError, REQUEST + b"Transfer-Encoding: gzip\r\n\r\n"),
        (BadTargetError, REQUEST + b"Transfer-Encoding: identity\r\n\r\n"),
        (BadTargetError, REQUEST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (BadTargetError, REQUEST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (BadTargetError, b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED),
        (BadTargetError, REQUEST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length: 1, 1\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length: +1\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length: -1\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length: 0x1\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length:\r\n\r\n"),
        (BadTargetError, REQUEST + b"Content-Length: 99999999999999999999\r\n\r\n"),
        (BadTargetError, REQUEST + b"X : 1\r\n\r\n"),
        (BadTargetError, REQUEST + b"X\r\n\r\n"),
        (BadTargetError, REQUEST + b"X: a\x00b\r\n\r\n"),
        (BadTargetError, REQUEST + b"X: a\rb\r\n\r\n"),
        (BadTargetError, REQUEST + b"X: a\r\n b\r\n\r\n"),
        (BadTargetError, b"GET / HTTP/1.1\nHost: a\n\n"),
        (BadTargetError, REQUEST + b"X: a\n\r\n"),
        (BadTargetError, REQUEST + CHUNKED + b"g\r\n"),
        (BadTargetError, REQUEST + CHUNKED + b"0x1\r\n"),
        (BadTargetError, REQUEST + CHUNKED + b"-1\r\n"),
        (BadTargetError, REQUEST + CHUNKED + b"1\r\nab\r\n"),
        (BadTargetError, REQUEST + CHUNKED + b"1\na\n0\n\n"),
        (BadTargetError, REQUEST + CHUNKED + b"fffffffffffffffff\r\n"),
        (BadTargetError, b"\x16\x03\x01\x02\x00"),
        (MethodNotImplementedError, b"FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (HeadTooLargeError, REQUEST + b"X: 1\r\n" * COUNT + b"\r\n"),
    ],
)
def test_request_that_is_refused(expected, data):
    """What another server might read in another way is not read at all."""
    told, refusal = both_ways(RequestParser, data)
    assert expected is refusal
    assert "end" not in told


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        ("", b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        ("", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n"),
        ("x", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\n"),
        ("", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nab"),
    ],
)
def test_upgrade(expected, data):
    """It is asked for in HTTP/1.1, by both fields, and without a body."""
    told, refusal = both_ways(RequestParser, data)
    assert (expected, None, "end") == (told[0].upgrade, refusal, told[-1])


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\nab", CHUNKED + b"2\r\nab\r\n0\r\n\r\n"])
def test_upgrade_with_a_body(framing):
    """The body is one all the same, and so is what follows it."""
    data = REQUEST + b"Connection: upgrade\r\nUpgrade: x\r\n" + framing
    told, refusal = both_ways(RequestParser, data * 2)
    assert None is refusal
    assert [b"ab", "end", b"ab", "end"] == told[1:3] + told[4:]


def test_bytes_after_an_upgrade():
    """They are kept back, for whoever decides what they are."""
    parser = RequestParser(Seen(), limit=LIMIT, count=COUNT)
    parser.feed(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly")
    assert (b"early", b"") == (parser.rest(), parser.rest())


def test_trailer():
    """It is dropped: nothing of it gets into a head."""
    data = REQUEST + CHUNKED + b"0\r\nHost: evil\r\nX: 1\r\n\r\n"
    told, refusal = both_ways(RequestParser, data * 2)
    assert None is refusal
    assert [[("Host", "h"), ("Transfer-Encoding", "chunked")]] * 2 == [[*told[0].headers], [*told[2].headers]]


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        (True, b""),
        (False, b"G"),
        (False, b"\r\n"),
        (False, REQUEST),
        (False, REQUEST + b"Content-Length: 1\r\n\r\n"),
        (True, REQUEST + b"\r\n"),
        (False, REQUEST + b"\r\nG"),
        (False, REQUEST + b"\r\n" + REQUEST),
        (False, REQUEST + b"Content-Length: 1\r\n\r\naG"),
    ],
)
def test_fresh(expected, data):
    """A parser that has a part of a request is not, whatever came before it in the same piece."""
    for parts in ([data], pieces(data, 1)):
        parser = RequestParser(Seen(), limit=LIMIT, count=COUNT)
        for part in parts:
            parser.feed(part)
        assert expected is parser.fresh
