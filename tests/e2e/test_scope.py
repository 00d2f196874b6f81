"""No request leaves its route's scope, and no request is taken for another (D3, D4, and how routes match)."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from tests.e2e.conftest import Answer, Gateway, Settings, port_of
from tests.support.processes import free_port
from tests.support.upstream import Upstream, chunk, reply

HOSTILE = [
    "/t/../x",
    "/t/..",
    "/t/.",
    "/t/./x",
    "/t/a/../../x",
    "/t/%2e%2e/x",
    "/t/%2E%2e",
    "/t/.%2e/x",
    "/t/%2e",
    "/t/..%2fx",
    "/t/a%2f..%2f..%2fx",
    "/t/..%5cx",
    "/t/..\\x",
    "/t/\\..\\x",
    "/t/..;/x",
    "/t/..;a=b/x",
    "/t/..%3b/x",
    "/t/%2e%2e%3Bx/y",
    "/t//../x",
    "/../t/x",
    "/t/..?a=b",
    "http://127.0.0.1/t/../x",
    "http://127.0.0.1/t/%2e%2e/x",
]
MALFORMED = ["t/x", "*", "", "/t/a b", "/t/a\tb", "/t/a#b", "ftp://127.0.0.1/t/x", "://x", "/t/a\x00b", "/t/a\x7fb"]
ELSEWHERE = ["/", "/x", "/tx", "/T/x", "/%74/x", "//t/x", "/;/t/x", "http://127.0.0.1/x", "/base%2ftoken"]
OAUTH = [
    "/t/token",
    "/t/token/",
    "/t/token?grant_type=refresh_token",
    "/t/TOKEN",
    "/t//token",
    "/t///token//",
    "/t/%74oken",
    "/t/token%2f",
    "/t/token;x=y",
    "/t/\\token",
    "/t/token/below",
    "/t/oauth",
    "/t/OAuth//Authorize/",
    "/t/oauth%2fauthorize?response_type=token",
    "/base",
    "/base//Authorize",
    "http://127.0.0.1/t/token",
]
UNCLEAR = [
    (b"Content-Length: 5", b"Content-Length: 6"),
    (b"Content-Length: 5, 6",),
    (b"Content-Length: +5",),
    (b"Content-Length: -5",),
    (b"Content-Length: 0x5",),
    (b"Content-Length: 5 5",),
    (b"Content-Length : 5",),
    (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    (b"Transfer-Encoding: xchunked",),
    (b"Transfer-Encoding: chunked, gzip",),
    (b"X-A: 1\r\n folded",),
    (b"X A: 1",),
    (b"X-A: a\x00b",),
    (b"no colon",),
    (b": empty",),
]
NOT_OURS = [
    b"GET /t/a HTTP/1.1\r\n\r\n",
    b"GET /t/a b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /t/a HTTP/1.1\r\nHost: a/b\r\n\r\n",
    b"GET /t/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /t/a HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"POST /t/a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /t/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n",
]


@pytest.fixture(scope="module")
def own_port() -> int:
    """The port of a route's own listener."""
    return free_port()


@pytest.fixture(scope="module")
def settings(listener: socket.socket, own_port: int) -> Settings:
    """Routes of every kind; /base is one whose base path lies among the OAuth endpoints."""
    url = f"http://127.0.0.1:{port_of(listener)}"
    routes: list[dict[str, Any]] = [
        {"prefix": "/orders", "upstream": f"{url}/api/v2/orgs/7/orders"},
        {"prefix": "/t/deep/er", "upstream": f"{url}/deeper"},
        {"prefix": "/base", "upstream": f"{url}/oauth"},
        {"prefix": "/read", "methods": ["GET", "HEAD"]},
        {"host": "vendor.internal"},
        {"host": "vendor.internal", "prefix": "/t", "upstream": f"{url}/both", "name": "both"},
        {"listen": f"127.0.0.1:{own_port}"},
    ]
    return {"routes": [{"credential": "test", **route} for route in routes]}


def assert_problem(answer: Answer, status: int, word: str = "") -> None:
    """Check that an answer is an error of ours, in all its parts."""
    assert (status, [b"application/problem+json"]) == (answer.status, answer.values(b"content-type")), answer
    assert {"error", "error_description", "details", "status"} <= answer.json().keys()
    assert not word or word == answer.json()["error"]
    (proxy_status,) = answer.values(b"proxy-status")
    assert proxy_status.startswith(b"bearer-proxy; error=")


@pytest.mark.parametrize("target", HOSTILE)
async def test_dot_segments(gateway: Gateway, upstream: Upstream, target: str) -> None:
    """A path with a dot segment, however it is written, is 400 and goes nowhere."""
    assert_problem(await gateway.call(f"GET {target}"), 400)
    assert [] == upstream.requests


@pytest.mark.parametrize("target", MALFORMED)
async def test_malformed_target(gateway: Gateway, upstream: Upstream, target: str) -> None:
    """A target that is no target is 400 and goes nowhere."""
    assert 400 == (await gateway.call(f"GET {target}")).status
    assert [] == upstream.requests


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_no_route(gateway: Gateway, upstream: Upstream, target: str) -> None:
    """What no route matches, by whole segments and their exact bytes, is 404."""
    assert_problem(await gateway.call(f"GET {target}"), 404, "no_route")
    assert [] == upstream.requests


@pytest.mark.parametrize("target", OAUTH)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_oauth_endpoints(gateway: Gateway, upstream: Upstream, method: str, target: str) -> None:
    """The vendor's OAuth endpoints are closed to callers, however they are written."""
    assert_problem(await gateway.call(f"{method} {target}"), 403, "forbidden_path")
    assert ([], 0) == (upstream.requests, upstream.exchanges)


@pytest.mark.parametrize("fields", UNCLEAR)
async def test_unclear_request(gateway: Gateway, upstream: Upstream, fields: tuple[bytes, ...]) -> None:
    """What two servers could read in two ways is 400, and ends the connection."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", *fields), b"hello" + gateway.head("GET /t/evil HTTP/1.1"))
        assert 400 == (await caller.answer()).status
        await caller.ended()
    assert [] == upstream.requests


@pytest.mark.parametrize("fields", [(b"Host: a", b"Host: b"), (b"Host: a/b",), (b"Host: a@b",), (b"Host: a b",)])
async def test_unclear_host(gateway: Gateway, upstream: Upstream, fields: tuple[bytes, ...]) -> None:
    """A Host that is none, or two of them, is 400 (RFC 9112 section 3.2)."""
    assert 400 == (await gateway.call("GET /t/a", *fields)).status
    assert [] == upstream.requests


@pytest.mark.parametrize("raw", NOT_OURS, ids=range(len(NOT_OURS)))
async def test_form_of_early_errors(gateway: Gateway, upstream: Upstream, raw: bytes) -> None:
    """A request that is refused before it is understood is refused as problem+json too, and nothing of it is shown."""
    async with gateway.caller() as caller:
        await caller.send(raw)
        answer = await caller.answer()
    assert [] == upstream.requests
    assert answer.status in (400, 431)
    assert_problem(answer, answer.status)
    assert [] == answer.values(b"server")


async def test_length_and_chunks_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """With both framings a request is refused, or goes on with one of them alone (RFC 9112 section 6.3)."""
    fields = (b"Content-Length: 6", b"Transfer-Encoding: chunked")
    answer = await gateway.call("POST /t/a", *fields, body=b"0\r\n\r\nG")
    if answer.status == 400:
        assert [] == upstream.requests
    else:
        (seen,) = upstream.requests
        assert b"" == seen.body
        assert not (seen.values(b"content-length") and seen.values(b"transfer-encoding"))


@pytest.mark.parametrize("body", [b"zz\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n", b"5\r\nhelloX\r\n0\r\n\r\n"])
async def test_malformed_chunks(gateway: Gateway, upstream: Upstream, body: bytes) -> None:
    """Broken chunks, come when they may, end both sides at once; the upstream gets no complete body."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Transfer-Encoding: chunked"), chunk(b"one"))
        seen = await upstream.request(body=3)
        await caller.send(body)
        with contextlib.suppress(ConnectionError, EOFError):
            assert 400 == (await caller.answer()).status
        await upstream.until(lambda: seen.connection in upstream.gone)
    assert not seen.whole


async def test_body_of_a_refused_request(gateway: Gateway, upstream: Upstream) -> None:
    """The body of a refused request is not taken for the next request."""
    evil = gateway.head("GET /t/evil HTTP/1.1") * 2000
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /nowhere HTTP/1.1", b"Content-Length: %d" % len(evil)))
        await caller.send(evil[:500])
        assert_problem(await caller.answer(), 404)
        with contextlib.suppress(ConnectionError, EOFError):  # closing is right too
            await caller.send(evil[500:], gateway.head("GET /t/good HTTP/1.1"))
            assert 200 == (await caller.answer()).status
    assert [] == [seen.target for seen in upstream.requests if seen.target != b"/good"]


@pytest.mark.parametrize("target", ["127.0.0.1:443", "/t/x", "vendor.internal:80"])
async def test_connect(gateway: Gateway, upstream: Upstream, target: str) -> None:
    """CONNECT opens no tunnel."""
    assert_problem(await gateway.call(f"CONNECT {target}"), 501)
    assert ([], 0) == (upstream.requests, upstream.connections)


async def test_trace(gateway: Gateway, upstream: Upstream) -> None:
    """TRACE, which would show the token, is never forwarded."""
    assert_problem(await gateway.call("TRACE /t/a"), 501)
    assert [] == upstream.requests


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "DELETE", "PROPFIND", "REPORT"])
async def test_other_methods(gateway: Gateway, upstream: Upstream, method: str) -> None:
    """All other methods pass as they are."""
    assert 200 == (await gateway.call(f"{method} /t/a")).status
    assert [b"%s /a HTTP/1.1" % method.encode()] == [seen.line for seen in upstream.requests]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_limited_methods(gateway: Gateway, upstream: Upstream, method: str) -> None:
    """A route for some methods refuses others, and says which pass."""
    answer = await gateway.call(f"{method} /read/a", b"X-HTTP-Method-Override: GET")
    assert_problem(answer, 405)
    assert ([], [b"GET, HEAD"]) == (upstream.requests, answer.values(b"allow"))


async def test_method_override(gateway: Gateway, upstream: Upstream) -> None:
    """Where methods are limited, none is smuggled in by a field."""
    names = (b"X-HTTP-Method-Override", b"x-http-method", b"X-Method-Override", b"X_HTTP_Method_Override")
    await gateway.call("GET /read/a", *(name + b": DELETE" for name in names))
    assert [[]] == [[line for line in seen.fields if b"DELETE" in line] for seen in upstream.requests]


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("/t", b"localhost", b"/"),
        ("/t/", b"localhost", b"/"),
        ("/t?a", b"localhost", b"/?a"),
        ("/t/deep/x", b"localhost", b"/deep/x"),
        ("/t/deep/er", b"localhost", b"/deeper"),
        ("/t/deep/er/?q", b"localhost", b"/deeper/?q"),
        ("/t/deep/erx", b"localhost", b"/deep/erx"),
        ("/orders", b"localhost", b"/api/v2/orgs/7/orders"),
        ("/orders/", b"localhost", b"/api/v2/orgs/7/orders/"),
        ("/orders?a=1", b"localhost", b"/api/v2/orgs/7/orders?a=1"),
        ("/orders//1", b"localhost", b"/api/v2/orgs/7/orders//1"),
        ("/x/y?z", b"vendor.internal", b"/x/y?z"),
        ("/t/y", b"Vendor.Internal:8080", b"/both/y"),
        ("/orders/1", b"vendor.internal.", b"/orders/1"),
        ("http://VENDOR.internal:1/x?q", b"localhost", b"/x?q"),
        ("HTTP://vendor.internal", b"localhost", b"/"),
        ("http://vendor.internal?q", b"localhost", b"/?q"),
        ("http://127.0.0.1:1/t/y", b"vendor.internal", b"/y"),
    ],
)
async def test_routes(gateway: Gateway, upstream: Upstream, target: str, host: bytes, expected: bytes) -> None:
    """Host comes first, then the longest prefix; an absolute target's authority stands for Host."""
    assert 200 == (await gateway.call(f"GET {target}", b"Host: " + host)).status
    (seen,) = upstream.requests
    assert (expected, [b"127.0.0.1:%d" % gateway.upstream_port]) == (seen.target, seen.values(b"host"))


@pytest.mark.parametrize("target", ["/", "/t/x", "/orders", "http://vendor.internal/t/x"])
async def test_own_listener(gateway: Gateway, upstream: Upstream, own_port: int, target: str) -> None:
    """A route's own listener knows that route alone, as the vendor's whole origin."""
    assert 200 == (await gateway.call(f"GET {target}", port=own_port)).status
    assert [target.removeprefix("http://vendor.internal").encode()] == [seen.target for seen in upstream.requests]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects(gateway: Gateway, upstream: Upstream, status: int) -> None:
    """A redirect goes to the caller and is not followed."""
    upstream.script(reply(status, b"Location: http://elsewhere.example/x"))
    answer = await gateway.call("POST /t/a", b"Transfer-Encoding: chunked", body=chunk(b"x") + chunk(b""))
    assert (status, 1) == (answer.status, len(upstream.requests))
    assert [b"http://elsewhere.example/x"] == answer.values(b"location")
