"""HTTP/1.1 parsed: limits that hold however the bytes are cut, each refusal, and heads and chunks as bytes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import (
    BadTargetError,
    HeadTooLargeError,
    MethodNotImplementedError,
    RequestError,
    UpstreamProtocolError,
)
from proxy.gateway.transport.http1 import LAST_CHUNK, RequestParser, ResponseParser, chunk, has_field, head_bytes

LIMIT, COUNT = 400, 10
REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Seen:
    """Takes what a parser tells."""

    def __init__(self):
        self.received = 0
        self.told = []

    def head_received(self, head):
        self.told.append(head)

    def body_received(self, data):
        self.received += len(data)
        if isinstance(self.told[-1], bytes):
            self.told[-1] += data
        else:
            self.told.append(data)

    def message_ended(self):
        self.told.append("end")


def parsed(kind, *parts, limit=LIMIT, count=COUNT):
    """Give what is told of bytes that come in `parts`, and the type of the refusal, None without."""
    seen = Seen()
    parser = kind(seen, limit=limit, count=count)
    try:
        for part in parts:
            parser.feed(part)
    except RequestError as error:
        return seen.told, type(error)
    return seen.told, None


def singly(data):
    return [data[place : place + 1] for place in range(len(data))]


def both_ways(kind, data, **more):
    """Give what is told of bytes in one piece, having seen that it is the same of single bytes."""
    result = parsed(kind, data, **more)
    if result[1] is None:
        assert result == parsed(kind, *singly(data), **more)
    else:
        assert parsed(kind, *singly(data), **more)[1] is not None
    return result


# Requests.


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


# What brings no body ends by the limit.


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"", b"\r\n"),
        (b"GET /", b"x"),
        (b"GET / HTTP/1.1\r\nHost: ", b"x"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X: 1\r\n"),
        (REQUEST + CHUNKED, b"0"),
        (REQUEST + CHUNKED + b"1;", b"x"),
        (REQUEST + CHUNKED + b"1\r\na\r\n1;", b"x"),
        (REQUEST + CHUNKED + b"0\r\n", b"X: 1\r\n"),
        (REQUEST + CHUNKED + b"0\r\nX: ", b"x"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, LIMIT, 3 * LIMIT])
def test_bytes_that_bring_nothing(begin, more, size):
    """They are refused once they are more than the limit, in pieces of any size."""
    data = begin + more * (20 * LIMIT // len(more))
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    seen = Seen()
    parser = RequestParser(seen, limit=LIMIT, count=10**6)
    fed = 0
    try:
        for piece in pieces:
            fed += len(piece)
            parser.feed(piece)
    except RequestError:
        pass
    else:
        pytest.fail("nothing was refused")
    assert fed <= len(begin) + LIMIT + 2 * size  # the piece that `begin` ends in brought something


@pytest.mark.parametrize("cuts", [[], [30], [30, 60, 90]])
def test_head_as_long_as_may_be(cuts):
    """It passes, and one byte more does not, wherever it is cut."""
    for spare, expected in ((0, None), (1, HeadTooLargeError)):
        fixed = len("/") + 2 * 4 + len("HosthX")
        data = b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * (LIMIT - fixed + spare) + b"\r\n\r\n"
        bounds = [0, *cuts, len(data)]
        parts = [data[a:b] for a, b in itertools.pairwise(bounds)]
        assert expected is parsed(RequestParser, *parts)[1]


def test_many_small_chunks():
    """They bring something: there may be any number of them."""
    data = REQUEST + CHUNKED + b"1\r\na\r\n" * LIMIT + b"0\r\n\r\n"
    told, refusal = both_ways(RequestParser, data)
    assert ([b"a" * LIMIT, "end"], None) == (told[1:], refusal)


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
    for parts in ([data], singly(data)):
        parser = RequestParser(Seen(), limit=LIMIT, count=COUNT)
        for part in parts:
            parser.feed(part)
        assert expected is parser.fresh


# Answers.


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        ((200, "OK", 2, True, True, b"ab"), ANSWER + b"Content-Length: 2\r\n\r\nab"),
        ((200, "", 0, True, True, b""), b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
        ((200, "OK", None, True, True, b"ab"), ANSWER + CHUNKED + b"2\r\nab\r\n0\r\nX: 1\r\n\r\n"),
        ((204, "No", None, True, True, b""), b"HTTP/1.1 204 No\r\n\r\n"),
        ((304, "No", 9, True, True, b""), b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n"),
        ((200, "OK", 2, True, False, b"ab"), ANSWER + b"Connection: close\r\nContent-Length: 2\r\n\r\nab"),
        ((200, "caf\xe9", 2, True, False, b"ab"), b"HTTP/1.0 200 caf\xe9\r\nContent-Length: 2\r\n\r\nab"),
        (
            (200, "OK", 2, True, True, b"ab"),
            b"HTTP/1.1 100 C\r\nX: 1\r\n\r\n" + ANSWER + b"Content-Length: 2\r\n\r\nab",
        ),
        ((200, "OK", 0, True, True, b""), b"HTTP/1.1 103 E\r\n\r\n" * 16 + ANSWER + b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_answer(expected, data):
    """Its head says how its end can be told; interim answers are left out."""
    told, refusal = both_ways(ResponseParser, data)
    head = told[0]
    body = b"".join(part for part in told if isinstance(part, bytes))
    assert None is refusal
    assert "end" == told[-1]
    assert 1 == told.count("end")
    assert expected == (head.status, head.reason, head.length, head.delimited, head.keep_alive, body)
    assert not [name for name, _ in head.headers if name == "X"]


def test_answer_that_ends_with_its_connection():
    """It says so."""
    (head, body), _ = both_ways(ResponseParser, ANSWER + b"\r\nab")
    assert (False, False, b"ab") == (head.delimited, head.keep_alive, body)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 100 C\r\n\r\n" * 17,
        b"HTTP/1.1 103 E\r\nX: " + b"x" * LIMIT + b"\r\n\r\n",
        b"HTTP/1.1 103 E\r\n" + b"X: 1\r\n" * (COUNT + 1) + b"\r\n",
        ANSWER + b"X: 1\r\n" * (COUNT + 1) + b"\r\n",
        ANSWER + b"X: " + b"x" * LIMIT + b"\r\n\r\n",
        ANSWER + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        ANSWER + b"Transfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n" + CHUNKED,
        ANSWER + b"Content-Length: 1\r\n" + CHUNKED,
        ANSWER + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ANSWER + b"X: a\r\n b\r\n\r\n",
        ANSWER + b"X: a\x00\r\n\r\n",
        ANSWER + b"X: a\n\n",
        ANSWER + CHUNKED + b"g\r\n",
        ANSWER + CHUNKED + b"1;" + b"x" * 3 * LIMIT,
        ANSWER + CHUNKED + b"0\r\nX: " + b"x" * 3 * LIMIT,
        b"220 smtp ready\r\n",
        b"<html>",
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])
def test_answer_that_is_refused(data, size):
    """It is no HTTP that can be passed on, or has no end."""
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    if size == 10**6:
        pieces.append(b"x" * 2 * LIMIT)  # what is over the limit in one piece is found by the next
    told, refusal = parsed(ResponseParser, *pieces)
    assert UpstreamProtocolError is refusal
    assert "end" not in told


VALID = [
    REQUEST + CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: 1\r\n\r\n" + b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: h\r\nX: caf\xe9\r\n\r\n" * 3,
    REQUEST + b"Content-Length: 5\r\n\r\nhello" + REQUEST + b"\r\n",
]
ANSWERS = [
    b"HTTP/1.1 100 C\r\n\r\n" + ANSWER + CHUNKED + b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n",
    b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" * 3 + ANSWER + b"Content-Length: 5\r\n\r\nhello",
    ANSWER + b"\r\nuntil the end",
]


@pytest.mark.parametrize(
    ("kind", "data"), [*((RequestParser, data) for data in VALID), *((ResponseParser, data) for data in ANSWERS)]
)
@settings(max_examples=50, deadline=None)
@given(choice=st.data())
def test_bytes_cut_anywhere(kind, data, choice):
    """The same is told."""
    cuts = sorted(choice.draw(st.lists(st.integers(0, len(data)), max_size=10)))
    bounds = [0, *cuts, len(data)]
    parts = [data[a:b] for a, b in itertools.pairwise(bounds) if a < b]
    assert parsed(kind, data) == parsed(kind, *parts)


# What goes out.


def test_bytes_of_a_head():
    """They are the texts as Latin-1."""
    expected = b"GET /caf\xe9 HTTP/1.1\r\nA: caf\xe9\r\nb: \r\nA: 2\r\n\r\n"
    assert expected == head_bytes("GET /caf\xe9 HTTP/1.1", [("A", "caf\xe9"), ("b", ""), ("A", "2")])
    assert b"HTTP/1.1 204 \r\n\r\n" == head_bytes("HTTP/1.1 204 ", [])


@pytest.mark.parametrize(
    ("expected", "data"), [(b"1\r\na\r\n", b"a"), (b"10\r\n0123456789abcdef\r\n", b"0123456789abcdef")]
)
def test_chunk(expected, data):
    """Its length is in hexadecimal digits."""
    assert expected == chunk(data)
    assert b"0\r\n\r\n" == LAST_CHUNK


def test_field_by_name():
    """Letter case is ignored."""
    assert has_field([("A", "1"), ("UPgrade", "x")], "upgrade")
    assert not has_field([("Upgrades", "x")], "upgrade")
