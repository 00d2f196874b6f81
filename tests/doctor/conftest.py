"""Servers that answer as told, on the loopback; and what a configuration holds, as values."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from proxy.config import CredentialConfig, Provider, Upstream
from proxy.doctor.facts import OriginSeen
from proxy.doctor.probe import see_origin
from proxy.secret import Secret

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
DATE = b"Date: Fri, 15 Jan 2027 08:00:00 GMT"
PATIENCE = 20.0  # seconds after which a test that waits fails instead of hanging
SHORT = 0.3  # seconds, for what never ends


def credential(name: str = "acme", **changes: Any) -> CredentialConfig:
    """Give a credential; keys that are a provider's change its provider."""
    ours = {key: changes.pop(key) for key in list(changes) if key in Provider.model_fields}
    urls = {"upstream": "https://api.acme.example/v1", "token_url": "https://acme.example/token", **ours}
    fields = {"client_id": "our-id", "client_secret": Secret("our-secret"), "provider_name": "acme", **changes}
    return CredentialConfig(name=name, provider=Provider(**urls), **fields)


@dataclass
class Server:
    """Where it listens, and the heads of the requests that came."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    def origin(self, scheme: str = "http", host: str = "127.0.0.1") -> Upstream:
        return Upstream(scheme, host, self.port)


@contextlib.asynccontextmanager
async def serving(
    *pieces: bytes | None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Server]:
    """Serve each connection: the request's head is read, the pieces are sent, and the connection is closed.

    None is a wait for `goes_on`, which nobody sets before the end.
    """
    server = Server(0)
    done: list[asyncio.Task[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        done.append(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            server.heads.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                if piece is None:
                    await server.goes_on.wait()
                else:
                    writer.write(piece)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    listener = await asyncio.start_server(answer, host, port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        server.goes_on.set()
        await asyncio.gather(*done)


def head(status: int = 200, *fields: bytes) -> bytes:
    """An answer without a body."""
    return b"\r\n".join((b"HTTP/1.1 %d Fine" % status, *fields, b"Content-Length: 0", b"", b""))


async def see(upstream: Upstream, context: ssl.SSLContext | None = None, limit: float = PATIENCE) -> OriginSeen:
    """Look at an upstream, by a clock that stands still."""
    return await see_origin(upstream, limit, context or ssl.create_default_context(), clock=lambda: NOW)
