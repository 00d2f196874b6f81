"""A command on a terminal of its own: what a person sees there, what is typed, and whether it is echoed."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tests.support.beside import NO_SCREEN, PATIENCE, until
from tests.support.processes import Proxy, environment


class Terminal:
    """The terminal, and the command on it."""

    def __init__(self, ours: int, theirs: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.screen = ""
        self._ours = ours
        self._theirs = theirs

    @property
    def echo(self) -> bool:
        """Whether what is typed would be shown."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    async def shows(self, text: str) -> str:
        """Wait until a text stands on the screen; give all that does, without carriage returns."""
        await until(lambda: text in self.screen or self.ended, f"{text!r} on {self.screen!r}")
        assert text in self.screen, self.screen
        return self.screen.replace("\r", "")

    async def asks(self, question: str) -> None:
        """Wait for a question that is answered without echo."""
        await self.shows(question)
        await until(lambda: not self.echo or self.ended, "echo is off")

    def type(self, text: str) -> None:
        """Type; a control character is what that key sends."""
        os.write(self._ours, text.encode())

    async def end(self) -> int:
        """Wait for the end of the command, and give its code."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
        self._read()  # what it wrote last
        return code

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    def _read(self) -> None:
        os.set_blocking(self._ours, False)
        try:
            while piece := os.read(self._ours, 1 << 16):
                self.screen += piece.decode()
        except BlockingIOError:
            pass
        finally:
            os.set_blocking(self._ours, True)


@asynccontextmanager
async def on_terminal(proxy: Proxy, *arguments: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Terminal]:
    """Run a command on the configuration of `proxy`; that terminal controls it, so that Ctrl-C is a signal."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        cwd=proxy.folder,
        env=environment({**NO_SCREEN, **(env or {})}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(name, os.O_RDWR)),  # makes it the controlling terminal
    )
    terminal = Terminal(ours, theirs, process)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, terminal._read)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
