"""Limits of what a caller may send beside a body: they hold however the bytes are cut."""

import pytest

from proxy.errors import HeadTooLargeError, RequestError
from proxy.gateway.transport.http1 import RequestParser

from .cutting import cut, pieces
from .parsing import CHUNKED, LIMIT, REQUEST, Seen, both_ways, parsed


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
    seen = Seen()
    parser = RequestParser(seen, limit=LIMIT, count=10**6)
    fed = 0
    try:
        for piece in pieces(data, size):
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
        assert expected is parsed(RequestParser, *cut(data, cuts))[1]


def test_many_small_chunks():
    """They bring something: there may be any number of them."""
    data = REQUEST + CHUNKED + b"1\r\na\r\n" * LIMIT + b"0\r\n\r\n"
    told, refusal = both_ways(RequestParser, data)
    assert ([b"a" * LIMIT, "end"], None) == (told[1:], refusal)
