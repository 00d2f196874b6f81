"""A token endpoint on a real socket, which answers with bytes or breaks off, and one exchange at it."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

import pytest

from proxy.credentials.answers import Granted, Outcome
from proxy.credentials.exchange import TokenEndpoint
from proxy.credentials.record import Tokens
from proxy.secret import Secret
from tests.credentials.conftest import NOW, credential, within
from tests.support.resets import will_reset

OLD = Secret("old refresh+token&=")
GOOD = b'{"access_token": "abc", "refresh_token": "new", "expires_in": 60}'
GRANTED = Granted(Tokens(access_token=Secret("abc"), refresh_token=Secret("new"), expires_in=60.0))


def answer(body=GOOD, status="200 OK", headers="", length=None):
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


@dataclass
class Endpoint:
    """A raw server that takes whole requests, answers with bytes, and then closes, resets or says no more."""

    reply: bytes = field(default_factory=answer)
    reset: bool = False
    silent: bool = False
    requests: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    port: int = 0

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            self.arrived.set()
            writer.write(self.reply)
            await writer.drain()
            if self.silent:
                await reader.read()
            if self.reset:
                will_reset(writer.get_extra_info("socket"))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.close()
            await writer.wait_closed()

    @property
    def head(self):
        return self.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def body(self):
        return self.requests[-1].partition(b"\r\n\r\n")[2]


@pytest.fixture
async def endpoint():
    made = Endpoint()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def exchange(port, refresh_token=OLD, *, timeout=10.0, scheme="http", **changes) -> Outcome:
    call = TokenEndpoint(timeout, clock=lambda: NOW)
    url = f"{scheme}://127.0.0.1:{port}/oauth/token/"
    return await within(call(credential(**{"token_url": url, **changes}), refresh_token))
