"""An upstream's answer that is looked into before it is passed on: what was seen comes first when it is read.

Never more than `LOOK` bytes are waited for, and never for long: an answer that has to wait for an exchange, and its
connection, need not wait for its body too.
"""

from __future__ import annotations

import asyncio

from ..errors import UpstreamError
from .judge import LOOK, Verdict, judge_body
from .message import Headers, Incoming, Upgraded

_PATIENCE = 2.0  # seconds that a body which is looked into may keep its caller, or an exchange, waiting


class SeenAnswer:
    """An answer, with what was read of it before its time."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._seen = b""
        self._broken: UpstreamError | None = None
        self.status = incoming.status
        self.reason = incoming.reason
        self.headers: Headers = incoming.headers
        self.length = incoming.length
        self.upgraded: Upgraded | None = None
        self.close = incoming.close

    async def judge(self, verdict: Verdict) -> bool:
        """Look into the body; tell whether the answer is a rejection. `verdict` is what its head says."""
        rejected = verdict is Verdict.REJECTED
        self._seen = self._incoming.at_hand()
        try:
            async with asyncio.timeout(_PATIENCE):
                while not self.ended and len(self._seen) <= LOOK:
                    self._seen += await self._incoming.read()
        except TimeoutError:
            pass  # it keeps its connection, and its body goes on when it is passed on
        except UpstreamError as error:
            # Upstreams that reject before they have read the body often close on it: the status has come all the same.
            if not rejected:
                raise
            self._broken = error
        if verdict is Verdict.LOOK and self.ended and len(self._seen) <= LOOK:
            return judge_body(self.status, self.headers, self._seen)
        return rejected

    @property
    def ended(self) -> bool:
        """Whether all of the body has come."""
        return self._incoming.ended

    def at_hand(self) -> bytes:
        """Give what has come and was not passed on yet."""
        seen, self._seen = self._seen, b""
        return seen + self._incoming.at_hand()

    async def read(self) -> bytes:
        """Give the body's next bytes, empty at the end. Raises `UpstreamError`."""
        if self._seen:
            return self.at_hand()
        if self._broken is not None:
            raise self._broken
        return await self._incoming.read()
