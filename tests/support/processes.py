"""Real processes for black-box tests: the proxy as a user starts it, and commands beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from proxy.sandbox import CLIENT_ID, CLIENT_SECRET, VENDORS, Sandbox
from tests.support.imports import bring

ROOT = Path(__file__).parents[2]
READY_WITHIN = 15.0  # seconds
_PORTS = 12_000, 32_000  # below those that systems give out by themselves
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_GIVEN: set[int] = set()


def free_port() -> int:
    """A port that is free, given out once, by one worker, and by the system to nobody's outgoing connections."""
    first, last = _PORTS
    while True:
        port = random.randrange(first + _WORKER, last, _WORKERS)
        if port in _GIVEN:
            continue
        _GIVEN.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a command: ours, with warnings as loud as in the tests."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **(extra or {})}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


async def command(*arguments: str, stdin: str = "", cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Run `bearer-proxy ARGUMENTS` to its end, which is awaited for 30 s at most."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        cwd=cwd,
        env=environment(env),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    return Done(process.returncode or 0, out.decode(), err.decode())


@dataclass
class Proxy:
    """`bearer-proxy serve` in a process of its own, on ports of its own, in a folder of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def log(self) -> str:
        """All that it has written so far."""
        path = self.folder / "serve.log"
        return path.read_text() if path.exists() else ""

    def configure(self, text: str) -> None:
        """Write config.yaml: `text` below the listeners."""
        listeners = f"listen: 127.0.0.1:{self.port}\nadmin: 127.0.0.1:{self.admin_port}\n"
        (self.folder / "config.yaml").write_text(listeners + text)

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "proxy", "serve"],
                cwd=self.folder,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self._answers()

    async def stop(self) -> int:
        """End it as an orchestrator does, and give its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it with kill -9."""
        await self._end(signal.SIGKILL)

    async def command(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command on the same configuration."""
        return await command(*arguments, stdin=stdin, cwd=self.folder)

    async def bring_tokens(self, credential: str, tokens: object) -> None:
        """Import tokens, as a preparation: by a process that is forked, not started."""
        code, err = await asyncio.to_thread(bring, self.folder / "config.yaml", credential, json.dumps(tokens))
        assert code == 0, err

    async def credential(self, name: str) -> dict[str, object]:
        """What /api/credentials tells of one credential."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin_url}/api/credentials") as response:
            found = await response.json()
        return next(one for one in found["credentials"] if one["name"] == name)

    async def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, 30)

    async def _answers(self) -> None:
        end = time.monotonic() + READY_WITHIN
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < end:
                assert self.process is not None
                assert self.process.poll() is None, self.log
                try:
                    async with session.get(f"{self.admin_url}/healthz"):
                        pass
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except (aiohttp.ClientError, OSError):
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return
        raise AssertionError(f"the proxy did not answer: {self.log}")


def sandbox_config(
    vendors: Sandbox,
    more: str = "",
    *,
    providers: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> str:
    """The configuration for all three emulated vendors, each under a prefix of its name.

    `providers` and `credentials` hold further keys of theirs as YAML in one line: `{"cloud66": "scopes: [public]"}`.
    People sign in at `localhost`, so that the way back to 127.0.0.1 is cross-site, as in real life.
    """
    token_paths = {"readycloud": "/api/v1/oauth2/token/", "cloud66": "/oauth/token", "onecloud": "/oauth2/token"}
    pages = {"readycloud": "/api/v1/oauth2/authorize", "cloud66": "/oauth/authorize"}

    def further(keys: Mapping[str, str] | None, name: str) -> str:
        return f", {keys[name]}" if keys and name in keys else ""

    lines = ["providers:"]
    for name in VENDORS:
        url = vendors.url(name)
        page = f', authorize_url: "{localhost(url)}{pages[name]}"' if name in pages else ""
        end = page + further(providers, name)
        lines.append(f'  {name}: {{extends: {name}, upstream: "{url}", token_url: "{url}{token_paths[name]}"{end}}}')
    lines.append("credentials:")
    for name in VENDORS:
        secret = "" if name == "onecloud" else f", client_secret: {CLIENT_SECRET}"
        end = secret + further(credentials, name)
        lines.append(f"  {name}: {{provider: {name}, client_id: {CLIENT_ID}{end}}}")
    lines.append("routes:")
    lines += [f"  - {{prefix: /{name}, credential: {name}}}" for name in VENDORS]
    return "\n".join([*lines, more, ""])


def localhost(url: str) -> str:
    """The same place by its name, which is another site for a browser."""
    return url.replace("127.0.0.1", "localhost", 1)
