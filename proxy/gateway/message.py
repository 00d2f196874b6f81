"""The values that travel through the gateway, and the protocols that a transport fills in. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..config import Upstream
from ..errors import CallerError
from ..secret import Secret

Headers = Sequence[tuple[str, str]]


@dataclass(slots=True)
class Trail:
    """What happened to one request, for its log line. Holds no value of a query and no token."""

    route: str = ""
    credential: str = ""
    generation: int | None = None
    replayed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A caller's request. `target` is the request target as it came, `headers` in order with repeats.

    `listener` names the listener it came in by, `peer` is the caller's IP address (empty on a unix socket). `length`
    is what Content-Length says; None with `read` given means chunked. `read` gives bytes, empty at the end.
    """

    method: str
    target: str
    headers: Headers
    listener: str = ""
    peer: str = ""
    length: int | None = None
    read: Callable[[], Awaitable[bytes]] | None = None
    trail: Trail = field(default_factory=Trail)


@dataclass(frozen=True, slots=True)
class Outbound:
    """The request that goes to the upstream: built anew, all but the token, which is added as it is sent (D1)."""

    method: str
    upstream: Upstream
    target: str
    headers: Headers
    body: Body | None = None


class Body(Protocol):
    """A request body that can be sent: each iteration begins at its first byte."""

    error: CallerError | None

    @property
    def replayable(self) -> bool:
        """Whether an iteration can begin at the first byte again."""

    @property
    def length(self) -> int | None:
        """The length in bytes, None for chunked."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Incoming(Protocol):
    """An upstream's response. `read` gives the body's next bytes, empty at its end; it raises `UpstreamError`."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    async def read(self) -> bytes: ...
    def close(self) -> None: ...


class Sender(Protocol):
    """Sends one request with one token. Raises `UpstreamError`."""

    async def __call__(self, request: Outbound, token: Secret) -> Incoming: ...


@dataclass(frozen=True, slots=True)
class Response:
    """What goes to the caller. `close` must be called when it is done with, whole or not."""

    status: int
    reason: str
    headers: Headers
    body: AsyncIterator[bytes]
    close: Callable[[], None] = lambda: None


def field_text(raw: bytes) -> str:
    """Read a field's bytes. What is not UTF-8 is Latin-1 by custom (RFC 9110 section 5.5) and goes on as UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def first(headers: Headers, name: str) -> str:
    """Give the first value of a field, compared without case, or an empty text."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), "")
