"""A proxy inside the test's own process, seeded with canaries, before a vendor that answers as it is told.

Inside the process all that it holds can be looked at, and accidents can be put where no configuration leads to.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy import app, logs
from proxy.config import load
from proxy.credentials.answers import tokens_in
from proxy.credentials.record import Origin
from proxy.sandbox import Sandbox
from tests.support.canaries import Canaries
from tests.support.processes import Proxy, free_port, sandbox_config
from tests.support.site import register

LIMIT = 15.0  # seconds that anything is waited for
KEYS = ("bearer_proxy", "aiohttp", "asyncio", "concurrent.futures")
REJECTED = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
Settings = dict[str, Any]


def reply(status: str, *fields: str, body: str = "") -> bytes:
    """A whole answer, which ends with the connection: what is put into it later needs no counting."""
    lines = [f"HTTP/1.1 {status}", *fields, "Connection: close", "", body]
    return "\r\n".join(lines).encode()


class Vendor:
    """Answers each path with what `answers` has for its beginning, and closes.

    Nothing (`b""`) stalls until `release`, and so does what comes after an answer of `/half`.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.heads: list[str] = []
        self.port = 0
        self._stalled = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def release(self) -> None:
        """Let go on what stalls: with no answer."""
        self._stalled.set()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.release()
        await asyncio.gather(*self._tasks)

    async def asked(self, times: int) -> None:
        """Wait until it was asked that often."""
        async with asyncio.timeout(LIMIT):
            while len(self.heads) < times:
                await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            path = head.split(" ")[1]
            answer = next((data for start, data in self.answers.items() if path.startswith(start)), reply("200 Fine"))
            if answer:
                lengths = [line[15:] for line in head.split("\r\n") if line.lower().startswith("content-length:")]
                await reader.readexactly(sum(map(int, lengths)))
            else:
                await self._stalled.wait()
            writer.write(answer)
            await writer.drain()
            if path.startswith("/half"):
                await self._stalled.wait()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Inside:
    """A running proxy, all that it has written, and all that it has answered."""

    def __init__(self, canaries: Canaries, vendor: Vendor, port: int, admin: int) -> None:
        self.canaries = canaries
        self.vendor = vendor
        self.port = port
        self.admin = admin
        self.stream = io.StringIO()
        self.answers: list[str] = []
        self.core: Any = None
        self.running: Any = None

    @property
    def log(self) -> str:
        logs.lines().flush()
        return self.stream.getvalue()

    async def sign_in(self, name: str = "t") -> None:
        """Have the tokens that are canaries again, as if nothing had happened."""
        given = {key: self.canaries[key] for key in ("access_token", "refresh_token")}
        await self.core.put(name, tokens_in(given), Origin.IMPORT)

    async def send(self, data: bytes | str, port: int | None = None) -> str:
        """Send bytes, and give all that comes back until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port, limit=1 << 22)
        try:
            async with asyncio.timeout(LIMIT):
                with contextlib.suppress(ConnectionError):
                    writer.write(data.encode("latin-1") if isinstance(data, str) else data)
                    await writer.drain()
                    answer = (await reader.read(1 << 22)).decode("latin-1")
                    while more := await reader.read(1 << 22):
                        answer += more.decode("latin-1")
                    self.answers.append(answer)
                    return answer
                return ""
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def call(self, line: str = "GET /t/api", *fields: str, body: str = "") -> str:
        """One request to the data plane; give the whole answer."""
        named = [] if any(field.lower().startswith("host:") for field in fields) else ["Host: localhost"]
        framed = [f"Content-Length: {len(body)}"] if body else []
        head = [f"{line} HTTP/1.1", *named, "Connection: close", *fields, *framed]
        return await self.send("\r\n".join([*head, "", body]))

    async def ask(self, line: str, *fields: str, body: str = "", key: bool = True) -> str:
        """One request to the control plane, with the admin_key unless told otherwise."""
        given = [f"Authorization: Bearer {self.canaries['admin-key']}"] if key else []
        head = [f"{line} HTTP/1.1", "Host: localhost", "Connection: close", *given, *fields]
        framed = [f"Content-Length: {len(body)}"] if body else []
        return await self.send("\r\n".join([*head, *framed, "", body]), self.admin)

    async def look_everywhere(self) -> None:
        """Open all that the control plane shows."""
        for path in ("/", "/login/t", "/metrics", "/api/credentials", "/readyz", "/readyz?credential=t", "/healthz"):
            answer = await self.ask(f"GET {path}")
            assert answer.startswith(("HTTP/1.1 200", "HTTP/1.1 503")), answer

    def leaks(self, about: str = "") -> list[str]:
        """Name what came up in the log or in an answer since it was asked last."""
        seen = (("log", self.log), ("answer", "\n".join(self.answers)))
        self.answers.clear()
        self.stream.seek(0)
        self.stream.truncate()
        return [f"{about} {where}: {one}" for where, text in seen for one in self.canaries.found(text)]


def seeded_settings(canaries: Canaries, url: str, ports: tuple[int, int], more: Settings) -> Settings:
    """A configuration with a secret wherever there may be one.

    What is in `more` goes before it, or beside it in mappings and routes; None takes a key away.
    """
    provider = {"upstream": url, "token_url": f"{url}/token", "authorize_url": f"{url}/page", "orgs_path": "/orgs"}
    own: Settings = {
        "listen": f"127.0.0.1:{ports[0]}",
        "admin": f"127.0.0.1:{ports[1]}",
        "admin_key": canaries["admin-key"],
        "log_level": "debug",
        "renewal_guard": 0,
        "clients": {"erp": {"key": [canaries["client-key"], canaries["client-key-of-before"]]}},
        "providers": {"v": {**provider, "oauth_paths": ["/oauth"]}},
        "credentials": {"t": {"provider": "v", "client_id": "id", "client_secret": canaries["client-secret"]}},
        "routes": [
            {"prefix": "/t", "credential": "t"},
            {"prefix": "/o", "credential": "t", "upstream": url + "/{org_pk}"},
        ],
    }
    for key, value in more.items():
        if value is None:
            del own[key]
        elif isinstance(value, dict):
            own[key] = {**own.get(key, {}), **value}
        elif isinstance(value, list) and key == "routes":
            own[key] = own[key] + value
        else:
            own[key] = value
    return own


@contextlib.asynccontextmanager
async def inside(folder: Path, canaries: Canaries, **more: Any) -> AsyncIterator[Inside]:
    """Run one. `more` are settings, in which `{port}` is the vendor's."""
    vendor = Vendor()
    await vendor.start()
    ports = free_port(), free_port()
    settings = seeded_settings(canaries, f"http://127.0.0.1:{vendor.port}", ports, more)
    (folder / "config.yaml").write_text(json.dumps(settings).replace("{port}", str(vendor.port)))
    proxy = Inside(canaries, vendor, *ports)
    try:
        config, warnings = load(folder / "config.yaml", {})
        proxy.stream.write("\n".join(str(one) for one in warnings))
        with logging_to(proxy.stream, config.log_format):
            async with app.running(config) as proxy.running:
                proxy.core = proxy.running.core
                for name in {"t", "x"} & config.credentials.keys():
                    await proxy.sign_in(name)
                yield proxy
    finally:
        await vendor.stop()


@contextlib.contextmanager
def logging_to(stream: io.StringIO, log_format: str) -> Iterator[None]:
    """Log as the commands do, and as before afterwards."""
    loggers = [logging.getLogger(name) for name in KEYS]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    logs.configure(log_format, "debug", stream)
    try:
        yield
    finally:
        for one, handlers, level, propagate in before:
            one.handlers[:], one.level, one.propagate = handlers, level, propagate
            one.setLevel(level)


@pytest.fixture
def canaries() -> Canaries:
    """The secrets of a test."""
    found = Canaries()
    for name in ("access_token", "refresh_token", "client-secret", "client-key", "client-key-of-before", "admin-key"):
        assert found[name]
    return found


@pytest.fixture
async def signing(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A configured proxy that does not run, its callback registered at the vendors."""
    bare_proxy.configure(sandbox_config(vendors))
    await register(vendors, bare_proxy)
    return bare_proxy


Run = Callable[..., contextlib.AbstractAsyncContextManager[Inside]]


@pytest.fixture
def run(tmp_path: Path, canaries: Canaries) -> Run:
    """Runs a proxy inside the test."""
    return lambda **more: inside(tmp_path, canaries, **more)
