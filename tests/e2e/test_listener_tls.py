"""TLS between callers and the proxy, on a listener marked ssl beside one that is not, and at a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import requests
import trustme

from tests.e2e.listener_tls import MIB, Tls, listening_tls, prepared
from tests.support.processes import Done, Proxy, free_port
from tests.support.tls import VERSIONS, Authority
from tests.support.upstream import LIMIT, Do, Upstream, chunk, reply

HEADER_TIMEOUT = 1.5  # seconds, for what never ends


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> AsyncIterator[Tls]:
    """The proxy that all tests of this module share, with a listener of a route too."""
    own = {"listen": f"127.0.0.1:{free_port()} ssl", "credential": "test"}
    authority = Authority(tmp_path_factory.mktemp("tls"))
    settings = {"routes": [{"prefix": "/t", "credential": "test"}, own], "client_header_timeout": HEADER_TIMEOUT}
    async with listening_tls(authority, listener, **settings) as tls:
        yield tls


async def test_curl(gateway: Tls, upstream: Upstream) -> None:
    """It is served as without TLS, by HTTP/1.1 though it offers HTTP/2, and the upstream gets the token."""
    done = await gateway.curl("-w", " %{http_version}", "--http2", f"{gateway.url}/t/a%2Fb?c")
    assert Done(0, "ok 1.1", "") == done
    assert (b"/a%2Fb?c", gateway.tokens.access) == (upstream.requests[0].target, upstream.requests[0].token)


async def test_curl_without_the_authority(gateway: Tls, upstream: Upstream) -> None:
    """What it does not trust it does not call."""
    done = await gateway.curl("--capath", "/nowhere", "--cacert", os.devnull, f"{gateway.url}/t/")
    assert done.code in (60, 77)
    assert [] == upstream.requests


async def test_unix_socket(gateway: Tls, upstream: Upstream) -> None:
    """TLS is spoken there too."""
    done = await gateway.curl("--unix-socket", str(gateway.socket), "https://localhost/t/")
    assert (Done(0, "ok", ""), 1) == (done, len(upstream.requests))


async def test_listener_of_a_route(gateway: Tls, upstream: Upstream) -> None:
    """A route's own may speak TLS while others do not."""
    (own,) = [line for line in gateway.proxy.log.splitlines() if "data plane on" in line]
    address = own.rpartition(", ")[2]
    assert address.endswith(" ssl")
    assert Done(0, "ok", "") == await gateway.curl(f"https://{address.removesuffix(' ssl')}/whole")
    assert b"/whole" == upstream.requests[0].target


async def test_one_mebibyte_each_way(gateway: Tls, upstream: Upstream) -> None:
    """It comes whole, both ways, with `requests` on one connection."""
    up, down = os.urandom(MIB), os.urandom(MIB)
    upstream.script(reply(body=down), reply(body=down[::-1]))

    def call() -> list[bytes]:
        with requests.Session() as session:
            session.trust_env = False  # REQUESTS_CA_BUNDLE would go before `verify`
            session.verify = str(gateway.authority.file)
            return [session.post(f"{gateway.url}/t/", data=up, timeout=LIMIT).content for _ in range(2)]

    assert [down, down[::-1]] == await asyncio.to_thread(call)
    assert [up, up] == [one.body for one in upstream.requests]


@pytest.mark.parametrize("version", VERSIONS)
async def test_chunks(gateway: Tls, upstream: Upstream, version: ssl.TLSVersion) -> None:
    """Each chunk goes on while the next is still to come, whichever the version."""
    goes_on = asyncio.Event()
    head = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.script([head, chunk(b"first"), goes_on, chunk(b"second"), chunk(b"")])
    async with gateway.tls_caller(gateway.authority.trust(version=version)) as caller:
        await caller.send(gateway.head("POST /t/ HTTP/1.1", b"Transfer-Encoding: chunked"), chunk(b"up"))
        await caller.head()
        assert b"first" in await caller.until(b"first")
        goes_on.set()
        await caller.send(chunk(b""))
        assert b"second" in await caller.until(b"0\r\n\r\n")
    assert b"up" == (await upstream.request(body=2)).body


async def test_renewal(gateway: Tls, upstream: Upstream) -> None:
    """A rejected token is renewed and the request replayed, of which the caller sees nothing."""
    upstream.script(reply(401))
    done = await gateway.curl("--data-binary", "body", f"{gateway.url}/t/")
    assert (Done(0, "ok", ""), [b"body"] * 2) == (done, [one.body for one in upstream.requests])
    assert 1 == upstream.exchanges


async def test_answer_that_breaks_off(gateway: Tls, upstream: Upstream) -> None:
    """It does not look complete: there is no end of TLS in order, and no end of the connection."""
    upstream.script([Do.READ, b"HTTP/1.1 200 Fine\r\nContent-Length: 100\r\n\r\npart", Do.RESET])
    async with gateway.tls_caller() as caller:
        await caller.send(gateway.head("GET /t/ HTTP/1.1"))
        await caller.head()
        assert b"part" == await caller.until(b"part")
        assert not await caller.ended()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_plain_http_to_the_tls_port(gateway: Tls, upstream: Upstream, method: str) -> None:
    """It gets 400 in plain HTTP, saying what to do, and goes no further."""
    data = ["--data-binary", "@" + str(gateway.authority.file)] if method == "POST" else []
    done = await gateway.curl("-i", "-X", method, *data, f"http://127.0.0.1:{gateway.tls_port}/t/")
    head, _, body = done.out.partition("\r\n\r\n")
    assert (0, "HTTP/1.1 400 Bad Request") == (done.code, head.splitlines()[0])
    assert "\r\nProxy-Status: bearer-proxy; error=http_request_error; " in head
    assert "https://" in json.loads(body)["error_description"]
    assert [] == upstream.requests


async def test_tls_to_the_plain_port(gateway: Tls, upstream: Upstream) -> None:
    """It fails, and nothing goes on."""
    assert 35 == (await gateway.curl(f"https://localhost:{gateway.proxy.port}/t/")).code
    assert Done(0, "ok", "") == await gateway.curl(f"{gateway.proxy.url}/t/")
    assert 1 == len(upstream.requests)


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_handshake_that_never_ends(gateway: Tls, upstream: Upstream, said: bytes) -> None:
    """It ends after `client_header_timeout`, a hundred of them too, and others are served meanwhile."""
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        halves = [await stack.enter_async_context(gateway.caller(gateway.tls_port)) for _ in range(100)]
        for half in halves:
            await half.send(said)
        assert Done(0, "ok", "") == await gateway.curl(f"{gateway.url}/t/")
        await asyncio.gather(*(half.ended() for half in halves))
    assert HEADER_TIMEOUT - 0.1 < time.monotonic() - began < LIMIT
    assert 1 == len(upstream.requests)


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x00\x05hello", b"\x15\x03\x03\x00\x02\x02\x28", b"\x00" * 100])
async def test_what_is_no_handshake(gateway: Tls, upstream: Upstream, junk: bytes) -> None:
    """It gets an alert or an error, and the connection ends with the caller."""
    async with gateway.caller(gateway.tls_port) as caller:
        await caller.send(junk)
        caller.writer.write_eof()
        await caller.ended()
    assert Done(0, "ok", "") == await gateway.curl(f"{gateway.url}/t/")
    assert 1 == len(upstream.requests)


async def test_plain_http_in_the_middle_of_a_handshake(gateway: Tls) -> None:
    """Whoever has begun with TLS is answered in TLS: by an alert, never in plain HTTP."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        gateway.authority.trust().wrap_bio(down, up, server_hostname="localhost").do_handshake()
    async with gateway.caller(gateway.tls_port) as caller:
        await caller.send(up.read())
        heard = await caller.some()
        await caller.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        caller.writer.write_eof()
        async with asyncio.timeout(LIMIT):
            heard += await caller.reader.read(-1)
    assert b"\x16\x03\x03" == heard[:3]
    assert b"HTTP/1.1" not in heard


async def test_both_listeners_at_once(gateway: Tls, upstream: Upstream) -> None:
    """Many callers of either get what they asked for."""
    urls = [f"{base}/t/{number}" for number in range(20) for base in (gateway.url, gateway.proxy.url)]
    done = await gateway.curl("--parallel", "--parallel-max", "20", *urls)
    assert (0, "ok" * len(urls)) == (done.code, done.out)
    assert {b"/%d" % number for number in range(20)} == {one.target for one in upstream.requests}
    assert len(urls) == len(upstream.requests)


async def test_doctor(gateway: Tls, upstream: Upstream) -> None:
    """It finds the proxy running at every address, whatever the certificate's name, and nobody's token is sent."""
    done = await gateway.proxy.command("doctor", "--json")
    served = [one for one in json.loads(done.out)["findings"] if one["check"] == "serve"]
    assert [("ok", "serve is running")] == [(one["level"], one["text"]) for one in served]
    assert [b"HEAD"] == [one.line.split()[0] for one in upstream.requests]


@pytest.mark.parametrize("marked", [True, False])
async def test_doctor_after_a_change(gateway: Tls, upstream: Upstream, marked: bool) -> None:
    """Where the configuration has come to say another thing than is spoken, serve has to be restarted."""
    file = gateway.proxy.folder / "config.yaml"
    before = file.read_text()
    port = gateway.proxy.port if marked else gateway.tls_port
    old, new = (f'"127.0.0.1:{port}{mark}"' for mark in (("", " ssl") if marked else (" ssl", "")))
    assert old in before
    file.write_text(before.replace(old, new))
    try:
        done = await gateway.proxy.command("doctor", "--json")
    finally:
        file.write_text(before)
    (warning,) = [one for one in json.loads(done.out)["findings"] if one["level"] == "warning"]
    assert (new.strip('"'), "serve is running, but does not listen here") == (warning["subject"], warning["text"])


async def test_control_plane(gateway: Tls) -> None:
    """`status` and the probes of an orchestrator are as ever."""
    status = await gateway.proxy.command("status", "--json")
    assert (0, "") == (status.code, status.err)
    assert 200 == await asyncio.to_thread(
        lambda: requests.get(f"{gateway.proxy.admin_url}/readyz", timeout=LIMIT).status_code
    )


async def test_end(tmp_path: Path, listener: socket.socket) -> None:
    """Told to stop, it waits neither for callers who do not close nor for half a handshake."""
    tls = await prepared(Authority(tmp_path), listener, lingering_timeout=0.2)
    # Nobody can close a transport in the middle of a handshake; uvloop warns of it, and hangs if the warning is raised.
    await tls.proxy.start({"PYTHONWARNINGS": "default"})
    async with Upstream(tls.tokens).serving(listener), tls.tls_caller() as caller, tls.caller(tls.tls_port) as half:
        await half.send(b"\x16\x03\x01")
        await caller.send(tls.head("GET /t/ HTTP/1.1"))
        assert b"ok" == (await caller.answer()).body
        caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
        began = time.monotonic()
        assert 0 == await tls.proxy.stop()
        assert 10 > time.monotonic() - began


@pytest.mark.parametrize("command", ["check", "serve", "status"])
async def test_certificate_that_is_not_there(bare_proxy: Proxy, command: str) -> None:
    """It is an error of the configuration, at the line of the key, and exit code 2."""
    (bare_proxy.folder / "config.yaml").write_text("listen: 127.0.0.1:0 ssl\nadmin: null\nssl_certificate: c.pem\n")
    done = await bare_proxy.command(command)
    assert (2, "config.yaml:3: ssl_certificate: there is no such file\n") == (done.code, done.out + done.err)


async def test_certificate_that_ends_soon(bare_proxy: Proxy) -> None:
    """`check` warns of it and finds no error."""
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    made = trustme.CA().issue_cert("localhost", not_after=end)
    made.private_key_and_cert_chain_pem.write_to_path(str(bare_proxy.folder / "c.pem"))
    (bare_proxy.folder / "config.yaml").write_text("listen: 127.0.0.1:0 ssl\nssl_certificate: c.pem\n")
    done = await bare_proxy.command("check")
    expected = f"config.yaml:2: ssl_certificate: warning: the certificate expires on {end.date()}: renew it"
    assert (0, expected) == (done.code, done.out.splitlines()[0])
