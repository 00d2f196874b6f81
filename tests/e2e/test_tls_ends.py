"""How an upstream that speaks TLS ends its answers: in order, or cut off, which a caller can tell."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.conftest import Gateway, port_of, running
from tests.support.resets import will_reset
from tests.support.tls import Authority
from tests.support.upstream import LIMIT, chunk

OK = b"HTTP/1.1 200 OK\r\n"
HEADS = {
    "length": OK + b"Content-Length: 8\r\n\r\n",
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n",
    "close": OK + b"Connection: close\r\n\r\n",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(listener: socket.socket, authority: Authority) -> AsyncIterator[Gateway]:
    """A proxy whose upstream speaks TLS, with a certificate of an authority of its own."""
    url = f"https://localhost:{port_of(listener)}"
    provider = {"upstream": url, "token_url": f"{url}/token", "grant": "manual"}
    async with running(authority.folder, listener, {"ca_file": "ca.pem", "providers": {"test": provider}}) as gateway:
        yield gateway


async def answered(gateway: Gateway, authority: Authority, version: str, answer: bytes, end: str) -> tuple[bytes, bool]:
    """What a caller gets of an answer that ends in a certain way, and whether its connection ended in order."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.ca.issue_cert("localhost").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await passed.wait()
        if end == "reset":
            will_reset(writer.get_extra_info("socket"))
        if end == "notify":
            writer.close()
        else:
            writer.transport.abort()  # without close_notify
        with contextlib.suppress(OSError):  # as the proxy ends it
            await writer.wait_closed()
        ended.set()

    passed, ended = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(serve, sock=gateway.listener.dup(), ssl=context)
    received, in_order = b"", True
    try:
        async with gateway.caller() as caller:
            await caller.send(gateway.head(f"GET /t/a HTTP/{version}", b"Connection: close"))
            received = await caller.until(b"half")
            passed.set()
            try:
                while data := await caller.some():
                    received += data
            except ConnectionResetError:
                in_order = False
        async with asyncio.timeout(LIMIT):
            await ended.wait()
    finally:
        server.close()
    return received.partition(b"\r\n\r\n")[2], in_order


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("end", ["cut", "notify", "reset"])
@pytest.mark.parametrize("name", ["length", "chunked"])
async def test_cut_off(gateway: Gateway, authority: Authority, name: str, end: str, version: str) -> None:
    """An answer that ends before its framing says so is reset, whatever TLS says."""
    half = chunk(b"half") if name == "chunked" else b"half"
    _, in_order = await answered(gateway, authority, version, HEADS[name] + half, end)
    assert not in_order


@pytest.mark.parametrize("end", ["cut", "notify"])
@pytest.mark.parametrize("name", ["length", "chunked"])
async def test_whole(gateway: Gateway, authority: Authority, name: str, end: str) -> None:
    """An answer that is whole by its framing is whole, however the connection ends behind it."""
    body = chunk(b"wholhalf") + chunk(b"") if name == "chunked" else b"wholhalf"
    received, in_order = await answered(gateway, authority, "1.1", HEADS[name] + body, end)
    assert (body, True) == (received, in_order)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_ended_by_close(gateway: Gateway, authority: Authority, version: str) -> None:
    """An answer that ends with its connection is whole when TLS says that this is the end."""
    received, in_order = await answered(gateway, authority, version, HEADS["close"] + b"half", "notify")
    assert (b"half" if version == "1.0" else chunk(b"half") + chunk(b""), True) == (received, in_order)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_ended_by_close_and_cut_off(gateway: Gateway, authority: Authority, end: str, version: str) -> None:
    """One that ends without that was cut off: it is incomplete (RFC 9112 section 9.8), and reset."""
    _, in_order = await answered(gateway, authority, version, HEADS["close"] + b"half", end)
    assert not in_order
