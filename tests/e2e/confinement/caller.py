"""A caller that sends raw requests, many at a time on one connection, and begins a new one where that was closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from tests.e2e import conftest

_MANY = 16  # requests that are sent before their answers are read


@dataclass(frozen=True)
class Outcome:
    """What became of a request: refused by the proxy, declined by the upstream, or answered there.

    `paths` are those as which the upstream read it. `closed`: its own router took it for a closed endpoint. `number`
    counts all that arrives, where the upstream counts.
    """

    status: int
    refused: bool
    paths: tuple[str, ...] = ()
    method: str = ""
    closed: bool = False
    number: int = 0


def outcome(answer: conftest.Answer) -> Outcome:
    """Read an answer."""
    refused = any(b"bearer-proxy; error=" in value for value in answer.values(b"proxy-status"))
    if refused or answer.status != 200:
        return Outcome(answer.status, refused)
    if answer.values(b"content-type") == [b"text/plain"]:
        _, _, path = answer.body.decode("latin-1").partition("\n")
        return Outcome(200, False, (path,), closed=path == "/closed")
    told = json.loads(answer.body)
    return Outcome(200, False, tuple(told["paths"]), told["method"], told["closed"], told.get("number", 0))


class Caller:
    """Somebody on a connection that is kept as long as the proxy keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: conftest.Caller | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def calling(cls, port: int) -> AsyncIterator[Caller]:
        """Call while the context is open."""
        caller = cls(port)
        try:
            yield caller
        finally:
            await caller._close()

    async def ask(self, requests: Sequence[bytes]) -> list[Outcome]:
        """Send requests in order, some at a time, and give what became of each. None of them may be a HEAD.

        What the proxy left unanswered when it closed a connection is sent again on another one.
        """
        outcomes: list[Outcome] = []
        while len(outcomes) < len(requests):
            connection = await self._open()
            batch = requests[len(outcomes) : len(outcomes) + _MANY]
            with contextlib.suppress(ConnectionError):
                await connection.send(b"".join(batch))
            before = len(outcomes)
            for _ in batch:
                try:
                    answer = await connection.answer()
                except (ConnectionError, asyncio.IncompleteReadError):
                    assert len(outcomes) > before, "the connection was closed without an answer"
                    await self._close()
                    break
                outcomes.append(outcome(answer))
                if b"close" in [value.lower() for value in answer.values(b"connection")]:
                    await self._close()
                    break
        return outcomes

    async def _open(self) -> conftest.Caller:
        if self._connection is None:
            self._connection = conftest.Caller(*await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20))
        return self._connection

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
