"""What passes, what is added and what is held back, byte for byte in both directions (D1, D2, D4)."""

from __future__ import annotations

import gzip

import pytest

from tests.e2e.conftest import Answer, Gateway
from tests.support.upstream import Do, Recorded, Upstream, chunk, reply

FRAMING = {b"connection", b"keep-alive", b"content-length", b"transfer-encoding", b"via"}
GZIPPED = gzip.compress(b'{"a": 1}', mtime=0)

TARGETS = [
    "/a%2Fb",
    "/a%2fb",
    "/A/b/C",
    "/a+b?x=a+b",
    "/%zz",
    "/%",
    "/a?q=%",
    "/a?",
    "/a??",
    "/a?b?c=/../d",
    "/?",
    "//",
    "//a//b//",
    "/a;p=1;q/b",
    "/a?x=%2F%2f&&y;z&=",
    "/a?b=2&a=1&b=1",
    "/a?q=[]{}|^`\"<>'",
    "/~!$&'()*,=:@-._",
    "/%7Euser",
    "/a%20b%00c",
    "/%252e%252e/x",
    "/.../..a/b..",
]


def sent_fields(seen: Recorded) -> list[bytes]:
    """The header lines less what the proxy itself has to say."""
    ours = (b"host", b"authorization", b"via", b"connection", b"content-length", b"transfer-encoding")
    return [line for line in seen.fields if line.partition(b":")[0].lower() not in ours]


def shown_fields(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The answer's fields less its framing."""
    return [(name, value) for name, value in answer.fields if name.lower() not in FRAMING]


@pytest.mark.parametrize("target", TARGETS)
async def test_target(gateway: Gateway, upstream: Upstream, target: str) -> None:
    """Path and query arrive as they were sent, less the prefix."""
    assert 200 == (await gateway.call(f"GET /t{target}")).status
    (seen,) = upstream.requests
    assert b"GET %s HTTP/1.1" % target.encode() == seen.line


@pytest.mark.parametrize("target", ["/caf\xc3\xa9?q=\xc3\xa9", "/caf\xe9", "/a?q=\xe9"])
async def test_target_beyond_ascii(gateway: Gateway, upstream: Upstream, target: str) -> None:
    """Bytes that no URL may hold pass unchanged or not at all."""
    answer = await gateway.call(f"GET /t{target}")
    if answer.status == 200:
        assert [target.encode("latin-1")] == [seen.target for seen in upstream.requests]
    else:
        assert (400, []) == (answer.status, upstream.requests)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?access_token=x&a=%2F+b", "?a=%2F+b"),
        ("?a=1&bearer_token=x", "?a=1"),
        ("?a=1&access_token=x&&b=%zz", "?a=1&&b=%zz"),
        ("?%61ccess%5Ftoken=x&a", "?a"),
        ("?access_token=x", ""),
        ("?access_token&bearer_token=", ""),
        ("?my_access_token=x&access_tokens=y", "?my_access_token=x&access_tokens=y"),
    ],
)
async def test_token_in_the_query(gateway: Gateway, upstream: Upstream, query: str, expected: str) -> None:
    """A caller's token in the query is cut out, by its decoded name; nothing else changes."""
    await gateway.call(f"GET /t/a{query}")
    assert [b"/a" + expected.encode()] == [seen.target for seen in upstream.requests]


async def test_header_order(gateway: Gateway, upstream: Upstream) -> None:
    """Fields arrive in order, with repeats, in the caller's case and with the caller's bytes."""
    fields = [
        b"X-B: 1",
        b"x-a: 2",
        b"X-B: 3, 4",
        b"ACCEPT: a/b;q=0.5",
        b"X-Empty: ",
        b"X-Tab: a\tb  c",
        b"Cookie: a=1; b=2",
        b"Cookie: c=bearer_proxy_x",
        b"X-Utf8: caf\xc3\xa9",
        b"X-Long: " + b"y" * 6000,
    ]
    assert 200 == (await gateway.call("GET /t/a", *fields)).status
    (seen,) = upstream.requests
    assert [line.strip() for line in fields] == [line.strip() for line in sent_fields(seen)]


async def test_nothing_is_added(gateway: Gateway, upstream: Upstream) -> None:
    """Of a request with no fields the upstream gets Host, Authorization and Via, and nothing else."""
    await gateway.call("GET /t/a")
    (seen,) = upstream.requests
    names = sorted(line.partition(b":")[0].lower() for line in seen.fields)
    assert [b"authorization", b"host", b"via"] == [name for name in names if name != b"connection"]
    assert [b"127.0.0.1:%d" % gateway.upstream_port] == seen.values(b"host")
    assert [b"Bearer " + gateway.tokens.access] == seen.values(b"authorization")
    assert [b"1.1 bearer-proxy"] == seen.values(b"via")


async def test_via_of_others(gateway: Gateway, upstream: Upstream) -> None:
    """Our Via comes after those of proxies before us (RFC 9110 section 7.6.3)."""
    await gateway.call("GET /t/a", b"Via: 1.0 fred")
    (seen,) = upstream.requests
    assert b"1.0 fred, 1.1 bearer-proxy" == b", ".join(seen.values(b"via"))


async def test_fields_that_never_pass(gateway: Gateway, upstream: Upstream) -> None:
    """The caller's credentials, hop-by-hop fields and what Connection names stay here; ours cannot be talked away."""
    await gateway.call(
        "GET /t/a",
        b"authorization: bearer stolen",
        b"Authorization: Basic stolen",
        b"Proxy-Authorization: Basic stolen",
        b"Proxy_Authorization: Basic stolen",
        b"Connection: keep-alive, X-Named, authorization, via",
        b"Connection: X-Other, host",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"X-Named: 1",
        b"x-other: 1",
        b"X-Kept: 1",
    )
    (seen,) = upstream.requests
    assert [b"X-Kept: 1"] == sent_fields(seen)
    assert [b"Bearer " + gateway.tokens.access] == seen.values(b"authorization")
    assert [b"127.0.0.1:%d" % gateway.upstream_port] == seen.values(b"host")
    assert [b"1.1 bearer-proxy"] == seen.values(b"via")


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (b"a=1; bearer_proxy_session=s; b=2", [b"a=1; b=2"]),
        (b"bearer_proxy_session=s;a=1", [b"a=1"]),
        (b"bearer_proxy_session=s", []),
        (b"a=bearer_proxy_session; xbearer_proxy_=1;b", [b"a=bearer_proxy_session; xbearer_proxy_=1;b"]),
    ],
)
async def test_own_cookies(gateway: Gateway, upstream: Upstream, cookie: bytes, expected: list[bytes]) -> None:
    """Our own cookies are cut out by name; others pass byte for byte."""
    await gateway.call("GET /t/a", b"Cookie: " + cookie)
    (seen,) = upstream.requests
    assert expected == seen.values(b"cookie")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_body(gateway: Gateway, upstream: Upstream, method: str) -> None:
    """Any method may have a body; it arrives under the same length, though Connection names Content-Length."""
    body = b"status=open&x=%2F" + bytes(range(256))
    assert 200 == (await gateway.post("/t/a", body, b"Connection: content-length", method=method)).status
    (seen,) = upstream.requests
    assert (body, [b"%d" % len(body)]) == (seen.body, seen.values(b"content-length"))
    assert [] == seen.values(b"transfer-encoding") + seen.values(b"content-type")


@pytest.mark.parametrize("fields", [(), (b"Content-Length: 0",)])
async def test_post_without_a_body(gateway: Gateway, upstream: Upstream, fields: tuple[bytes, ...]) -> None:
    """An empty POST is empty at the upstream, and not chunked."""
    assert 200 == (await gateway.call("POST /t/a", *fields)).status
    (seen,) = upstream.requests
    assert b"" == seen.body
    assert seen.values(b"content-length") == [b"0"] or not fields
    assert [] == seen.values(b"transfer-encoding") + seen.values(b"content-type")


async def test_chunked_request(gateway: Gateway, upstream: Upstream) -> None:
    """A chunked body arrives whole, whatever its chunks are."""
    body = b"5;ext=1\r\nhello\r\n" + chunk(b" wide ") + chunk(b"x" * 70_000) + b"0\r\nX-Trailer: 1\r\n\r\n"
    answer = await gateway.call("POST /t/a", b"Transfer-Encoding: chunked", body=body)
    (seen,) = upstream.requests
    assert (200, b"hello wide " + b"x" * 70_000) == (answer.status, seen.body)
    assert [] == seen.values(b"x-trailer")


@pytest.mark.parametrize("body", [GZIPPED, GZIPPED[:-4], b"no gzip at all"])
async def test_gzip(gateway: Gateway, upstream: Upstream, body: bytes) -> None:
    """What claims to be gzip is not unpacked on the way, be it whole, cut short or a lie."""
    upstream.script(reply(200, b"Content-Encoding: gzip", b"Content-Type: application/json", body=body))
    answer = await gateway.post("/t/a", body, b"Content-Encoding: gzip", b"Accept-Encoding: gzip, br")
    (seen,) = upstream.requests
    assert (body, body) == (seen.body, answer.body)
    assert [b"gzip"] == seen.values(b"content-encoding") == answer.values(b"content-encoding")
    assert [b"gzip, br"] == seen.values(b"accept-encoding")


async def test_head_then_get(gateway: Gateway, upstream: Upstream) -> None:
    """HEAD passes the length without a body, and the connection goes on."""
    upstream.script([Do.READ, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: e\r\n\r\n"], reply(200, body=b"hello"))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("HEAD /t/a HTTP/1.1"), gateway.head("GET /t/b HTTP/1.1"))
        head, get = await caller.answer("HEAD"), await caller.answer()
    assert (200, [b"5"], [b"e"]) == (head.status, head.values(b"content-length"), head.values(b"etag"))
    assert (200, b"hello") == (get.status, get.body)


@pytest.mark.parametrize("head", [b"204 Nothing", b"304 Same\r\nETag: e", b"304 Same\r\nContent-Length: 9"])
async def test_answers_without_a_body(gateway: Gateway, upstream: Upstream, head: bytes) -> None:
    """204 and 304 have no body and no chunks, and the connection goes on."""
    upstream.script([Do.READ, b"HTTP/1.1 " + head + b"\r\n\r\n"])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1", b"If-None-Match: e"), gateway.head("GET /t/b HTTP/1.1"))
        first, second = await caller.answer(), await caller.answer()
    assert b"HTTP/1.1 " + head.partition(b"\r")[0] == first.line
    assert [] == first.values(b"transfer-encoding")
    assert (200, b"ok") == (second.status, second.body)


async def test_answer_fields(gateway: Gateway, upstream: Upstream) -> None:
    """The upstream's fields come in order and with repeats, none is added, and what is not for callers is left out."""
    passing = [
        (b"Set-Cookie", b"a=1; Secure"),
        (b"X-A", b"1"),
        (b"set-cookie", b"b=2"),
        (b"x-a", b"2"),
        (b"Request-Id", b"r"),
        (b"Content-Type", b'text/html;charset="x"; odd'),
    ]
    held_back = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"access-control-expose-headers", b"X-A"),
        (b"Alt-Svc", b'h3=":443"'),
        (b"Strict-Transport-Security", b"max-age=1"),
        (b"Connection", b"keep-alive, X-Named"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Trailer", b"X-T"),
        (b"Upgrade", b"h2c"),
        (b"X-Named", b"1"),
    ]
    mixed = [pair for pairs in zip(held_back, [*passing, *passing], strict=False) for pair in pairs][: 2 * len(passing)]
    rest = held_back[len(passing) :]
    upstream.script(reply(200, *(name + b": " + value for name, value in [*mixed, *rest])))
    assert passing == shown_fields(await gateway.call("GET /t/a"))


async def test_bare_answer(gateway: Gateway, upstream: Upstream) -> None:
    """No Server, no Date and no Content-Type is added to an answer that has none."""
    answer = await gateway.call("GET /t/a")
    assert ([], b"ok") == (shown_fields(answer), answer.body)


@pytest.mark.parametrize("reason", [b"200 Fine By Me", b"299 Odd-Thing (ours)", b"418 I'm a teapot", b"200 "])
async def test_reason(gateway: Gateway, upstream: Upstream, reason: bytes) -> None:
    """Status and reason come as the upstream wrote them."""
    upstream.script([Do.READ, b"HTTP/1.1 " + reason + b"\r\nContent-Length: 0\r\n\r\n"])
    assert b"HTTP/1.1 " + reason == (await gateway.call("GET /t/a")).line


async def test_interim_answer(gateway: Gateway, upstream: Upstream) -> None:
    """An interim answer does not stand for the final one."""
    upstream.script([Do.READ, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", *reply(201)])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        answer = await caller.answer()
        if answer.status == 103:
            answer = await caller.answer()
    assert 201 == answer.status


async def test_http_1_0(gateway: Gateway, upstream: Upstream) -> None:
    """A caller of HTTP/1.0 gets a chunked answer unchunked, ended by close."""
    upstream.script([Do.READ, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"hello"), chunk(b"")])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.0"))
        answer = await caller.answer()
    assert ([], b"hello") == (answer.values(b"transfer-encoding"), answer.body)


async def test_header_that_is_no_utf_8(gateway: Gateway, upstream: Upstream) -> None:
    """Its bytes arrive as they were sent, both ways (D2)."""
    upstream.script(reply(200, b'Content-Disposition: attachment; filename="caf\xe9"'))
    answer = await gateway.call("GET /t/a", b"X-Name: caf\xe9")
    assert [b"caf\xe9"] == upstream.requests[0].values(b"x-name")
    assert [b'attachment; filename="caf\xe9"'] == answer.values(b"content-disposition")
