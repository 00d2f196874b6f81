"""Answers parsed: how their ends can be told, and each refusal of what cannot be passed on."""

import pytest

from proxy.errors import UpstreamProtocolError
from proxy.gateway.transport.http1 import ResponseParser

from .cutting import pieces
from .parsing import ANSWER, CHUNKED, COUNT, LIMIT, both_ways, parsed


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
    more = [b"x" * 2 * LIMIT] if size == 10**6 else []  # what is over the limit in one piece is found by the next
    told, refusal = parsed(ResponseParser, *pieces(data, size), *more)
    assert UpstreamProtocolError is refusal
    assert "end" not in told
