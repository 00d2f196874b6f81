"""Commands that run beside a test: what they print, what is typed, and what of them stands in the process list."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.support.processes import Done, Proxy, environment

NO_SCREEN = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}  # so that no window opens on a developer's desktop
PATIENCE = 20.0  # seconds


async def until(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"still not: {what}"
        await asyncio.sleep(0.01)


class Running:
    """A command that runs, and all that it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = ""
        self.err = ""
        self._readers = [
            asyncio.create_task(self._read(process.stdout, "out")),
            asyncio.create_task(self._read(process.stderr, "err")),
        ]

    async def prints(self, text: str) -> None:
        """Wait until it has printed a text."""
        await until(lambda: text in self.out or self._ended(), f"{text!r} in {self.out!r}")
        assert text in self.out, self.out + self.err

    async def url(self, number: int = 0) -> str:
        """The first address that it prints on a line of its own, or a later one."""
        await until(lambda: len(self._urls()) > number or self._ended(), f"an address in {self.out!r}")
        assert len(self._urls()) > number, self.out + self.err
        return self._urls()[number]

    def type(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    async def done(self, within: float = PATIENCE) -> Done:
        """Wait for its end."""
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return Done(code, self.out, self.err)

    def _urls(self) -> list[str]:
        return re.findall(r"^(http\S+)\n", self.out, re.MULTILINE)

    def _ended(self) -> bool:
        return all(reader.done() for reader in self._readers)

    async def _read(self, stream: asyncio.StreamReader | None, name: str) -> None:
        assert stream is not None
        while piece := await stream.read(1 << 16):
            setattr(self, name, getattr(self, name) + piece.decode())


@asynccontextmanager
async def running(
    proxy: Proxy, *arguments: str, env: Mapping[str, str] | None = None, stdin: int = asyncio.subprocess.PIPE
) -> AsyncIterator[Running]:
    """Run a command on the configuration of `proxy`, with its standard input open; no browser opens unless told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        cwd=proxy.folder,
        env=environment({**NO_SCREEN, **(env or {})}),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    command = Running(process)
    try:
        yield command
    finally:
        if process.returncode is None:
            process.kill()
        await command.done()


def script(path: Path, text: str) -> str:
    """Make a shell script to be run as BROWSER, and give its path."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


class Arguments:
    """The command lines of all processes of this machine, looked at again and again."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._end = threading.Event()

    def watch(self) -> None:
        while not self._end.wait(0.005):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        self.seen.add(Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1"))

    def stop(self) -> None:
        self._end.set()


@contextmanager
def watched_arguments() -> Iterator[Arguments]:
    """Watch what stands in the process list while the context is open."""
    arguments = Arguments()
    watcher = threading.Thread(target=arguments.watch)
    watcher.start()
    try:
        yield arguments
    finally:
        arguments.stop()
        watcher.join()
