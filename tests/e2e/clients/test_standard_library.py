"""Python's own clients: http.client, urllib, and callers on bare sockets that close their side early."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.e2e.clients.conftest import HOST, Site
from tests.e2e.clients.nginx import BLOB, TEXT
from tests.e2e.clients.programs import WITHIN

DIGEST = sha256(BLOB).hexdigest().encode()
FRESH_AND_EXPIRED = pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])


@pytest.fixture
def connection(site: Site) -> Iterator[http.client.HTTPConnection]:
    """A connection of http.client, which it does not open anew by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", site.gateway.proxy.port, timeout=WITHIN)
    connection.connect()
    connection.auto_open = 0
    yield connection
    connection.close()


def call(connection: http.client.HTTPConnection, *arguments: object, **more: object) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection.request(*arguments, **more)  # type: ignore[arg-type]
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_http_client_on_one_connection(site: Site, connection: http.client.HTTPConnection) -> None:
    """One connection serves all that http.client asks for, across an expiry."""
    answers = [call(connection, "GET", "/t/files/text.txt"), call(connection, "HEAD", "/t/files/blob.bin")]
    site.grant.expire()
    answers += [
        call(connection, "POST", "/t/cgi/digest", BLOB),
        call(connection, "POST", "/t/cgi/digest", iter([BLOB[:1], BLOB[1:]]), encode_chunked=True),
        call(connection, "GET", "/t/nothing"),
        call(connection, "GET", "/t/files/blob.bin"),
    ]
    assert [(200, TEXT), (200, b"")] == answers[:2]
    assert [(200, DIGEST), (200, DIGEST)] == [(status, body.split()[0]) for status, body in answers[2:4]]
    assert 404 == answers[4][0]
    assert (200, BLOB) == answers[5]
    assert 1 == site.grant.exchanges


@FRESH_AND_EXPIRED
def test_urllib(site: Site, expired: bool) -> None:
    """urllib, which asks for the connection to be closed, gets all and sends all."""
    if expired:
        site.grant.expire()
    with urllib.request.urlopen(f"{site.url}/files/blob.bin", timeout=WITHIN) as answer:
        assert BLOB == answer.read()
    with urllib.request.urlopen(f"{site.url}/cgi/digest", BLOB, timeout=WITHIN) as answer:
        assert DIGEST == answer.read().split()[0]
    assert int(expired) == site.grant.exchanges


def test_urllib_with_a_refusal(site: Site) -> None:
    """A refusal of the server is an exception of urllib, with the server's words in it."""
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(f"{site.url}/forbidden/", timeout=WITHIN)
    with caught.value as error:
        assert b"403 Forbidden" in error.read()


def test_urllib_with_a_forward_proxy(site: Site) -> None:
    """Named as the proxy for http, it takes the request target in absolute form."""
    site.grant.expire()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": site.proxy_url}))
    with opener.open(f"http://{HOST}/files/text.txt", timeout=WITHIN) as answer:
        assert TEXT == answer.read()


def half_closing(site: Site, request: bytes) -> tuple[bytes, bytes]:
    """Send, close our side at once, and give head and body of what comes until the other side closes."""
    host = b"Host: 127.0.0.1:%d\r\n" % site.gateway.proxy.port
    with socket.create_connection(("127.0.0.1", site.gateway.proxy.port), WITHIN) as caller:
        caller.sendall(request.replace(b"Host\r\n", host))
        caller.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: caller.recv(1 << 16), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], body


@FRESH_AND_EXPIRED
@pytest.mark.parametrize("version", [b"1.0", b"1.1"], ids=["HTTP/1.0", "HTTP/1.1"])
def test_half_closing_caller(site: Site, version: bytes, expired: bool) -> None:
    """Who closes its side right after the request, as netcat does at the end of its input, gets the whole answer."""
    if expired:
        site.grant.expire()
    line, body = half_closing(site, b"GET /t/files/blob.bin HTTP/%b\r\nHost\r\n\r\n" % version)
    assert (b" 200 ", BLOB) == (line[8:13], body)
    assert int(expired) == site.grant.exchanges


@FRESH_AND_EXPIRED
def test_half_closing_caller_with_a_body(site: Site, expired: bool) -> None:
    """The same after a body, which arrives whole."""
    if expired:
        site.grant.expire()
    head = b"POST /t/cgi/digest HTTP/1.1\r\nHost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BLOB)
    line, body = half_closing(site, head + BLOB)
    assert b" 200 " == line[8:13]
    assert DIGEST in body


def test_half_closing_caller_in_a_body(site: Site) -> None:
    """Who closes its side in the middle of a body gets no success."""
    line, _ = half_closing(site, b"POST /t/cgi/digest HTTP/1.1\r\nHost\r\nContent-Length: 1000\r\n\r\nabc")
    assert line[8:13] != b" 200 "


def test_half_closing_caller_after_two_requests(site: Site) -> None:
    """Both of two requests sent at once are answered, in order."""
    request = b"GET /t/files/%b HTTP/1.1\r\nHost\r\n\r\n"
    line, body = half_closing(site, request % b"small.json" + request % b"empty.txt")
    first, _, second = body.partition(b"HTTP/1.1 200 ")
    assert (b" 200 ", b'{"a": 1}') == (line[8:13], first)
    assert b"GET /files/empty.txt" in second
