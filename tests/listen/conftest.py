"""A listener with TLS that echoes, on either kind of event loop, and an authority for both its ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from proxy.config import Address, Limits, TlsFiles
from proxy.listen import ListenerTls, accept_callers, close_listener, open_sockets
from tests.support.tls import Authority

try:
    import uvloop
except ImportError:
    LOOPS = [asyncio.new_event_loop]
else:
    LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]

Shown = tuple[bytes | None, Any]  # a caller's certificate: its bytes, and what the ssl module tells of it
Connect = Callable[..., Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Echo(asyncio.Protocol):
    """Says back what it hears, in capitals, and closes when it hears a full stop."""

    def __init__(self, ends: list[asyncio.Future[None]], shown: list[Shown]) -> None:
        self.ends = ends
        self.shown = shown

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends.append(self.lost)
        proof = transport.get_extra_info("ssl_object").getpeercert(True)
        self.shown.append((proof, transport.get_extra_info("peercert")))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())
        if data.endswith(b"."):
            self.transport.close()


@contextlib.asynccontextmanager
async def echoing(
    tls: ListenerTls, address: str = "127.0.0.1:0", shown: list[Shown] | None = None, **limits: float
) -> AsyncIterator[Connect]:
    """Serve on an address with TLS; give what connects to it. `shown` is told of each connection that came about."""
    (sock,) = open_sockets(Address.parse(address))
    where: Any = sock.getsockname()
    ends: list[asyncio.Future[None]] = []
    seen: list[Shown] = [] if shown is None else shown
    settings: Any = limits
    listener = await accept_callers(lambda: Echo(ends, seen), sock, Limits(**settings), tls)

    async def connect(**options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        options |= {"server_hostname": "localhost"} if options else {}
        unix = sock.family == socket.AF_UNIX
        opening = asyncio.open_unix_connection(where, **options) if unix else asyncio.open_connection(*where, **options)
        reader, writer = await opening
        closing.callback(writer.transport.abort)
        return reader, writer

    try:
        with contextlib.ExitStack() as closing:
            yield connect
    finally:
        close_listener(listener)
        tls.handshakes.close()
        await asyncio.gather(*ends)


def on(new_loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, None]) -> None:
    """Run on a loop of that kind, which must have nothing to complain of."""
    complaints: list[Any] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await asyncio.wait_for(work, 15)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(watched())
    assert [] == complaints


def tls_files(authority: Authority, trusted: Path | None = None, *, required: bool = False) -> TlsFiles:
    """A certificate for localhost that is new, and callers' authorities."""
    keys = authority.listener()
    certificate, key = (authority.folder / keys[name] for name in ("ssl_certificate", "ssl_certificate_key"))
    return TlsFiles(certificate=certificate, key=key, client_ca=trusted, client_required=required)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> TlsFiles:
    """A certificate for localhost with its key; callers need none."""
    return tls_files(authority)


@pytest.fixture
def caller(authority: Authority) -> ssl.SSLContext:
    """What a caller goes by who trusts the authority."""
    return authority.trust()
