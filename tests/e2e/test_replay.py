"""After a rejection: one exchange, one replay with the same bytes, or an answer that says why not (D5, D6, T2, T8)."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Answer, Gateway, Settings, listening, running
from tests.support.upstream import Answer as Script
from tests.support.upstream import Do, Upstream, chunk, early, reply

KIB, MIB = 1 << 10, 1 << 20
JSON, GZIP = b"Content-Type: application/json", b"Content-Encoding: gzip"
INVALID = b'{"error": "invalid_token", "error_description": "Token is expired"}'
CHALLENGE = b'WWW-Authenticate: Bearer realm="", error="invalid_token", error_description="x"'
REJECTED = reply(401, body=b"")

REJECTIONS: dict[str, tuple[str, Script]] = {
    "401 with an empty body": ("GET /t/a", REJECTED),
    "401 without a length": ("GET /t/a", [Do.READ, b"HTTP/1.1 401 No\r\n\r\n", Do.CLOSE]),
    "401 that is long": ("GET /t/a", reply(401, body=b"x" * 100_000)),
    "401 to HEAD": ("HEAD /t/a", [Do.READ, b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\n"]),
    "403 with a challenge": ("GET /t/a", reply(403, b"WWW-Authenticate: Basic", CHALLENGE)),
    "400 with JSON": ("POST /t/a", reply(400, JSON, body=INVALID)),
    "400 with chunked JSON": (
        "GET /t/a",
        [
            Do.READ,
            b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            *map(chunk, (INVALID[:9], INVALID[9:], b"")),
        ],
    ),
    "400 with gzip JSON": ("GET /t/a", reply(400, JSON, GZIP, body=gzip.compress(INVALID, mtime=0))),
    "200 with JSONP": ("GET /t/a?callback=f", reply(200, body=b"f(" + INVALID + b");")),
    "200 with gzip JSONP": (
        "GET /t/a?b&%63allback=f",
        reply(200, GZIP, body=gzip.compress(b"f(" + INVALID + b");")),
    ),
}
ACCEPTED: dict[str, tuple[str, Script]] = {
    "403 without a challenge": ("GET /t/a", reply(403)),
    "403 for want of scope": ("GET /t/a", reply(403, CHALLENGE.replace(b"invalid_token", b"insufficient_scope"))),
    "400 with another error": ("GET /t/a", reply(400, JSON, body=INVALID.replace(b"_token", b"_request"))),
    "400 with the word deeper": ("GET /t/a", reply(400, JSON, body=b'{"errors": [' + INVALID + b"]}")),
    "400 that is too long to look at": ("GET /t/a", reply(400, JSON, body=b" " * 17_000 + INVALID)),
    "500 with JSON": ("GET /t/a", reply(500, JSON, CHALLENGE, body=INVALID)),
    "200 with JSON": ("GET /t/a?callback=f", reply(200, JSON, body=INVALID)),
    "200 with JSONP unasked": ("GET /t/a?called=callback", reply(200, body=b"f(" + INVALID + b");")),
    "200 with JSONP of another kind": ("GET /t/a?callback=f", reply(200, body=b'f({"error": null});' + b" " * 20_000)),
}


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
def settings(spool: Path) -> Settings:
    return {"replay_limit": "6m", "spool_dir": str(spool)}


@pytest.fixture
async def cramped(tmp_path: Path) -> AsyncIterator[tuple[Gateway, Upstream]]:
    """A proxy with little room for spooling, and its upstream."""
    with listening() as listener:
        async with (
            running(tmp_path, listener, {"spool_limit": "192k"}) as gateway,
            Upstream(gateway.tokens).serving(listener) as upstream,
        ):
            yield gateway, upstream


def pattern(size: int) -> bytes:
    """A body no part of which is like another."""
    return b"".join(b"%015x\n" % index for index in range(size // 16 + 1))[:size]


def framed(body: bytes, *, chunked: bool) -> tuple[bytes, bytes]:
    """The field that says how long a body is, and the body as it is sent."""
    if not chunked:
        return b"Content-Length: %d" % len(body), body
    pieces = (body[at : at + 99_991] for at in range(0, len(body), 99_991))
    return b"Transfer-Encoding: chunked", b"".join(map(chunk, (*pieces, b"")))


def assert_replayed(upstream: Upstream, body: bytes = b"") -> None:
    """Check that there was one exchange and one replay, alike but for the token."""
    first, second = upstream.requests
    assert (1, True, True) == (upstream.exchanges, body == first.body or not first.whole, body == second.body)
    assert (first.line, upstream.tokens.access) == (second.line, second.token)
    assert first.token != second.token
    assert [line for line in first.fields if first.token not in line] == [
        line for line in second.fields if second.token not in line
    ]


def assert_not_replayed(answer: Answer, upstream: Upstream) -> None:
    """Check that the vendor's 401 came with the reason, after an exchange that the next request profits from."""
    assert (401, b"no", 1, 1) == (answer.status, answer.body, len(upstream.requests), upstream.exchanges)
    assert [b"0"] == answer.values(b"retry-after")
    (status,) = answer.values(b"proxy-status")
    assert status.startswith(b"bearer-proxy; received-status=401; details=")


@pytest.mark.parametrize("name", REJECTIONS)
async def test_rejection(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """All that means a rejection is renewed and replayed once, and the caller sees the second answer alone."""
    line, rejection = REJECTIONS[name]
    upstream.script(rejection, reply(201, b"X-A: 1", body=b"" if line.startswith("HEAD") else b"made"))
    answer = await gateway.call(line)
    assert (201, [b"1"], []) == (answer.status, answer.values(b"x-a"), answer.values(b"proxy-status"))
    assert_replayed(upstream)


@pytest.mark.parametrize("name", ACCEPTED)
async def test_no_rejection(gateway: Gateway, upstream: Upstream, name: str) -> None:
    """What only looks like a rejection passes as it is, and starts nothing."""
    line, script = ACCEPTED[name]
    upstream.script(script)
    answer = await gateway.call(line)
    (raw,) = [step for step in script if isinstance(step, bytes)]
    assert (raw.partition(b"\r\n\r\n")[2], 1, 0) == (answer.body, len(upstream.requests), upstream.exchanges)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 5 * MIB])
async def test_body(gateway: Gateway, upstream: Upstream, spool: Path, size: int, chunked: bool) -> None:
    """The replay's body is the caller's, in memory or spooled, and no spool file ever has a name."""
    body, upload = pattern(size), asyncio.Event()
    upstream.script([Do.READ, upload, *REJECTED], reply(201))
    async with gateway.caller() as caller:
        field, sent = framed(body, chunked=chunked)
        await caller.send(gateway.head("POST /t/a HTTP/1.1", field), sent)
        await upstream.until(lambda: [True] == [seen.whole for seen in upstream.requests])
        assert [] == list(spool.iterdir())
        upload.set()
        assert 201 == (await caller.answer()).status
    assert_replayed(upstream, body)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_body_beyond_the_limit(gateway: Gateway, upstream: Upstream, chunked: bool) -> None:
    """A body too long to keep arrives whole; its rejection is passed on after the exchange, and says: again."""
    body = pattern(6 * MIB + 1)
    upstream.script(reply(401, b"WWW-Authenticate: Bearer", body=b"no"))
    field, sent = framed(body, chunked=chunked)
    answer = await gateway.call("POST /t/a", field, body=sent)
    assert_not_replayed(answer, upstream)
    assert body == upstream.requests[0].body
    assert [b"Bearer"] == answer.values(b"www-authenticate")
    assert (200, upstream.tokens.access) == ((await gateway.call("GET /t/a")).status, upstream.requests[1].token)


async def test_no_room_to_spool(cramped: tuple[Gateway, Upstream]) -> None:
    """Without room a body counts as too long; room that a request took is free again afterwards."""
    gateway, upstream = cramped
    for name in ("a", "b", "c"):
        upstream.script(REJECTED, reply(201))
        assert 201 == (await gateway.post(f"/t/{name}", pattern(150 * KIB))).status
    upstream.requests, upstream.exchanges = [], 0
    upstream.script(reply(401, body=b"no"))
    assert_not_replayed(await gateway.post("/t/d", pattern(MIB)), upstream)
    upstream.script(REJECTED, reply(201))
    assert 201 == (await gateway.post("/t/e", pattern(150 * KIB))).status


async def test_no_folder_to_spool_in(gateway: Gateway, upstream: Upstream, spool: Path) -> None:
    """A disk that takes nothing counts as no room."""
    spool.rmdir()
    upstream.script(reply(401, body=b"no"))
    assert_not_replayed(await gateway.post("/t/a", pattern(100 * KIB)), upstream)
    spool.mkdir()


async def test_two_bodies_share_the_room(cramped: tuple[Gateway, Upstream]) -> None:
    """Of two bodies at once the second counts as too long, and neither is mixed with the other."""
    gateway, upstream = cramped
    hold = asyncio.Event()
    upstream.script([Do.READ, hold, *REJECTED])
    first = asyncio.create_task(gateway.post("/t/a", pattern(150 * KIB)))
    await upstream.until(lambda: bool(upstream.requests) and upstream.requests[0].whole)
    upstream.script(reply(401, body=b"no"))
    second = await gateway.post("/t/b", pattern(150 * KIB))
    assert (401, [b"0"]) == (second.status, second.values(b"retry-after"))
    hold.set()
    assert (200, 1) == ((await first).status, upstream.exchanges)
    assert pattern(150 * KIB) == upstream.requests[2].body


@pytest.mark.parametrize("size", [64 * KIB, 2 * MIB])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("then", [[], [Do.CLOSE], [Do.RESET]], ids=["stay", "close", "reset"])
async def test_early_rejection(gateway: Gateway, upstream: Upstream, size: int, chunked: bool, then: list[Do]) -> None:
    """A 401 that comes before the caller has finished is renewed at once, and replayed with the whole body."""
    body = pattern(size)
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    parts = (chunk(body[:1000]), chunk(body[1000:]), chunk(b"")) if chunked else (body[:1000], body[1000:])
    answered = asyncio.Event()
    script = early(REJECTED) if not then else [REJECTED[1], answered, *then]
    upstream.script(script, reply(201))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", head), parts[0])
        await upstream.until(lambda: upstream.exchanges == 1)
        answered.set()
        if then:
            await upstream.until(lambda: upstream.requests[0].connection in upstream.gone)
        await caller.send(*parts[1:])
        assert 201 == (await caller.answer()).status
    assert_replayed(upstream, body)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_early_rejection_beyond_the_limit(gateway: Gateway, upstream: Upstream, chunked: bool) -> None:
    """A 401 before the end of a body too long to keep is passed on, and the caller is not left hanging."""
    upstream.script(early(reply(401, body=b"no")))
    async with gateway.caller() as caller:
        head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (9 * MIB)
        await caller.send(gateway.head("POST /t/a HTTP/1.1", head), chunk(b"x" * MIB))
        await upstream.until(lambda: upstream.exchanges == 1)
        await caller.send(*[chunk(b"x" * MIB)] * (6 if chunked else 0))
        assert_not_replayed(await caller.answer(), upstream)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_second_rejection(gateway: Gateway, upstream: Upstream, method: str) -> None:
    """A renewed token that is rejected too is not renewed again: the second 401 passes, and says so."""
    upstream.script(REJECTED, reply(401, b"WWW-Authenticate: Bearer", body=b"second"), reply(500))
    answer = await gateway.post("/t/a", b"data", method=method)
    assert (401, b"second", [b"Bearer"]) == (answer.status, answer.body, answer.values(b"www-authenticate"))
    (status,) = answer.values(b"proxy-status")
    assert status.startswith(b"bearer-proxy; received-status=401; details=")
    assert_replayed(upstream, b"data")


@pytest.mark.parametrize("times", [1, 2])
async def test_expect_continue(gateway: Gateway, upstream: Upstream, times: int) -> None:
    """A caller that waits to be asked for its body is asked, once, also when it has to be replayed."""
    upstream.script(*[REJECTED] * (times - 1), reply(201))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("PUT /t/a HTTP/1.1", b"Content-Length: 5", b"Expect: 100-continue"))
        assert 100 == (await caller.head()).status
        await caller.send(b"hello")
        assert 201 == (await caller.answer()).status
    assert [b"hello"] * times == [seen.body for seen in upstream.requests]


async def test_expect_of_a_refused_request(gateway: Gateway, upstream: Upstream) -> None:
    """A caller whose request is refused by its head is not asked for its body."""
    assert 404 == (await gateway.call("PUT /no", b"Content-Length: 5", b"Expect: 100-continue")).status


async def test_newer_generation(gateway: Gateway, upstream: Upstream) -> None:
    """A rejection of an older token than the current one is replayed without a further exchange (T2)."""
    hold = asyncio.Event()
    upstream.script([Do.READ, hold, *REJECTED], REJECTED)
    old = asyncio.create_task(gateway.post("/t/old", b"data"))
    await upstream.request()
    assert 200 == (await gateway.call("GET /t/new")).status
    hold.set()
    assert (200, 1) == ((await old).status, upstream.exchanges)
    assert [b"/old", b"/new", b"/new", b"/old"] == [seen.target for seen in upstream.requests]
    assert upstream.tokens.access == upstream.requests[3].token


async def test_many_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """Many rejections of one token make one exchange, and each is replayed with its own body."""
    hold = asyncio.Event()
    upstream.script(*([Do.READ, hold, *REJECTED] for _ in range(20)))
    calls = [asyncio.create_task(gateway.post(f"/t/{number}", b"%d" % number)) for number in range(20)]
    await upstream.until(lambda: len(upstream.requests) == 20)
    hold.set()
    assert [200] * 20 == [answer.status for answer in await asyncio.gather(*calls)]
    assert (1, 40) == (upstream.exchanges, len(upstream.requests))
    assert all(seen.target == b"/" + seen.body for seen in upstream.requests)


@pytest.mark.parametrize("size", [10, 5 * MIB])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_put_on_a_stale_connection(gateway: Gateway, upstream: Upstream, size: int, chunked: bool) -> None:
    """A PUT on a kept connection that turns out dead goes out on a fresh one, whole, and is replayed from there."""
    body = pattern(size)
    upstream.script(reply(), [Do.READ, Do.CLOSE], REJECTED, reply(201))
    await gateway.call("GET /t/first")
    field, sent = framed(body, chunked=chunked)
    assert 201 == (await gateway.call("PUT /t/a", field, body=sent)).status
    assert [body] * 3 == [seen.body for seen in upstream.requests[1:]]
    assert (0, 1) == (upstream.requests[1].connection, upstream.exchanges)


async def test_post_on_a_stale_connection(gateway: Gateway, upstream: Upstream) -> None:
    """A POST that a dying connection may have delivered is not sent again."""
    upstream.script(reply(), [Do.READ, Do.CLOSE])
    await gateway.call("GET /t/first")
    answer = await gateway.post("/t/a", b"data")
    assert (502, 2, 0) == (answer.status, len(upstream.requests), upstream.exchanges)
