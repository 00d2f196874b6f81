"""The values that travel through the gateway, and the protocols that a transport fills in. Nothing here does I/O.

Texts of a message are its bytes as Latin-1, one character a byte, both ways: what is not ASCII passes as it came (D2).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..config import ClientConfig, Upstream
from ..errors import CallerError, RequestError
from ..secret import Secret

Field = tuple[str, str]
Headers = Sequence[Field]


@dataclass(slots=True)
class Trail:
    """What happened to one request, for its log line. Holds no value of a query and no token.

    `address` is the caller's where an outer proxy tells it.
    """

    client: str = ""
    address: str = ""
    route: str = ""
    credential: str = ""
    generation: int | None = None
    replayed: bool = False
    error: str = ""


class Readable(Protocol):
    """A body as it arrives."""

    @property
    def ended(self) -> bool:
        """Whether all of it has come, though it may not have been read."""

    def at_hand(self) -> bytes:
        """Give what has come and was not read yet, without waiting."""

    async def read(self) -> bytes:
        """Give the next bytes, empty at the end. Raises `RequestError`."""


class Arriving(Readable, Protocol):
    """A body as it arrives, counted."""

    @property
    def received(self) -> int:
        """How many bytes of it have come."""

    @property
    def error(self) -> RequestError | None:
        """Why no more will come."""


class Downstream:
    """How a caller is connected: one for each connection (the word is Envoy's).

    `listener` names the one it came in by, `scheme` is spoken there. `address` is the caller's, `reached` is ours, both
    IP and empty over a unix socket, where `user` is the id of the user whose program calls. `client` is whom its
    certificate shows. `key` is what routes and limits depend on.
    """

    __slots__ = ("address", "client", "key", "listener", "reached", "scheme", "user")

    def __init__(
        self,
        listener: str = "",
        scheme: str = "http",
        address: str = "",
        reached: str = "",
        client: ClientConfig | None = None,
        user: int | None = None,
    ) -> None:
        self.listener = listener
        self.scheme = scheme
        self.address = address
        self.reached = reached
        self.client = client
        self.user = user
        self.key = listener, scheme, "" if client is None else client.name


@dataclass(slots=True)
class Request:
    """A caller's request, read only once it is whole (D1). `target` is as it came, `headers` in order with repeats.

    `host` is what its Host field says. `length` is the body's in bytes; None with `has_body` means chunked. `expects`
    tells that the caller waits for 100. `upgrade` is the protocol that it would rather speak, empty for none (RFC 9110
    section 7.8). `raw` are the bytes of its head, where what follows from them is to be remembered. `added` are fields
    that every answer to it bears.
    """

    method: str
    target: str = field(repr=False)
    headers: Headers = field(repr=False)
    version: str = "1.1"
    host: str = ""
    raw: bytes = field(default=b"", repr=False)
    length: int | None = None
    has_body: bool = False
    keep_alive: bool = True
    expects: bool = False
    upgrade: str = ""
    downstream: Downstream = field(default_factory=Downstream, compare=False)
    added: Sequence[Field] = ()
    body: Arriving | None = None
    trail: Trail = field(default_factory=Trail)


@dataclass(slots=True)
class Outbound:
    """The request that goes to the upstream: built anew, all but the token, which is added as it is sent (D1).

    `wire` is its head in bytes, but for the token, once it has been made.
    """

    method: str
    upstream: Upstream
    target: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: Body | None = field(default=None, repr=False)
    upgrade: str = ""
    wire: bytes = field(default=b"", repr=False)


class Body(Protocol):
    """A request body that can be sent: each iteration begins at its first byte."""

    error: CallerError | None

    @property
    def replayable(self) -> bool:
        """Whether an iteration can begin at the first byte again."""

    @property
    def length(self) -> int | None:
        """The length in bytes, None for chunked."""

    @property
    def whole(self) -> bytes | None:
        """All of it, if it lies in memory."""

    async def rest(self) -> bool:
        """Read what the caller still sends; tell whether the whole body is then at hand for another sending."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Incoming(Readable, Protocol):
    """An upstream's response. `length` is its body's in bytes, None where that is not known."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def length(self) -> int | None: ...
    @property
    def upgraded(self) -> Upgraded | None:
        """The connection as it stands after `101 Switching Protocols`."""

    def close(self) -> None: ...


class Sender(Protocol):
    """Sends one request with one token. Raises `UpstreamError`, or the `CallerError` that a body ended with."""

    async def __call__(self, request: Outbound, token: Secret) -> Incoming: ...


class Upgraded(NamedTuple):
    """A connection that speaks another protocol from now on, and what has come of it already."""

    transport: asyncio.Transport
    received: bytes


class Response(NamedTuple):
    """What goes to the caller. `headers` are its own to add to. `length` is the body's in bytes, None where not known.

    `close` must be called when it is done with, whole or not.
    """

    status: int
    reason: str
    headers: list[Field]
    body: Readable
    length: int | None
    close: Callable[[], None] = lambda: None
    upgraded: Upgraded | None = None

    def __repr__(self) -> str:
        """Show no field: among them may be cookies."""
        return f"<a response {self.status}>"


class Whole:
    """A body that is there from the start."""

    ended = True

    def __init__(self, data: bytes) -> None:
        self._data = data

    def at_hand(self) -> bytes:
        """Give all that was not read yet."""
        data, self._data = self._data, b""
        return data

    async def read(self) -> bytes:
        """Give all that was not read yet; then nothing."""
        return self.at_hand()


class Arrived(Whole):
    """A request's body that came with its head."""

    error = None

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.received = len(data)


def first(headers: Headers, name: str) -> str:
    """Give the first value of a field, compared without case, or an empty text."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), "")
