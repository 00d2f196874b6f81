"""Both event loops, and what stands at the other end of a connection: good servers and bad ones, raw."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.config import Upstream
from proxy.gateway.transport.dial import Dialer
from tests.support import resets

try:
    import uvloop
except ImportError:  # not for every platform
    uvloop = None  # type: ignore[assignment]

PATIENCE = 20.0  # seconds after which a test that waits fails instead of hanging
LOOPS: dict[str, Any] = {"asyncio": asyncio.SelectorEventLoop}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def descriptors() -> int:
    """Count what this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on a loop of its own of each kind; a descriptor that is open after it fails it."""

    @functools.wraps(test)
    def run(*args: Any, loop: str, **fixtures: Any) -> None:
        LOOPS[loop]().close()  # libuv opens a pipe of its own once
        before = descriptors()
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(asyncio.wait_for(test(*args, **fixtures), PATIENCE))
        assert before == descriptors()

    signature = inspect.signature(test)
    added = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])  # type: ignore[attr-defined]
    both: Callable[..., None] = pytest.mark.parametrize("loop", LOOPS)(run)
    return both


class Caller(asyncio.Protocol):
    """The protocol of a connection: what came, and whether it has ended."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


def presenting(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    """Give a server's context that prefers HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve on a port, each connection to its end before the context ends."""
    under_way: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.append(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, host, 0, ssl=tls, limit=1 << 20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*under_way)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back a line, and close."""
    writer.write(await reader.readline())


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the other side has closed."""
    while await reader.read(1 << 16):
        pass


@contextlib.contextmanager
def full() -> Iterator[int]:
    """A port that takes no connection and refuses none."""
    with socket.socket() as sock, contextlib.ExitStack() as waiting:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(sock.getsockname())
        yield sock.getsockname()[1]


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def meaning(dialer: Dialer, *addresses: str) -> list[str]:
    """Let every name mean these addresses, and give the list of the look-ups to come."""
    asked: list[str] = []

    async def ask(host: str) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, 0)) for one in addresses]

    dialer._names._ask = ask  # type: ignore[method-assign]
    return asked


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait for the first byte, and close with a reset."""
    await reader.read(1)
    resets.reset(writer)


async def echoed(dialer: Dialer, upstream: Upstream) -> Caller:
    """Connect, send a line, and wait for the end."""
    transport, caller = await dialer.connect(upstream, Caller)
    transport.write(b"hello\n")
    await caller.lost
    assert transport is caller.transport
    assert b"hello\n" == caller.data
    return caller
