"""An upstream that fails: before the first byte the caller gets our own error, from then on a reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
import trustme

from tests.e2e.conftest import Answer, Caller, Gateway, Settings, listening, port_of
from tests.support.upstream import Answer as Script
from tests.support.upstream import Do, Upstream, chunk, reply

QUICKLY = 5.0  # seconds within which each error is there, time-outs of half a second included
HEAD = b"HTTP/1.1 200 OK\r\n"

NO_ANSWER: dict[str, tuple[Script, str]] = {
    "reset": ([Do.READ, Do.RESET], "connection_terminated"),
    "close": ([Do.READ, Do.CLOSE], "connection_terminated"),
    "reset in the head": ([Do.READ, HEAD + b"Content-Le", Do.RESET], "connection_terminated"),
    "close in the head": ([Do.READ, HEAD + b"Content-Le", Do.CLOSE], "connection_terminated|http_protocol_error"),
    "close after an interim answer": ([Do.READ, b"HTTP/1.1 103 Hints\r\n\r\n", Do.CLOSE], "connection_terminated"),
    "garbage": ([Do.READ, b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Do.CLOSE], "http_protocol_error"),
    "garbage that goes on": ([Do.READ, b"\x15\x03\x03" * 500, Do.WATCH], "http_protocol_error"),
    "no status": ([Do.READ, b"HTTP/1.1 abc Fine\r\n\r\n", Do.CLOSE], "http_protocol_error"),
    "bad field": ([Do.READ, HEAD + b"no colon\r\n\r\n", Do.CLOSE], "http_protocol_error"),
    "two lengths": ([Do.READ, HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"], "http_protocol_error"),
    "bad length": ([Do.READ, HEAD + b"Content-Length: -1\r\n\r\n"], "http_protocol_error"),
    "endless head": (
        [Do.READ, HEAD + b"X: y\r\n" * 400_000, Do.WATCH],
        "http_response_header_section_size|http_protoc",
    ),
    "endless field": ([Do.READ, HEAD + b"X: " + b"y" * 2_000_000, Do.WATCH], "http_response_header_size|http_protocol"),
    "switched protocols": (
        [Do.READ, b"HTTP/1.1 101 Now\r\nUpgrade: x\r\n\r\n", Do.WATCH],
        "http_protocol_error|http_up",
    ),
}
CUT_OFF: dict[str, list[bytes]] = {
    "length": [HEAD + b"Content-Length: 100\r\n\r\n", b"half"],
    "chunked": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"half")],
    "in a chunk": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"64\r\nhalf"],
    "before the last CRLF": [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"half") + b"0\r\n"],
    "judged": [b"HTTP/1.1 400 No\r\nContent-Length: 100\r\n\r\n", b"half"],
}


@pytest.fixture(scope="module")
def tls_listener() -> Iterator[socket.socket]:
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def settings(listener: socket.socket, tls_listener: socket.socket) -> Iterator[Settings]:
    """A route to each kind of upstream that cannot be reached, and short time-outs."""
    token_url = f"http://127.0.0.1:{port_of(listener)}/token"
    with socket.socket() as deaf, socket.socket() as full, contextlib.ExitStack() as waiting:
        for sock in (deaf, full):
            sock.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # no connection beyond these is ever accepted
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        upstreams = {
            "refused": f"http://127.0.0.1:{port_of(deaf)}",
            "unknown": "https://no-such-host.invalid",
            "untrusted": f"https://localhost:{port_of(tls_listener)}",
            "full": f"http://127.0.0.1:{port_of(full)}",
        }
        yield {
            "proxy_connect_timeout": "500ms",
            "proxy_read_timeout": "500ms",
            "proxy_send_timeout": "500ms",
            "providers": {
                name: {
                    "upstream": url,
                    "token_url": token_url,
                    "grant": "client_credentials",
                    "renew": "client_credentials",
                }
                for name, url in upstreams.items()
            },
            "credentials": {name: {"provider": name, "client_id": "i", "client_secret": "s"} for name in upstreams},
            "routes": [{"prefix": f"/{name}", "credential": name} for name in upstreams],
        }


async def assert_reset(caller: Caller) -> None:
    """Check that what comes now is a reset, and neither a last chunk nor an end in order."""
    data = b"half"
    with contextlib.suppress(ConnectionResetError):
        while data and not data.endswith(b"0\r\n\r\n"):
            data = await caller.some()
        pytest.fail("the answer looks whole")


def assert_failure(answer: Answer, status: int, kinds: str) -> None:
    """Check that an answer is an error of ours that blames the upstream, in all its parts."""
    assert (status, [b"application/problem+json"]) == (answer.status, answer.values(b"content-type")), answer
    problem = answer.json()
    assert status == problem["status"]
    assert problem["error"] == ("upstream_timeout" if status == 504 else "upstream_error")
    assert problem["error_description"]
    assert "upstream" in problem["details"]
    (proxy_status,) = answer.values(b"proxy-status")
    assert any(proxy_status.startswith(f"bearer-proxy; error={kind}".encode()) for kind in kinds.split("|"))
    assert b'; details="' in proxy_status


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("route", "status", "kind"),
    [
        ("refused", 502, "connection_refused;"),
        ("unknown", 502, "dns_error;"),
        ("full", 504, "connection_timeout;"),
    ],
)
async def test_no_connection(
    gateway: Gateway, upstream: Upstream, route: str, status: int, kind: str, method: str
) -> None:
    """An upstream that cannot be reached is an error that says how, quickly, and with a body at hand too."""
    began = time.monotonic()
    answer = await gateway.post(f"/{route}/a", b"x" * 100_000, method=method)
    assert_failure(answer, status, kind)
    assert time.monotonic() - began < QUICKLY


async def test_untrusted_certificate(gateway: Gateway, upstream: Upstream, tls_listener: socket.socket) -> None:
    """A certificate that nobody trusts ends it before anything is sent."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    async with Upstream().serving(tls_listener, tls) as untrusted:
        assert_failure(await gateway.call("GET /untrusted/a"), 502, "tls_certificate_error;")
        assert [] == untrusted.requests


async def test_plain_text_on_a_tls_port(gateway: Gateway, upstream: Upstream, tls_listener: socket.socket) -> None:
    """A server that answers a TLS greeting in plain text is told apart from one that is down."""

    async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(complain, sock=tls_listener.dup()):
        assert_failure(await gateway.call("GET /untrusted/a"), 502, "tls_protocol_error;")


async def test_silent_tls_port(gateway: Gateway, upstream: Upstream, tls_listener: socket.socket) -> None:
    """A port that accepts and then says nothing to a TLS greeting is a time-out of the connection."""
    began = time.monotonic()
    assert_failure(await gateway.call("GET /untrusted/a"), 504, "connection_timeout;")
    assert time.monotonic() - began < QUICKLY


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", NO_ANSWER)
async def test_no_answer(gateway: Gateway, upstream: Upstream, name: str, method: str) -> None:
    """What is no HTTP answer is an error that says so; the request is not sent again, the caller's connection lives."""
    script, kinds = NO_ANSWER[name]
    upstream.script(script)
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"{method} /t/a HTTP/1.1", b"Content-Length: 4"), b"data")
        assert_failure(await caller.answer(), 502, kinds)
        await caller.send(gateway.head("GET /t/b HTTP/1.1"))
        assert 200 == (await caller.answer()).status
    assert [b"/a", b"/b"] == [seen.target for seen in upstream.requests]


@pytest.mark.parametrize("sent", [b"", HEAD, b"HTTP/1.1 103 Hints\r\n\r\n"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_answer_in_time(gateway: Gateway, upstream: Upstream, method: str, sent: bytes) -> None:
    """An upstream that does not get to its answer is 504, and its connection is not used again."""
    upstream.script([Do.READ, sent, Do.WATCH])
    began = time.monotonic()
    assert_failure(await gateway.post("/t/a", b"data", method=method), 504, "http_response_timeout|connection_read_t")
    assert time.monotonic() - began < QUICKLY
    await upstream.until(lambda: 0 in upstream.gone)
    assert 1 == len(upstream.requests)


async def test_upload_that_is_not_read(gateway: Gateway, upstream: Upstream) -> None:
    """An upstream that stops reading a body is 504, or a closed connection, in time."""
    upstream.script([asyncio.Event()])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("POST /t/a HTTP/1.1", b"Content-Length: 50000000"))
        sending = asyncio.create_task(caller.send(b"x" * 50_000_000))
        try:
            async with asyncio.timeout(QUICKLY):
                assert_failure(await caller.answer(), 504, "connection_write_timeout|http_response_t|connection_read_t")
        finally:
            sending.cancel()
            await asyncio.wait([sending])


@pytest.mark.parametrize("http", ["1.1", "1.0"])
@pytest.mark.parametrize("end", [Do.CLOSE, Do.RESET, Do.WATCH], ids=["close", "reset", "stall"])
@pytest.mark.parametrize("name", CUT_OFF)
async def test_cut_off_body(gateway: Gateway, upstream: Upstream, name: str, end: Do, http: str) -> None:
    """A body that breaks off breaks off for the caller too, by a reset; or it is an error of ours from the start."""
    passed = asyncio.Event()
    head, part = CUT_OFF[name]
    upstream.script([Do.READ, head, part, *([passed] if name != "judged" else []), end])
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"GET /t/a HTTP/{http}"))
        if name == "judged":
            answer = await caller.answer()
            assert answer.status in (502, 504)
            return
        await caller.until(b"half")
        passed.set()
        await assert_reset(caller)


@pytest.mark.parametrize("http", ["1.1", "1.0"])
async def test_reset_in_a_body_that_ends_by_close(gateway: Gateway, upstream: Upstream, http: str) -> None:
    """A reset is no end, though the body had no other end to come."""
    passed = asyncio.Event()
    upstream.script([Do.READ, HEAD + b"\r\nhalf", passed, Do.RESET])
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"GET /t/a HTTP/{http}"))
        await caller.until(b"half")
        passed.set()
        await assert_reset(caller)


@pytest.mark.parametrize("http", ["1.1", "1.0"])
async def test_body_that_ends_by_close(gateway: Gateway, upstream: Upstream, http: str) -> None:
    """A body that its upstream ends by closing is whole."""
    upstream.script([Do.READ, HEAD + b"\r\nall", Do.CLOSE])
    async with gateway.caller() as caller:
        await caller.send(gateway.head(f"GET /t/a HTTP/{http}"))
        assert b"all" == (await caller.answer()).body


async def test_garbage_in_a_chunked_body(gateway: Gateway, upstream: Upstream) -> None:
    """A chunked body that turns to garbage is reset."""
    passed = asyncio.Event()
    upstream.script([Do.READ, *CUT_OFF["chunked"], passed, b"zz\r\nnonsense\r\n0\r\n\r\n", Do.WATCH])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1"))
        await caller.until(b"half")
        passed.set()
        await assert_reset(caller)


async def test_more_than_was_promised(gateway: Gateway, upstream: Upstream) -> None:
    """Bytes after the end of an answer are never taken for the next answer."""
    evil, answered = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", asyncio.Event()
    upstream.script([*reply(), answered, evil])
    assert b"ok" == (await gateway.call("GET /t/a")).body
    sent = upstream.sent
    answered.set()
    await upstream.until(lambda: upstream.sent > sent)
    assert b"ok" == (await gateway.call("GET /t/b")).body


async def test_cut_off_401(gateway: Gateway, upstream: Upstream) -> None:
    """A 401 whose body breaks off is a rejection all the same."""
    upstream.script([Do.READ, b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nhalf", Do.RESET])
    assert (200, 1) == ((await gateway.call("GET /t/a")).status, upstream.exchanges)


async def test_failure_of_the_replay(gateway: Gateway, upstream: Upstream) -> None:
    """A replay that the upstream does not answer is 502, and is not tried a third time."""
    upstream.script(reply(401), [Do.READ, Do.RESET])
    assert_failure(await gateway.post("/t/a", b"data"), 502, "connection_terminated;")
    assert (2, 1) == (len(upstream.requests), upstream.exchanges)
