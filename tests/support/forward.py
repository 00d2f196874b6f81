"""A forward proxy on raw streams: it records what reaches it, refuses what it is told to, and leads tunnels on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_PIECE = 1 << 16  # bytes that are read at once


class ForwardProxy:
    """Answers CONNECT with `answer`, and opens a tunnel to the port `target` if there is one.

    Hosts among `refusals` get those bytes and no tunnel. Requests for http it answers by itself.
    """

    def __init__(
        self, target: int = 0, answer: Sequence[bytes] = (ESTABLISHED,), refusals: Mapping[str, bytes] | None = None
    ) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        self.seen = bytearray()  # all that passed through it
        self._target = target
        self._answer = answer
        self._refusals = refusals or {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def lines(self) -> list[bytes]:
        """The request lines that came."""
        return [head.split(b"\r\n")[0] for head in self.heads]

    def environ(self, userinfo: str = "") -> dict[str, str]:
        """The environment that names it."""
        return {"HTTPS_PROXY": f"http://{userinfo}127.0.0.1:{self.port}"}

    @contextlib.asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[ForwardProxy]:
        """Serve on a listening socket that outlives it; its tunnels end when it does."""
        server = await asyncio.start_server(self._until_told, sock=listener.dup())
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end, which is for the caller to close."""
        while await self._exchange(await reader.readuntil(b"\r\n\r\n"), reader, writer):
            pass

    async def _until_told(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.serve(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _exchange(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one head; False when nothing is to follow."""
        self.heads.append(head)
        self.seen += head
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        if method != b"CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + (b"" if method == b"HEAD" else b"plain"))
            return True
        refusal = self._refusals.get(target.decode().rpartition(":")[0])
        for piece in self._answer if refusal is None else (refusal,):
            writer.write(piece)
            await writer.drain()
        if refusal is None and self._target:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._pour(reader, back), self._pour(there, writer))
            with contextlib.suppress(OSError):
                await back.wait_closed()
        return False

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(_PIECE):
                    self.seen += data
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
