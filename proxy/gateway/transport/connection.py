"""A caller's connection: its requests are answered one after the other, until either side has enough.

    a body that nobody reads    is taken for a while, so that its answer is not lost (nginx's lingering close)
    a caller that closes its    may still listen, or be gone: it is answered, and when nothing could be sent to it for
    side after its request      `lingering_timeout` it is taken for gone
    a caller that is gone       ends the forwarding of its request, not an exchange (T3)

What is written here is one connection's story; what a request becomes is told in `turn.py`.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from ...errors import CallerNotAdmittedError, ProxyLimitError, RequestError, RequestTimeoutError
from ..message import Downstream, Request, Upgraded
from .deadlines import Deadlines
from .inbox import Inbox
from .server import Member, Server
from .stream import Drain
from .turn import Turn

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST
_CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group
_GONE = "0.0.0.0"  # noqa: S104 - nobody's address: of a caller that was gone before we could see its own
_LINGER = 30.0  # seconds that what nobody reads is taken for (nginx's lingering_time)
_JOINED = 16 << 10  # bytes that are worth copying, to be sent as one
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One caller's connection to the listener called `listener`, where `scheme` is spoken."""

    def __init__(self, server: Server, listener: str, scheme: str) -> None:
        self.server = server
        self.downstream = Downstream(listener, scheme)
        self.transport: asyncio.Transport
        self.inbox: Inbox
        self.drain: Drain
        self._task: asyncio.Task[None]
        self._limit: Deadlines[Member] | None = None  # that the wait for a request has
        self._heard = False  # something has come
        self._served = False
        self._half_closed = False
        self._spoke = False  # something was sent since the caller closed its side
        self._lingers_until: float | None = None
        self.retired = False  # another connection is to be made for the next request
        self._tunnelled: Request | None = None  # what has made a tunnel of it
        self._welcome = True  # there is room for it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        server = self.server
        self.transport = transport  # type: ignore[assignment]
        self.downstream = self._introduced(self.downstream)
        self.retired = server.is_outdated(transport)
        self.drain = Drain(self.transport, server.send_limit, _not_taken)
        self.inbox = Inbox(self.transport, server.limits, server.known, server.body_limit, self._ask)
        if not server.join(self):
            self._welcome = False
            if server.crowded:
                self.transport.abort()
            self.inbox.refuse(ProxyLimitError("the proxy has as many callers' connections as it may have"))
        elif server.users is not None and not self.downstream.address and self.downstream.user not in server.users:
            self._welcome = False
            self.inbox.refuse(CallerNotAdmittedError("programs of this user may not call here: see socket_users"))
        else:
            self._watch(server.head_limit)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def _introduced(self, known: Downstream) -> Downstream:
        """See who the caller is, as far as its connection tells."""
        transport = self.transport
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        by_tcp = isinstance(here, tuple)  # a caller that has reset its connection has no name any more
        address = peer[0] if isinstance(peer, tuple) else _GONE
        return Downstream(
            known.listener,
            known.scheme,
            address if by_tcp else "",
            here[0] if by_tcp else "",
            self.server.identify(transport) if known.scheme == "https" else None,
            None if by_tcp else _user(transport),
        )

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        inbox = self.inbox
        self._heard = True
        if inbox.closed:
            if self._lingers_until is not None and self._welcome:
                self._linger()
            return
        inbox.feed(data)
        if inbox.waiting and self._limit is self.server.idle:  # a request has begun, and is not whole
            self._watch(self.server.head_limit)

    def eof_received(self) -> bool:
        """Stay open for a caller that has asked for something, and may still listen."""
        if self.inbox.waiting or not self.inbox.whole or self.downstream.scheme == "https":
            return False
        self._half_closed = True
        self._spoke = False
        self.inbox.finish()
        self.server.lingering.start(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """The caller is gone, or was sent away."""
        if self._limit is not None:
            self._limit.stop(self)
        self.server.lingering.stop(self)
        self.inbox.close()
        self._task.cancel()
        self.server.leave(self)

    def pause_writing(self) -> None:
        """The caller does not keep up."""
        self.drain.pause()

    def resume_writing(self) -> None:
        """The caller takes more again."""
        self.drain.resume()

    @property
    def spare(self) -> bool:
        """Whether nothing is under way, and it can be closed at once."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            return False
        return self.inbox.waiting or not self._heard or self._lingers_until is not None

    def close(self) -> None:
        """Close, with nothing under way."""
        self.server.leaves(self)
        self.transport.close()

    def idle_too_long(self) -> None:
        """Close, if there is still nothing under way; what the caller has not taken by now it will not take."""
        if self.inbox.waiting:
            if self.spare:
                self.close()
            else:
                self.abort()

    def head_late(self) -> None:
        """Answer a caller that has begun a request; close on one that has not."""
        if not self.inbox.waiting:
            return
        if self.inbox.fresh:
            self.close()
        else:
            self.inbox.refuse(RequestTimeoutError("the request's head did not come in time"))

    def lingered(self) -> None:
        """Wait no more for a caller that has closed its side, or that sends what nobody reads."""
        if self._lingers_until is not None or not self._spoke:
            self.abort()

    def retire(self) -> None:
        """Go after the answer under way, if a certificate says who the caller is: it may be good no more.

        Keys are looked at with each request, but a tunnel has none after its first.
        """
        tls = self.transport.get_extra_info("ssl_object")
        if tls is not None and tls.getpeercert(binary_form=True):
            self.retired = True
            self.stop()
        elif self._tunnelled is not None and not self.server.allows(self._tunnelled):
            self.close()

    def stop(self) -> None:
        """Take no more requests."""
        if self._tunnelled is not None or self.inbox.waiting:
            self.close()

    def abort(self) -> None:
        """Break off, with a reset: what was sent cannot look complete."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
        if self._tunnelled is not None and asyncio.current_task() is not self._task:
            self._task.cancel()  # and with it the tunnel

    def write(self, *data: bytes) -> None:
        """Send. Whoever sends much waits for `drain` between."""
        self._spoke = True
        if len(data[-1]) <= _JOINED:
            self.transport.write(b"".join(data))
        else:
            self.transport.writelines(data)

    def give_away(self, request: Request) -> Upgraded:
        """Give the connection to the protocol that `request` asked for, with what has come for it already."""
        self._tunnelled = request
        return Upgraded(self.transport, self.inbox.rest())

    async def _serve(self) -> None:
        """Answer one request after the other, then close."""
        inbox = self.inbox
        try:
            while not self.retired:
                item = inbox.take()
                if item is None:
                    if inbox.finished or self.server.stopping:
                        break
                    self._watch(self.server.idle if self._served and inbox.fresh else self.server.head_limit)
                    await inbox.wait()
                    continue
                if self._limit is not None:
                    self._limit.stop(self)
                if not isinstance(item, Request):
                    await Turn(self).refuse(item)
                    break
                self._served = True
                if not await Turn(self).run(item):
                    break
                if self.drain.full:  # a caller that asks on and reads no answers
                    await self.drain.drained()
            if not self.transport.is_closing():
                await self._part()
        except RequestError:
            self.abort()
        finally:
            if self._tunnelled is not None:
                self.server.leave(self)

    async def _part(self) -> None:
        """Close when the caller has taken all; where it still sends, take that for a while."""
        self.drain.empty()
        await self.drain.drained()
        if self._half_closed or (self.inbox.whole and self.inbox.fresh):
            self.close()
            return
        self.inbox.close()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger()

    def _linger(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._lingers_until is None:
            self._lingers_until = now + _LINGER
        if now > self._lingers_until:
            self.abort()
        else:
            self.server.lingering.start(self)

    def _watch(self, limit: Deadlines[Member]) -> None:
        """Have the wait for a request end by `limit`."""
        if self._limit is not limit:
            if self._limit is not None:
                self._limit.stop(self)
            self._limit = limit
        limit.start(self)

    def _ask(self) -> None:
        self.write(_CONTINUE)


def _user(transport: asyncio.BaseTransport) -> int:
    """Give the id of the user whose process has connected to a unix socket."""
    told = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(told)[1])


def _not_taken() -> RequestError:
    return RequestTimeoutError("the caller did not take its answer in time")
