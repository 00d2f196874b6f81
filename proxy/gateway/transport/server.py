"""What all callers' connections share: what answers them, their time limits, their number, and their end in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Protocol

from ...config import ClientConfig, Limits
from ...metrics import Metrics
from ..accesslog import AccessLog
from ..memo import Memo
from ..message import Request, Response
from .deadlines import Deadlines
from .inbox import Known
from .stream import Drain, Stream
from .tunnel import Tunnel

Forward = Callable[[Request], Awaitable[Response]]
Identify = Callable[[asyncio.BaseTransport], ClientConfig | None]
Allows = Callable[[Request], bool]

REFUSED = 32  # connections beyond the limit that are told so
_LEAVING = 16  # connections beyond the limit that their callers may still close
_LOOK = 64  # connections that are looked at for one that can give way


class Member(Protocol):
    """A caller's connection, as the server sees it."""

    @property
    def spare(self) -> bool:
        """Whether nothing is under way, and it can be closed at once."""

    def retire(self) -> None:
        """Go where what admitted the caller may be good no more: after the answer under way, or out of a tunnel."""

    def close(self) -> None:
        """Close it: another needs its place."""

    def idle_too_long(self) -> None:
        """No request has come in time."""

    def head_late(self) -> None:
        """A request has not come whole in time."""

    def lingered(self) -> None:
        """The caller, which has closed its side or still sends, was waited for long enough."""

    def stop(self) -> None:
        """Take no more requests; close now, or when the answer under way is out."""

    def abort(self) -> None:
        """Break it off."""


class Server:
    """Serves callers with `forward`, `most` connections at a time. Make it inside a running loop; `stop` ends it.

    `identify` tells whose certificate a connection has, `is_outdated` whether it was shown to authorities of before.
    Over unix sockets only `users` may call, None for all.
    """

    def __init__(
        self,
        forward: Forward,
        limits: Limits,
        log: AccessLog | None,
        metrics: Metrics | None,
        most: int,
        identify: Identify = lambda _: None,
        is_outdated: Callable[[asyncio.BaseTransport], bool] = lambda _: False,
        users: frozenset[int] | None = None,
    ) -> None:
        self.forward = forward
        self.identify = identify
        self.allows: Allows = lambda _: True
        self.is_outdated = is_outdated
        self.users = users
        self.limits = limits
        self.log = log
        self.metrics = metrics
        self._most = most
        self.known: Known = Memo()
        self.in_flight = 0
        self.stopping = False
        self.keeps_alive = limits.keepalive_timeout > 0
        self.idle: Deadlines[Member] = Deadlines(limits.keepalive_timeout, lambda member: member.idle_too_long())
        self.head_limit: Deadlines[Member] = Deadlines(limits.client_header_timeout, lambda member: member.head_late())
        self.body_limit: Deadlines[Stream] = Deadlines(limits.client_body_timeout, Stream.expire)
        self.send_limit: Deadlines[Drain] = Deadlines(limits.client_send_timeout, Drain.expire)
        self.lingering: Deadlines[Member] = Deadlines(limits.lingering_timeout, lambda member: member.lingered())
        self.tunnel_limit: Deadlines[Tunnel] = Deadlines(limits.tunnel_timeout, Tunnel.abort)
        self.tunnel_stalled: Deadlines[Tunnel] = Deadlines(limits.client_send_timeout, Tunnel.abort)
        self._members: set[Member] = set()
        self._leaving: dict[Member, None] = {}  # closed here, in this order; with TLS their callers have to close too
        self._empty: asyncio.Future[None] | None = None

    def reload(self, forward: Forward, identify: Identify, allows: Allows) -> None:
        """Answer with another `forward` from now on. Whoever has shown a certificate has to show it anew.

        Tunnels stay that `allows` would have opened now.
        """
        self.forward = forward
        self.identify = identify
        self.allows = allows
        for member in [*self._members]:
            member.retire()

    def join(self, member: Member) -> bool:
        """Take a new connection in. False if there are too many already, and none of them can give way (D9)."""
        self._members.add(member)
        if self.stopping:
            member.close()  # its TLS handshake was under way
        if len(self._members) - len(self._leaving) > self._most and not self._made_room():
            return False
        while len(self._leaving) > _LEAVING and len(self._members) > self._most:
            oldest = next(iter(self._leaving))
            self.leave(oldest)
            oldest.abort()
        return True

    def _made_room(self) -> bool:
        """Close one that has its answer and still sends; else who was idle longest; else who is longest with a head."""
        for waiting in (self.lingering, self.idle, self.head_limit):
            spare = next((one for one in islice(waiting, _LOOK) if one.spare), None)
            if spare is not None:
                waiting.stop(spare)
                spare.close()
                return True
        return False

    def leaves(self, member: Member) -> None:
        """Hear that a connection is being closed here."""
        if member in self._members:
            self._leaving[member] = None

    @property
    def crowded(self) -> bool:
        """Whether too many are being told that there are too many."""
        return len(self._members) > self._most + REFUSED

    def leave(self, member: Member) -> None:
        """Hear that a connection is closed."""
        self._members.discard(member)
        self._leaving.pop(member, None)
        if not self._members and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    @property
    def open(self) -> int:
        """How many callers are connected."""
        return len(self._members)

    async def stop(self, limit: float) -> None:
        """Let requests under way finish, for `limit` seconds, then break them off."""
        self.stopping = True
        for member in [*self._members]:
            member.stop()
        try:
            async with asyncio.timeout(limit):
                await self._left()
        except TimeoutError:
            for member in [*self._members]:
                member.abort()
            await self._left()
        for deadlines in (self.idle, self.head_limit, self.body_limit, self.send_limit, self.lingering):
            deadlines.close()
        self.tunnel_limit.close()
        self.tunnel_stalled.close()

    async def _left(self) -> None:
        """Wait until no connection is open."""
        if self._members:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty
