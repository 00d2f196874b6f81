"""One proxy for each module, before a recording upstream that is new for each test; and a raw caller.

For signing in: a proxy that does not run, and somebody with a browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from proxy.sandbox import Sandbox
from tests.support.person import Person, person
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import register
from tests.support.upstream import LIMIT, PIECE, Tokens, Upstream

Settings = dict[str, Any]


@dataclass
class Answer:
    """An answer as it came: the status line, the fields in order, the body unframed."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """A caller on one raw connection. Whatever it waits for, it waits for `LIMIT` seconds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *data: bytes) -> None:
        async with asyncio.timeout(LIMIT):
            for piece in data:
                self.writer.write(piece)
                await self.writer.drain()

    async def head(self) -> Answer:
        """The next head, of an interim answer too."""
        async with asyncio.timeout(LIMIT):
            head = await self.reader.readuntil(b"\r\n\r\n")
        line, *fields = head[:-4].split(b"\r\n")
        pairs = [field.partition(b":") for field in fields]
        return Answer(line, [(name, value.strip()) for name, _, value in pairs])

    async def some(self, size: int = PIECE) -> bytes:
        """The next bytes, whatever their framing; none at an end in order."""
        async with asyncio.timeout(LIMIT):
            return await self.reader.read(size)

    async def until(self, data: bytes) -> bytes:
        """All up to and with `data`."""
        async with asyncio.timeout(LIMIT):
            return await self.reader.readuntil(data)

    async def body(self, answer: Answer, method: str = "GET") -> Answer:
        """Read the body that belongs to a head. Raises what a cut-off body deserves."""
        async with asyncio.timeout(LIMIT):
            length = answer.values(b"content-length")
            if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
                pass
            elif answer.values(b"transfer-encoding"):
                while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                    answer.body += await self.reader.readexactly(size)
                    await self.reader.readexactly(2)
                await self.reader.readuntil(b"\r\n")
            elif length:
                answer.body = await self.reader.readexactly(int(length[0]))
            else:
                answer.body = await self.reader.read()
        return answer

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole."""
        return await self.body(await self.head(), method)

    async def ended(self) -> bool:
        """Read to the end of the connection; False if it was a reset."""
        try:
            while await self.some():
                pass
        except ConnectionError:
            return False
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Gateway:
    """A running proxy, and what stands behind it."""

    proxy: Proxy
    tokens: Tokens
    listener: socket.socket

    @property
    def upstream_port(self) -> int:
        return port_of(self.listener)

    @contextlib.asynccontextmanager
    async def caller(self, port: int | None = None) -> AsyncIterator[Caller]:
        """A connection to the proxy."""
        caller = Caller(*await asyncio.open_connection("127.0.0.1", port or self.proxy.port, limit=1 << 20))
        try:
            yield caller
        finally:
            await caller.close()

    def head(self, line: str, *fields: bytes) -> bytes:
        """A request's head: with a Host field unless there is one among `fields`."""
        lines = [line.encode("latin-1"), *fields]
        if not any(name.lower().startswith(b"host:") for name in fields):
            lines.insert(1, b"Host: 127.0.0.1:%d" % self.proxy.port)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    async def call(self, line: str, *fields: bytes, body: bytes = b"", port: int | None = None) -> Answer:
        """One request on a connection of its own; the line is `METHOD TARGET`. A body needs its own framing."""
        async with self.caller(port) as caller:
            await caller.send(self.head(f"{line} HTTP/1.1", *fields), body)
            return await caller.answer(line.split(" ", 1)[0])

    async def post(self, target: str, body: bytes, *fields: bytes, method: str = "POST") -> Answer:
        """A request with a body and its Content-Length."""
        return await self.call(f"{method} {target}", b"Content-Length: %d" % len(body), *fields, body=body)


def port_of(listener: socket.socket) -> int:
    """The port of a socket."""
    return int(listener.getsockname()[1])


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """A listening socket on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@contextlib.asynccontextmanager
async def running(folder: Path, listener: socket.socket, settings: Settings) -> AsyncIterator[Gateway]:
    """A proxy with the prefix /t before a `listener`, signed in, with further `settings`."""
    url = f"http://127.0.0.1:{port_of(listener)}"
    test = {"upstream": url, "token_url": f"{url}/token", "grant": "manual", "jsonp_parameter": "callback"}
    config: Settings = {
        "renewal_guard": 0,
        **settings,
        "providers": {"test": {**test, "oauth_paths": ["/oauth"]}, **settings.get("providers", {})},
        "credentials": {
            "test": {"provider": "test", "client_id": "id", "client_secret": "secret"},
            **settings.get("credentials", {}),
        },
        "routes": [{"prefix": "/t", "credential": "test"}, *settings.get("routes", [])],
    }
    gateway = Gateway(Proxy(folder), Tokens(), listener)
    gateway.proxy.configure("".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items()))
    await gateway.proxy.bring_tokens("test", gateway.tokens.pair())
    try:
        await gateway.proxy.start()
        yield gateway
    finally:
        assert 0 == await gateway.proxy.stop(), gateway.proxy.log


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """Where the upstream of a module listens: its port stays taken between tests."""
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def settings() -> Settings:
    """What a module adds to the configuration, by overriding this."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, listener: socket.socket, settings: Settings
) -> AsyncIterator[Gateway]:
    """The proxy that all tests of a module share."""
    async with running(tmp_path_factory.mktemp("gateway"), listener, settings) as gateway:
        yield gateway


@pytest.fixture
async def upstream(gateway: Gateway) -> AsyncIterator[Upstream]:
    """A fresh upstream behind the proxy, which has no connection to it yet."""
    async with Upstream(gateway.tokens).serving(gateway.listener) as upstream:
        yield upstream


@pytest.fixture
async def visitor() -> AsyncIterator[Person]:
    """Somebody with a browser."""
    async with person() as visitor:
        yield visitor


@pytest.fixture
async def signing(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A configured proxy that does not run, its callback registered at the vendors."""
    bare_proxy.configure(sandbox_config(vendors))
    await register(vendors, bare_proxy)
    return bare_proxy
