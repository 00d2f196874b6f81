"""Keys on real connections: what each request on one may do, and how refusals leave the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, Settings
from tests.support.resets import will_reset
from tests.support.upstream import LIMIT, Upstream, chunk

KEY, READER, WRONG = "erp-key-0123456789", "reader-key-0123456", "wrong-key-01234567"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eA==")


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Nobody here is admitted without a key."""
    return {
        "anonymous": ["10.0.0.0/8"],
        "clients": {"erp": {"key": KEY}, "reader": {"key": READER, "routes": ["/t"], "methods": ["GET"]}},
        "routes": [{"prefix": "/other", "credential": "test"}],
        "lingering_timeout": "500ms",
    }


def bearer(key: str) -> bytes:
    return f"Authorization: Bearer {key}".encode()


def plain(gateway: Gateway, line: str, *fields: bytes) -> bytes:
    return gateway.head(f"{line} HTTP/1.1", *fields)


def refusal(answer: Answer) -> str:
    """The error of an answer of ours."""
    assert [b"application/problem+json"] == answer.values(b"content-type")
    return str(answer.json()["error"])


async def logged(gateway: Gateway, text: str) -> str:
    """All lines of the log, as soon as `text` stands there: lines wait for others before they are written."""
    async with asyncio.timeout(LIMIT):
        while text not in gateway.proxy.log:
            await asyncio.sleep(0.02)
    return gateway.proxy.log


@contextlib.asynccontextmanager
async def caller_at(gateway: Gateway, address: str) -> AsyncIterator[Caller]:
    """A connection from an address of its own: wrong keys are counted by address."""
    streams = await asyncio.open_connection("127.0.0.1", gateway.proxy.port, local_addr=(address, 0))
    caller = Caller(*streams)
    try:
        yield caller
    finally:
        await caller.close()


async def test_refusals_on_a_kept_connection(gateway: Gateway, upstream: Upstream) -> None:
    """A refusal leaves the connection as it was: each request is judged alone, and none inherits a key."""
    said = []
    async with gateway.caller() as caller:
        for fields in ((), (bearer(KEY),), (), (bearer(WRONG),), (bearer(READER),), (bearer(KEY),), ()):
            await caller.send(plain(gateway, "GET /t/a", *fields))
            said.append((await caller.answer()).status)
    assert [401, 200, 401, 401, 200, 200, 401] == said
    assert 3 == len(upstream.requests)


async def test_pipelined_with_different_keys(gateway: Gateway, upstream: Upstream) -> None:
    """Each has its own rights, in their order."""
    asked = [
        ("GET /t/0", KEY),
        ("GET /t/1", ""),
        ("DELETE /t/2", READER),
        ("GET /t/3", READER),
        ("GET /other/4", READER),
        ("GET /other/5", KEY),
        ("DELETE /t/6", KEY),
        ("GET /t/7", WRONG),
    ]
    async with gateway.caller() as caller:
        await caller.send(b"".join(plain(gateway, line, *([bearer(key)] if key else [])) for line, key in asked))
        said = [(await caller.answer()).status for _ in asked]
    assert [200, 401, 403, 200, 403, 200, 200, 401] == said
    assert [b"/0", b"/3", b"/5", b"/6"] == [one.target for one in upstream.requests]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("key", ["", WRONG])
async def test_refused_body(gateway: Gateway, upstream: Upstream, framing: str, key: str) -> None:
    """What is in a refused request's body is not taken for a request, and the next one has its answer."""
    hidden = plain(gateway, "DELETE /t/hidden", bearer(KEY))
    field = b"Content-Length: %d" % len(hidden) if framing == "length" else b"Transfer-Encoding: chunked"
    body = hidden if framing == "length" else chunk(hidden) + chunk(b"")
    fields = [field, *([bearer(key)] if key else [])]
    async with gateway.caller() as caller:
        await caller.send(plain(gateway, "POST /t/a", *fields) + body, plain(gateway, "GET /t/b", bearer(KEY)))
        assert 401 == (await caller.answer()).status
        assert 200 == (await caller.answer()).status
    assert [b"/b"] == [one.target for one in upstream.requests]


@pytest.mark.parametrize("size", [1 << 20, 64 << 20])
async def test_refused_body_that_is_on_its_way(gateway: Gateway, upstream: Upstream, size: int) -> None:
    """The answer comes at once, though the body never does; the connection has no other turn."""
    async with gateway.caller() as caller:
        await caller.send(plain(gateway, "POST /t/a", b"Content-Length: %d" % size), b"x" * 1000)
        answer = await caller.answer()
        assert (401, [b"close"]) == (answer.status, answer.values(b"connection"))
        with contextlib.suppress(ConnectionError):
            await caller.send(plain(gateway, "GET /t/b", bearer(KEY)))
        await caller.ended()
    assert [] == upstream.requests


async def test_refused_body_that_waits_for_100(gateway: Gateway, upstream: Upstream) -> None:
    """Nobody is asked for a body that goes nowhere."""
    async with gateway.caller() as caller:
        await caller.send(plain(gateway, "PUT /t/a", b"Content-Length: 5", b"Expect: 100-continue"))
        assert 401 == (await caller.answer()).status
    assert [] == upstream.requests


async def test_strangers_hear_the_same(gateway: Gateway, upstream: Upstream) -> None:
    """Byte for byte, whatever they ask for, and whatever key they try."""
    said: list[Answer] = []
    async with caller_at(gateway, "127.0.0.5") as caller:
        for line in ("GET /t/a", "GET /nowhere", "PUT /t/oauth", "OPTIONS /other", "GET /t/../x"):
            for fields in ((), (bearer(WRONG),)):
                await caller.send(plain(gateway, line, *fields))
                said.append(await caller.answer())
    assert [said[0]] * 10 == said
    assert [b"Basic", b"Bearer"] == [value.split()[0] for value in said[0].values(b"www-authenticate")]
    assert [] == upstream.requests


async def test_guessing(gateway: Gateway, upstream: Upstream) -> None:
    """It gets slow, for a right key too, unless that was used from there before; other addresses are not touched."""
    async with caller_at(gateway, "127.0.0.6") as caller:

        async def call(key: str) -> Answer:
            await caller.send(plain(gateway, "GET /t/a", bearer(key)))
            return await caller.answer()

        assert 200 == (await call(KEY)).status
        answers = [await call(f"{WRONG}{number}") for number in range(20)]
        said = [answer.status for answer in answers]
        assert ([401] * 10, 429) == (said[:10], said[-1])
        assert 1 <= int(answers[-1].values(b"retry-after")[0]) <= 3
        assert "too_many_attempts" == refusal(answers[-1])
        assert [200, 429] == [(await call(key)).status for key in (KEY, READER)]
        await caller.send(plain(gateway, "GET /t/a"))
        assert 401 == (await caller.answer()).status
    async with caller_at(gateway, "127.0.0.7") as caller:
        assert 200 == (await call(READER)).status


async def test_upgrade(gateway: Gateway, upstream: Upstream) -> None:
    """A tunnel needs a key as any request does, and no page of another origin gets one."""
    for fields, error in (
        ((), "key_required"),
        ((bearer(WRONG),), "key_required"),
        ((bearer(KEY), b"Origin: http://evil.example"), "foreign_origin"),
        ((bearer(KEY), b"Origin: null"), "foreign_origin"),
        ((bearer(KEY), b"Sec-Fetch-Site: cross-site"), "foreign_origin"),
    ):
        assert error == refusal(await gateway.call("GET /t/ws", *UPGRADE, *fields))
    assert [] == upstream.requests
    upstream.script([SWITCHING])
    async with gateway.caller() as caller:
        own = b"Origin: http://127.0.0.1:%d" % gateway.proxy.port
        await caller.send(plain(gateway, "GET /t/ws", *UPGRADE, bearer(KEY), own))
        assert 101 == (await caller.head()).status
        assert b"hello" == await caller.until(b"hello")
    assert gateway.tokens.access == upstream.requests[0].token


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_key_goes_no_further(gateway: Gateway, upstream: Upstream, scheme: str) -> None:
    """The vendor gets its token and nothing of the key, and the log has the client's name and nothing else."""
    given = KEY if scheme == "Bearer" else b64encode(f"somebody:{KEY}".encode()).decode()
    fields = [f"{name}: {scheme} {given}".encode() for name in ("Authorization", "Proxy-Authorization")]
    referer = f"Referer: {gateway.proxy.url}/t/?access_token={KEY}".encode()
    target = f"/t/a?access_token={KEY}&b=1&bearer%5Ftoken={KEY}"
    assert 200 == (await gateway.call(f"GET {target}", *fields, referer)).status
    (seen,) = upstream.requests
    assert (b"GET /a?b=1 HTTP/1.1", gateway.tokens.access) == (seen.line, seen.token)
    assert [] == [line for line in seen.fields if KEY.encode() in line or given.encode() in line]
    log = await logged(gateway, "/t/a?access_token,b,bearer_token 200")
    assert KEY not in log
    assert given not in log
    assert " client=erp " in log


async def test_page_with_a_key(gateway: Gateway, upstream: Upstream) -> None:
    """A key does not make a foreign page one of ours."""
    for field in (b"Origin: http://evil.example", b"Origin: null", b"Sec-Fetch-Site: same-site"):
        answer = await gateway.call("GET /t/a", bearer(KEY), field)
        assert (403, "foreign_origin") == (answer.status, refusal(answer))
    assert [] == upstream.requests


async def test_caller_that_is_gone_before_it_is_looked_at(gateway: Gateway, upstream: Upstream) -> None:
    """One that resets its connection has no address any more: so it is nobody who may call."""
    for _ in range(10):  # connections to the upstream that stand ready
        assert 200 == (await gateway.call("GET /t/a", bearer(KEY))).status
    before = len(upstream.requests)
    head = plain(gateway, "DELETE /t/gone")

    def come_and_go() -> None:
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", gateway.proxy.port), LIMIT) as caller:
                caller.sendall(head)
                will_reset(caller)

    await asyncio.to_thread(come_and_go)
    assert 401 == (await gateway.call("GET /t/after")).status
    assert [] == upstream.requests[before:]
    lines = [line for line in (await logged(gateway, "/t/after")).splitlines() if "/t/gone" in line]
    assert [] == [line for line in lines if "credential=" in line or "peer=unix" in line]


async def test_refusal_is_told_as_json(gateway: Gateway, upstream: Upstream) -> None:
    """Vendors' clients can print it."""
    told = json.loads((await gateway.call("GET /t/a")).body)
    assert (401, "key_required") == (told["status"], told["error"])
    assert told["detail"] == told["error_description"]
