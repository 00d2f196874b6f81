"""A proxy that listens at a port and a unix socket with TLS, and at another port without; and its callers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import need
from tests.e2e.conftest import Caller, Gateway
from tests.support.processes import Done, Proxy, free_port
from tests.support.tls import Authority
from tests.support.upstream import LIMIT, Tokens

MIB = 1 << 20


@dataclass
class Tls(Gateway):
    """Such a proxy, and what its callers trust."""

    tls_port: int
    socket: Path
    authority: Authority

    @property
    def url(self) -> str:
        return f"https://localhost:{self.tls_port}"

    @contextlib.asynccontextmanager
    async def tls_caller(self, context: ssl.SSLContext | None = None) -> AsyncIterator[Caller]:
        """A connection to the listener with TLS."""
        trust = context or self.authority.trust()
        streams = await asyncio.open_connection(
            "127.0.0.1", self.tls_port, limit=MIB, ssl=trust, server_hostname="localhost"
        )
        caller = Caller(*streams)
        try:
            yield caller
        finally:
            streams[1].transport.abort()

    async def refusal(self, context: ssl.SSLContext) -> str:
        """The alert that a caller gets, at the latest when it waits for an answer; nothing if it is served."""
        try:
            async with self.tls_caller(context) as caller:
                await caller.send(self.head("GET /t/ HTTP/1.1"))
                await caller.answer()
        except ssl.SSLError as error:
            return str(error.reason)
        return ""

    async def curl(self, *arguments: str) -> Done:
        """Run curl, which trusts the authority."""
        program = await asyncio.to_thread(need, "curl")
        line = [program, "-sS", "--cacert", str(self.authority.file), *arguments]
        done = await asyncio.to_thread(subprocess.run, line, capture_output=True, check=False, timeout=LIMIT)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def configure(self, **more: Any) -> None:
        """Write the configuration: a route /t to the upstream, and `more` keys."""
        url = f"http://127.0.0.1:{self.upstream_port}"
        keys = {
            "listen": [f"127.0.0.1:{self.proxy.port}", f"127.0.0.1:{self.tls_port} ssl", f"unix:{self.socket} ssl"],
            "admin": f"127.0.0.1:{self.proxy.admin_port}",
            "renewal_guard": 0,
            "providers": {"test": {"upstream": url, "token_url": f"{url}/token", "grant": "manual"}},
            "credentials": {"test": {"provider": "test", "client_id": "id", "client_secret": "secret"}},
            "routes": [{"prefix": "/t", "credential": "test"}],
            "ssl_certificate": "c.pem",
            "ssl_certificate_key": "k.pem",
            **more,
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
        (self.proxy.folder / "config.yaml").write_text(text)

    async def hang_up(self) -> str:
        """Have it read its configuration again; give what it then logs."""
        assert self.proxy.process is not None
        before = len(self.proxy.log)
        self.proxy.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(LIMIT):
            while not any(said in self.proxy.log[before:] for said in ("is read again", "as before")):
                await asyncio.sleep(0.01)
        return self.proxy.log[before:]


async def prepared(authority: Authority, listener: socket.socket, **more: Any) -> Tls:
    """Such a proxy in the authority's folder, configured and signed in, which does not run yet."""
    proxy = Proxy(authority.folder)
    tls = Tls(proxy, Tokens(), listener, free_port(), authority.folder / "s", authority)
    authority.listener()
    tls.configure(**more)
    await proxy.bring_tokens("test", tls.tokens.pair())
    return tls


@contextlib.asynccontextmanager
async def listening_tls(authority: Authority, listener: socket.socket, **more: Any) -> AsyncIterator[Tls]:
    """Such a proxy that runs, with `more` keys in its configuration."""
    tls = await prepared(authority, listener, **more)
    try:
        await tls.proxy.start()
        yield tls
    finally:
        assert 0 == await tls.proxy.stop(), tls.proxy.log
        assert "not foreseen" not in tls.proxy.log
        assert "Traceback" not in tls.proxy.log
