"""An upstream on raw streams: it records what reaches it byte for byte, and answers by a script that the test gives.

A script is a list of answers, one for each request in the order in which heads arrive; after its end everything is
answered 200. An answer is a list of steps: bytes are sent as they are, an event is waited for, a `Do` is done. `/token`
is a token endpoint beside the script, as strict as real ones: each refresh token works once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qs

from tests.support.resets import reset

LIMIT = 15.0  # seconds that anything is waited for
PIECE = 1 << 16  # bytes that are read at once
_PARTING = 2.0  # seconds that the proxy has to close idle connections when told to


class Do(Enum):
    """A step of an answer that is not bytes."""

    READ = "read the request's body to its end"
    CLOSE = "close the connection in order"
    RESET = "close the connection with a reset"
    WATCH = "wait until the proxy closes the connection"


Step = bytes | asyncio.Event | Do
Answer = Sequence[Step]


def reply(status: int = 200, *fields: bytes, body: bytes = b"ok", reason: bytes = b"Fine") -> list[Step]:
    """An answer with Content-Length, given when the request has been read."""
    head = (b"HTTP/1.1 %d %s" % (status, reason), *fields, b"Content-Length: %d" % len(body))
    return [Do.READ, b"\r\n".join(head) + b"\r\n\r\n" + body]


def early(answer: Answer) -> list[Step]:
    """The same answer before the request's body has been read."""
    return [step for step in answer if step is not Do.READ] + [Do.READ]


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of no data, its end."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass
class Recorded:
    """A request as it came: the request line and the header lines without their CRLF, the body unframed."""

    line: bytes
    fields: list[bytes]
    connection: int
    received: bytearray = field(default_factory=bytearray)
    whole: bool = False

    @property
    def body(self) -> bytes:
        """The body as far as it has come."""
        return bytes(self.received)

    @property
    def target(self) -> bytes:
        return self.line.split(b" ", 1)[1].rpartition(b" ")[0]

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        pairs = [line.partition(b":") for line in self.fields]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]

    @property
    def token(self) -> bytes:
        """The bearer token, of which there must be one."""
        (value,) = self.values(b"authorization")
        return value.removeprefix(b"Bearer ")


@dataclass
class Tokens:
    """What the token endpoint hands out: the newest refresh token works once, and client credentials always do."""

    count: int = 1

    @property
    def access(self) -> bytes:
        return b"access-%d" % self.count

    def pair(self) -> dict[str, str]:
        """The current tokens, in the form in which they are imported and handed out."""
        return {
            "access_token": self.access.decode(),
            "refresh_token": f"refresh-{self.count}",
            "token_type": "bearer",
        }

    def answer(self, body: bytes) -> list[Step]:
        """The token endpoint's answer to a form."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("grant_type") == "client_credentials":
            return self._json(200, {"access_token": "app", "token_type": "bearer"})
        if form.get("refresh_token") != f"refresh-{self.count}":
            return self._json(400, {"error": "invalid_grant"})
        self.count += 1
        return self._json(200, self.pair())

    def _json(self, status: int, value: dict[str, str]) -> list[Step]:
        return reply(status, b"Content-Type: application/json", body=json.dumps(value).encode())


class Upstream:
    """Serves on a listening socket that outlives it. Its connections close, as seen by the proxy too, when it does."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens or Tokens()
        self.requests: list[Recorded] = []
        self.exchanges = 0
        self.hold_exchange: asyncio.Event | None = None
        self.connections = 0
        self.sent = 0
        self.gone: set[int] = set()
        self._script: list[Answer] = []
        self._news = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._idle: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def serving(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
        """Serve while the context is open."""
        server = await asyncio.start_server(self._serve, sock=listener.dup(), ssl=tls, limit=1 << 20)
        try:
            yield self
        finally:
            server.close()
            await self._part()

    def script(self, *answers: Answer) -> None:
        """Add answers for the requests to come."""
        self._script += answers

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition on what is recorded holds."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def request(self, index: int = 0, *, body: int = 0) -> Recorded:
        """The request of that index, as soon as its head and so many bytes of its body are there."""
        await self.until(lambda: len(self.requests) > index and len(self.requests[index].received) >= body)
        return self.requests[index]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        number = self.connections
        self.connections += 1
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # only `_part` cancels, and asyncio's streams would complain of it
        finally:
            self.gone.add(number)
            self._news.set()
            del self._tasks[task]
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """One request answered; False when the connection is not to be used again."""
        self._idle.add(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        self._idle.discard(writer)
        line, *fields = head[:-4].split(b"\r\n")
        seen = Recorded(line, fields, number)
        if seen.target == b"/token":
            await self._read(reader, seen)
            self.exchanges += 1
            held = [self.hold_exchange] if self.hold_exchange else []
            steps: Answer = [*held, *self.tokens.answer(seen.body)]
        else:
            self.requests.append(seen)
            steps = self._script.pop(0) if self._script else reply()
        self._news.set()
        for step in (*steps, Do.READ):
            if not await self._step(step, reader, writer, seen):
                return False
        return True

    async def _step(
        self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Recorded
    ) -> bool:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
            self.sent += len(step)
            self._news.set()
        elif isinstance(step, asyncio.Event):
            async with asyncio.timeout(LIMIT):
                await step.wait()
        elif step is Do.READ:
            await self._read(reader, seen)
        elif step is Do.WATCH:
            while await reader.read(PIECE):
                pass
            return False
        else:
            if step is Do.RESET:
                reset(writer)
            return False
        return True

    async def _read(self, reader: asyncio.StreamReader, seen: Recorded) -> None:
        """Read what is left of a body."""
        if seen.whole:
            return
        if seen.values(b"transfer-encoding"):
            while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                await self._take(reader, seen, size)
                await reader.readexactly(2)
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
        else:
            await self._take(reader, seen, sum(map(int, seen.values(b"content-length"))))
        seen.whole = True
        self._news.set()

    async def _take(self, reader: asyncio.StreamReader, seen: Recorded, size: int) -> None:
        while size:
            data = await reader.read(min(size, PIECE))
            if not data:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(data)
            seen.received += data
            self._news.set()

    async def _part(self) -> None:
        """End what is under way; let the proxy close what is idle, so that it has nothing stale in its pool."""
        tasks = dict(self._tasks)
        for task, writer in tasks.items():
            if writer in self._idle and writer.can_write_eof():
                with contextlib.suppress(OSError):  # the proxy was quicker
                    writer.write_eof()
            else:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_PARTING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
