"""What a caller may do with its connection: pipeline, keep it, half-close it, leave; and how each ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, Settings
from tests.support.procfs import back_to, descriptors
from tests.support.resets import reset
from tests.support.upstream import Do, Step, Upstream, chunk, reply

LINGERING = 0.4  # seconds
OK = b"HTTP/1.1 200 OK\r\n"
EVENTS = OK + b"Transfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxy listens beside its port."""
    return tmp_path_factory.mktemp("unix") / "s"


@pytest.fixture(scope="module")
def settings(socket_path: Path) -> Settings:
    own = {"listen": f"unix:{socket_path}", "credential": "test", "name": "unix"}
    return {"lingering_timeout": f"{LINGERING}s", "shutdown_timeout": "2s", "routes": [own]}


@pytest.fixture(autouse=True)
async def nothing_left(gateway: Gateway, upstream: Upstream) -> AsyncIterator[None]:
    """No test leaves the proxy with a descriptor that it did not have before; the kept upstream connection apart."""
    assert gateway.proxy.process is not None
    before = descriptors(gateway.proxy.process.pid)
    yield
    assert await back_to(gateway.proxy.process.pid, before + 1) <= before + 1


def simple(gateway: Gateway, target: str, *fields: bytes, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    return gateway.head(f"{method} /t{target} HTTP/{version}", *fields)


def refused(answer: Answer, status: int) -> bool:
    """Whether it is an answer of the proxy's own, with that status."""
    return (status, [b"application/problem+json"]) == (answer.status, answer.values(b"content-type"))


async def test_pipelining(gateway: Gateway, upstream: Upstream) -> None:
    """Requests of all kinds in one segment reach the upstream one by one, and are answered in their order."""
    upstream.script(*[reply(body=b"%d" % number) for number in range(3)], [Do.READ, OK + b"Content-Length: 9\r\n\r\n"])
    async with gateway.caller() as caller:
        await caller.send(
            simple(gateway, "/0")
            + gateway.head("POST /t/1 HTTP/1.1", b"Content-Length: 5")
            + b"first"
            + gateway.head("PUT /t/2 HTTP/1.1", b"Transfer-Encoding: chunked")
            + chunk(b"sec")
            + chunk(b"ond")
            + chunk(b"")
            + simple(gateway, "/3", method="HEAD")
            + simple(gateway, "/4", method="DELETE")
        )
        answers = [await caller.answer(method) for method in ("GET", "POST", "PUT", "HEAD", "DELETE")]
    assert [b"0", b"1", b"2", b"", b"ok"] == [answer.body for answer in answers]
    assert [b"/0", b"/1", b"/2", b"/3", b"/4"] == [seen.target for seen in upstream.requests]
    assert [b"", b"first", b"second", b"", b""] == [seen.body for seen in upstream.requests]


async def test_pipelining_waits_its_turn(gateway: Gateway, upstream: Upstream) -> None:
    """A pipelined request is not sent before the one ahead of it is answered."""
    hold = asyncio.Event()
    upstream.script([Do.READ, OK + b"Content-Length: 4\r\n\r\nhe", hold, b"ld"])
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a") + simple(gateway, "/b"))
        await caller.until(b"he")
        assert 1 == len(upstream.requests)
        hold.set()
        await caller.until(b"ld")
        assert 200 == (await caller.answer()).status


@pytest.mark.parametrize("count", [300])
async def test_pipelining_of_many(gateway: Gateway, upstream: Upstream, count: int) -> None:
    """More pipelined requests than are read at once are all answered, in their order."""
    upstream.script(*[reply(body=b"%d" % number) for number in range(count)])
    async with gateway.caller() as caller:
        await caller.send(b"".join(simple(gateway, f"/{number}", b"X: " + b"x" * 400) for number in range(count)))
        answers = [await caller.answer() for _ in range(count)]
    assert [b"%d" % number for number in range(count)] == [answer.body for answer in answers]


async def test_pipelining_with_a_rejection(gateway: Gateway, upstream: Upstream) -> None:
    """A token that expires in the middle of a pipeline costs one renewal, and the order stays."""
    upstream.script(reply(body=b"0"), reply(401), reply(body=b"1"), reply(body=b"2"))
    async with gateway.caller() as caller:
        body = gateway.head("POST /t/1 HTTP/1.1", b"Content-Length: 4") + b"body"
        await caller.send(simple(gateway, "/0") + body + simple(gateway, "/2"))
        answers = [await caller.answer() for _ in range(3)]
    assert [b"0", b"1", b"2"] == [answer.body for answer in answers]
    assert [b"", b"body", b"body", b""] == [seen.body for seen in upstream.requests]
    assert 1 == upstream.exchanges


async def test_pipelining_behind_close(gateway: Gateway, upstream: Upstream) -> None:
    """What comes behind a request with `Connection: close` is not a request any more."""
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a", b"Connection: close") + simple(gateway, "/b"))
        answer = await caller.answer()
        assert [b"close"] == answer.values(b"connection")
        assert b"" == await caller.some()
    assert 1 == len(upstream.requests)


async def test_pipelining_behind_a_malformed_request(gateway: Gateway, upstream: Upstream) -> None:
    """The requests before it are answered, it is refused, and nothing behind it is looked at."""
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a") + b"GET /t/b HTTP/1.1\r\nHost : x\r\n\r\n" + simple(gateway, "/c"))
        assert 200 == (await caller.answer()).status
        assert refused(await caller.answer(), 400)
        assert b"" == await caller.some()
    assert [b"/a"] == [seen.target for seen in upstream.requests]


async def test_http_1_0(gateway: Gateway, upstream: Upstream) -> None:
    """A caller of HTTP/1.0 that does not ask for more has its connection closed behind the answer."""
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a", version="1.0"))
        answer = await caller.answer()
        assert (b"ok", [b"close"]) == (answer.body, answer.values(b"connection"))
        assert b"" == await caller.some()


async def test_http_1_0_kept(gateway: Gateway, upstream: Upstream) -> None:
    """A caller of HTTP/1.0 that asks to keep its connection is told that it may, and can go on."""
    async with gateway.caller() as caller:
        for _ in range(2):
            await caller.send(simple(gateway, "/a", b"Connection: keep-alive", version="1.0"))
            answer = await caller.answer()
            assert (b"ok", [b"keep-alive"]) == (answer.body, answer.values(b"connection"))


async def test_http_1_0_kept_without_a_length(gateway: Gateway, upstream: Upstream) -> None:
    """Where the length is not known, the end of the connection is the end of the body, whatever was asked for."""
    upstream.script([Do.READ, EVENTS, chunk(b"one"), chunk(b"two"), chunk(b"")])
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a", b"Connection: keep-alive", version="1.0"))
        answer = await caller.answer()
    assert (b"onetwo", [b"close"], []) == (
        answer.body,
        answer.values(b"connection"),
        answer.values(b"transfer-encoding"),
    )


async def test_bodiless_answers_on_a_kept_connection(gateway: Gateway, upstream: Upstream) -> None:
    """HEAD, 204 and 304 have no body, and what follows them is the next answer."""
    lengthless: list[Step] = [Do.READ, OK + b"Transfer-Encoding: chunked\r\n\r\n"]
    upstream.script(
        [Do.READ, OK + b"Content-Length: 7\r\n\r\n"],
        [Do.READ, b"HTTP/1.1 204 None\r\n\r\n"],
        [Do.READ, b"HTTP/1.1 304 Same\r\nContent-Length: 7\r\nETag: e\r\n\r\n"],
        lengthless,
        reply(body=b"whole"),
    )
    methods = ("HEAD", "GET", "GET", "HEAD", "GET")
    async with gateway.caller() as caller:
        await caller.send(b"".join(simple(gateway, "/a", method=method) for method in methods))
        answers = [await caller.answer(method) for method in methods]
    assert [200, 204, 304, 200, 200] == [answer.status for answer in answers]
    assert b"whole" == answers[-1].body


async def test_unix_socket(gateway: Gateway, upstream: Upstream, socket_path: Path) -> None:
    """A unix socket serves as a port does, and a connection to it is kept too."""
    caller = Caller(*await asyncio.open_unix_connection(socket_path))
    for _ in range(2):
        await caller.send(b"POST /a HTTP/1.1\r\nHost: any\r\nContent-Length: 2\r\n\r\nhi")
        assert b"ok" == (await caller.answer()).body
    await caller.close()
    assert [b"hi", b"hi"] == [seen.body for seen in upstream.requests]


async def test_absolute_form(gateway: Gateway, upstream: Upstream) -> None:
    """A request with its whole URL is one for its path, whatever its Host field says."""
    line = f"GET {gateway.proxy.url}/t/a?b=1 HTTP/1.1"
    async with gateway.caller() as caller:
        await caller.send(gateway.head(line, b"Host: elsewhere"))
        assert 200 == (await caller.answer()).status
    assert b"/a?b=1" == upstream.requests[0].target
    assert [b"127.0.0.1:%d" % gateway.upstream_port] == upstream.requests[0].values(b"host")


@pytest.mark.parametrize("line", ["CONNECT a:1", "TRACE /t/a", "FROB /t/a", "M-X /t/a"])
async def test_methods_that_do_not_pass(gateway: Gateway, upstream: Upstream, line: str) -> None:
    """CONNECT, TRACE and what no registry knows are 501, and what comes behind is not taken for a request to pass."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"{line} HTTP/1.1", b"Connection: close"), simple(gateway, "/b"))
        assert refused(await caller.answer(), 501)
        await caller.ended()
    assert [] == upstream.requests


@pytest.mark.parametrize("framing", ["none", "length", "chunked"])
async def test_half_closed(gateway: Gateway, upstream: Upstream, framing: str) -> None:
    """A caller that closes its side right behind its request is answered, and its connection closed in order."""
    hold = asyncio.Event()
    upstream.script([Do.READ, OK + b"Content-Length: 6\r\n\r\nans", hold, b"wer"])
    fields = {"none": (), "length": (b"Content-Length: 4",), "chunked": (b"Transfer-Encoding: chunked",)}[framing]
    body = {"none": b"", "length": b"body", "chunked": chunk(b"body") + chunk(b"")}[framing]
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", *fields) + body)
        caller.writer.write_eof()
        await caller.until(b"ans")
        hold.set()
        assert b"wer" == await caller.some()
        assert b"" == await caller.some()
    assert (b"" if framing == "none" else b"body") == upstream.requests[0].body


async def test_half_closed_with_a_pipeline(gateway: Gateway, upstream: Upstream) -> None:
    """All that a caller asked for before it closed its side is answered."""
    async with gateway.caller() as caller:
        await caller.send(b"".join(simple(gateway, f"/{number}") for number in range(5)))
        caller.writer.write_eof()
        assert [200] * 5 == [(await caller.answer()).status for _ in range(5)]
        assert b"" == await caller.some()


async def test_half_closed_and_rejected(gateway: Gateway, upstream: Upstream) -> None:
    """A token that expires while the caller only listens is renewed, and the request sent again."""
    upstream.script(reply(401))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 4") + b"body")
        caller.writer.write_eof()
        assert 200 == (await caller.answer()).status
    assert (1, b"body") == (upstream.exchanges, upstream.requests[1].body)


async def test_half_closed_and_nothing_to_say(gateway: Gateway, upstream: Upstream) -> None:
    """A half-closed caller to whom nothing can be sent for `lingering_timeout` is taken for gone."""
    upstream.script([Do.READ, Do.WATCH])
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a"))
        caller.writer.write_eof()
        assert not await caller.ended()
    await upstream.until(lambda: 0 in upstream.gone)


async def test_half_closed_listener_of_a_stream(gateway: Gateway, upstream: Upstream) -> None:
    """A half-closed caller that takes what comes is sent a stream for longer than `lingering_timeout`."""
    gates = [asyncio.Event() for _ in range(3)]
    steps = [step for number, gate in enumerate(gates) for step in (chunk(b"event %d\n" % number), gate)]
    upstream.script([Do.READ, EVENTS, *steps, chunk(b"")])
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a"))
        caller.writer.write_eof()
        for number, gate in enumerate(gates):
            await caller.until(b"event %d\n" % number)
            await asyncio.sleep(2 * LINGERING)  # the silence is what is tried
            gate.set()
        await caller.until(b"0\r\n\r\n")
        assert await caller.ended()


async def test_half_closed_in_a_request(gateway: Gateway, upstream: Upstream) -> None:
    """A caller that closes its side in the middle of a body has not sent a whole request: nobody gets one."""
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 100") + b"part")
        await upstream.request(body=4)
        caller.writer.write_eof()
        await upstream.until(lambda: 0 in upstream.gone)
        await caller.ended()
    assert (1, False) == (len(upstream.requests), upstream.requests[0].whole)


async def test_half_closed_before_a_request(gateway: Gateway, upstream: Upstream) -> None:
    """A caller that closes its side with nothing under way is let go in order."""
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a"))
        await caller.answer()
        caller.writer.write_eof()
        assert await caller.ended()


async def test_caller_resets(gateway: Gateway, upstream: Upstream) -> None:
    """A caller that resets its connection takes the upstream's along at once."""
    upstream.script([Do.READ, Do.WATCH])
    async with gateway.caller() as caller:
        await caller.send(simple(gateway, "/a"))
        await upstream.request()
        reset(caller.writer)
        async with asyncio.timeout(LINGERING):
            await upstream.until(lambda: 0 in upstream.gone)
