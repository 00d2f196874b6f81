"""HTTP/1.1: the same is parsed however the bytes are cut; heads and chunks as bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.gateway.transport.http1 import LAST_CHUNK, RequestParser, ResponseParser, chunk, has_field, head_bytes

from .cutting import cut
from .parsing import ANSWER, CHUNKED, REQUEST, parsed

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
    cuts = choice.draw(st.lists(st.integers(0, len(data)), max_size=10))
    assert parsed(kind, data) == parsed(kind, *cut(data, cuts))


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
