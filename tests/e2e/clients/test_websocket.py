"""WebSocket clients and servers of others: what one side sends the other gets, through a tunnel that a token opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
import websocket
from aiohttp import WSMsgType, web

from tests.e2e.clients.conftest import Live
from tests.e2e.clients.nginx import BLOB
from tests.e2e.clients.programs import WITHIN
from tests.support.upstream import LIMIT

FRESH_AND_EXPIRED = pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that waits for nothing longer than `LIMIT`."""
    async with asyncio.timeout(LIMIT), aiohttp.ClientSession() as session:
        yield session


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Greet at once, and send each message back."""
    server = web.WebSocketResponse(protocols=("second", "first"), max_msg_size=0)
    await server.prepare(request)
    await server.send_str("hello")
    async for message in server:
        if message.type is WSMsgType.TEXT:
            await server.send_str(message.data)
        else:
            await server.send_bytes(message.data)
    return server


@FRESH_AND_EXPIRED
async def test_messages(live: Live, session: aiohttp.ClientSession, expired: bool) -> None:
    """Text and binary messages pass both ways; an upgrade that meets an expired token is sent again."""
    if expired:
        live.grant.expire()
    async with live.serving(echo) as came, session.ws_connect(f"{live.url}/a?b=c") as client:
        assert "hello" == await client.receive_str()
        for text in ("", "a", "é" * 1000):
            await client.send_str(text)
            assert text == await client.receive_str()
        for data in (b"", b"\x00\xff", BLOB[:70_000]):
            await client.send_bytes(data)
            assert data == await client.receive_bytes()
    assert int(expired) == live.grant.exchanges == len(came) - 1
    assert f"Bearer {live.grant.tokens.access.decode()}" == came[-1]["Authorization"]


async def test_fields_of_the_upgrade(live: Live, session: aiohttp.ClientSession) -> None:
    """The server sees the upgrade, with the proxy's token in place of the client's, and its own name."""
    headers = {"Authorization": "Bearer dummy", "X-Own": "1", "Origin": live.gateway.proxy.url}
    async with live.serving(echo) as came, session.ws_connect(live.url, headers=headers) as client:
        assert "hello" == await client.receive_str()
    (seen,) = came
    assert ("websocket", "upgrade", "1") == (seen["Upgrade"].lower(), seen["Connection"].lower(), seen["X-Own"])
    assert (f"127.0.0.1:{live.port}", "1.1 bearer-proxy") == (seen["Host"], seen["Via"])
    assert [f"Bearer {live.grant.tokens.access.decode()}"] == seen.getall("Authorization")


@FRESH_AND_EXPIRED
async def test_large_messages(live: Live, session: aiohttp.ClientSession, expired: bool) -> None:
    """Messages of some megabytes pass both ways at once."""
    if expired:
        live.grant.expire()
    async with live.serving(echo), session.ws_connect(live.url, max_msg_size=0) as client:
        assert "hello" == await client.receive_str()

        async def send() -> None:
            for number in range(4):
                await client.send_bytes(bytes([number]) + BLOB)

        sending = asyncio.create_task(send())
        for number in range(4):
            assert bytes([number]) + BLOB == await client.receive_bytes()
        await sending


async def test_ping_of_the_client(live: Live, session: aiohttp.ClientSession) -> None:
    """A ping is answered by the server itself."""
    async with live.serving(echo), session.ws_connect(live.url, autoping=False) as client:
        assert "hello" == await client.receive_str()
        await client.ping(b"are you there")
        message = await client.receive()
        assert (WSMsgType.PONG, b"are you there") == (message.type, bytes(message.data))


async def test_ping_of_the_server(live: Live, session: aiohttp.ClientSession) -> None:
    """A ping of the server reaches the client, and its pong the server."""
    pongs: list[bytes] = []

    async def ping(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse(autoping=False)
        await server.prepare(request)
        await server.ping(b"are you there")
        pongs.append(bytes((await server.receive()).data))
        return server

    async with live.serving(ping), session.ws_connect(live.url, autoping=False) as client:
        message = await client.receive()
        assert (WSMsgType.PING, b"are you there") == (message.type, bytes(message.data))
        await client.pong(message.data)
        assert WSMsgType.CLOSE == (await client.receive()).type
    assert [b"are you there"] == pongs


async def test_close_of_the_client(live: Live, session: aiohttp.ClientSession) -> None:
    """The client's code and reason reach the server."""
    closed: asyncio.Queue[tuple[int | None, object]] = asyncio.Queue()

    async def wait(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        message = await server.receive()
        closed.put_nowait((message.data, message.extra))
        return server

    async with live.serving(wait), session.ws_connect(live.url) as client:
        await client.close(code=4001, message=b"enough")
        assert (4001, "enough") == await closed.get()


async def test_close_of_the_server(live: Live, session: aiohttp.ClientSession) -> None:
    """The server's code and reason reach the client."""

    async def close(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        await server.close(code=4002, message=b"too much")
        return server

    async with live.serving(close), session.ws_connect(live.url) as client:
        message = await client.receive()
        assert (WSMsgType.CLOSE, 4002, "too much") == (message.type, message.data, message.extra)


async def test_client_that_vanishes(live: Live, session: aiohttp.ClientSession) -> None:
    """A client that is gone without a word is gone for the server too."""
    closed: asyncio.Queue[int | None] = asyncio.Queue()

    async def wait(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        await server.send_str("hello")
        await server.receive()
        closed.put_nowait(server.close_code)
        return server

    async with live.serving(wait), session.ws_connect(live.url) as client:
        assert "hello" == await client.receive_str()
        transport = client._response.connection.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
        assert await closed.get() in (None, 1006)


async def test_server_that_vanishes(live: Live, session: aiohttp.ClientSession) -> None:
    """A server that is gone without a word is gone for the client too."""

    async def vanish(request: web.Request) -> web.WebSocketResponse:
        server = web.WebSocketResponse()
        await server.prepare(request)
        await server.send_str("hello")
        await server.receive()
        assert request.transport is not None
        request.transport.abort()
        return server

    async with live.serving(vanish), session.ws_connect(live.url) as client:
        assert "hello" == await client.receive_str()
        await client.send_str("go")
        assert (await client.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        assert 1006 == client.close_code


async def test_compression(live: Live, session: aiohttp.ClientSession) -> None:
    """Compression that the client offers is the server's to accept, and works."""
    async with live.serving(echo) as came, session.ws_connect(live.url, compress=15) as client:
        assert "hello" == await client.receive_str()
        await client.send_str("abc" * 100_000)
        assert "abc" * 100_000 == await client.receive_str()
        assert 15 == client.compress
    assert "permessage-deflate" in came[0]["Sec-WebSocket-Extensions"]


async def test_subprotocol(live: Live, session: aiohttp.ClientSession) -> None:
    """The server chooses among the subprotocols that the client offers."""
    async with live.serving(echo), session.ws_connect(live.url, protocols=("first", "other")) as client:
        assert "first" == client.protocol


@FRESH_AND_EXPIRED
@pytest.mark.parametrize("status", [200, 302, 403, 404, 500])
async def test_refusal(live: Live, session: aiohttp.ClientSession, status: int, expired: bool) -> None:
    """A server that gives a plain answer to an upgrade gets that answer through."""
    if expired:
        live.grant.expire()

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, text="no", headers={"X-Why": "because"})

    async with live.serving(refuse):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(live.url)
        async with session.get(live.url, allow_redirects=False) as plain:
            assert (status, "no") == (plain.status, await plain.text())
    assert caught.value.headers is not None
    assert (status, "because") == (caught.value.status, caught.value.headers["X-Why"])
    assert int(expired) == live.grant.exchanges


async def test_many_at_one_expiry(live: Live, session: aiohttp.ClientSession) -> None:
    """Many clients at one expiry get their own messages each, after one exchange."""
    live.grant.expire()

    async def talk(number: int) -> list[str]:
        async with session.ws_connect(live.url) as client:
            await client.receive_str()
            answers = []
            for turn in range(20):
                await client.send_str(f"{number}.{turn}")
                answers.append(await client.receive_str())
            return answers

    async with live.serving(echo):
        talks = await asyncio.gather(*map(talk, range(20)))
    assert [[f"{number}.{turn}" for turn in range(20)] for number in range(20)] == talks
    assert 1 == live.grant.exchanges


async def test_expiry_behind_an_open_tunnel(live: Live, session: aiohttp.ClientSession) -> None:
    """A tunnel outlives the token that opened it, and the exchange that others cause."""
    async with live.serving(echo), session.ws_connect(live.url) as client:
        assert "hello" == await client.receive_str()
        live.grant.expire()
        async with session.ws_connect(live.url) as other:
            assert "hello" == await other.receive_str()
        await client.send_str("still here")
        assert "still here" == await client.receive_str()
    assert 1 == live.grant.exchanges


async def test_websocket_client(live: Live) -> None:
    """Another client, `websocket-client` from PyPI, works as well."""
    live.grant.expire()

    def talk() -> list[str | bytes]:
        client = websocket.create_connection(live.url.replace("http", "ws", 1), timeout=WITHIN)
        try:
            greeting = client.recv()
            client.send_binary(BLOB)
            return [greeting, client.recv()]
        finally:
            client.close()

    async with live.serving(echo):
        assert ["hello", BLOB] == await asyncio.to_thread(talk)
