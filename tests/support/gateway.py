"""A vendor, a credential and a caller without sockets, for tests of the forwarder.

They fail as the real ones do: the vendor takes only the newest token, and what is read after its end or closed twice
shows. Each tells a `Stop` where it is, so that a test can hold or cancel a request at that point.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from proxy.callers.guesses import Guesses
from proxy.config import ORG_PK, Callers, CredentialConfig, RouteConfig, Upstream, presets
from proxy.credentials.record import Snapshot
from proxy.errors import CallerError, CredentialError, LoginRequiredError, RequestError
from proxy.gateway.admission import Admission
from proxy.gateway.body import Spool
from proxy.gateway.forward import Forwarder, Replay
from proxy.gateway.message import Downstream, Headers, Outbound, Readable, Request, Response, Trail, Upgraded
from proxy.gateway.routes import RouteTable, make_route
from proxy.secret import Secret
from tests.support.arriving import Arriving, Stop, There

MEMORY, LIMIT = 10, 100  # bytes of a body that are kept in memory, and at all
INVALID = b'{"error": "invalid_token"}'


class Answer:
    """A vendor's answer: a status, and chunks or the error that breaks it. Its end comes with the last chunk."""

    length: int | None = None
    upgraded: Upgraded | None = None

    def __init__(self, status: int, *chunks: bytes | RequestError, headers: Headers = ()) -> None:
        self.status = status
        self.reason = "Reason"
        self.headers = headers
        self.left = list(chunks)
        self.broken = False
        self.closed = 0
        self.place = "answer"
        self.stop = Stop()

    @property
    def ended(self) -> bool:
        return not self.left and not self.broken

    def at_hand(self) -> bytes:
        assert not self.closed
        return b""

    async def read(self) -> bytes:
        await self.stop(self.place)
        assert not self.closed
        item = self.left.pop(0) if self.left else b""
        if isinstance(item, RequestError):
            self.broken = True
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


class Vendor:
    """Gives `answers` first, then 200 to the newest token and 401 to any other.

    Of the first request it reads `reads` chunks before it answers, of any other all.
    """

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.answers: list[Answer | RequestError] = []
        self.reads: int | None = None
        self.newest = 1
        self.given: list[Answer] = []
        self.requests: list[Outbound] = []
        self.targets: list[str] = []  # of each sending: the same request may go out to another
        self.sent: list[tuple[int, bytes]] = []  # the token's generation, and the body as far as it was read

    async def __call__(self, request: Outbound, token: Secret) -> Answer:
        self.requests.append(request)
        self.targets.append(request.target)
        await self.stop(f"send {len(self.requests)}")
        generation = int(token.reveal().removeprefix("token-"))
        self.sent.append((generation, await self._read(request)))
        taken = generation == self.newest
        answer = self.answers.pop(0) if self.answers else Answer(200 if taken else 401, b"fine" if taken else INVALID)
        if isinstance(answer, RequestError):
            raise answer
        self.given.append(answer)
        answer.place, answer.stop = f"read {len(self.given)}", self.stop
        return answer

    async def _read(self, request: Outbound) -> bytes:
        reads = self.reads if len(self.requests) == 1 else None
        got: list[bytes] = []
        if request.body is not None and reads != 0:
            async for chunk in request.body:
                got.append(chunk)
                if len(got) == reads:
                    break
        return b"".join(got)


class Credential:
    """A token source: `replace` gives the next generation, or raises `error`."""

    def __init__(self, vendor: Vendor, stop: Stop) -> None:
        self.stop = stop
        self.vendor = vendor
        self.generation = 1
        self.error: CredentialError | None = None
        self.replaced: list[int] = []
        self.replays: list[tuple[int, bool]] = []
        self.worked_with: list[int] = []

    async def current(self) -> Snapshot:
        if self.generation == 0:
            raise LoginRequiredError("acme", "nobody has signed in yet", "run: bearer-proxy import acme")
        return self._snapshot()

    async def replace(self, rejected: int) -> Snapshot:
        self.replaced.append(rejected)
        await self.stop("renew")
        if self.error is not None:
            raise self.error
        self.generation = self.vendor.newest = rejected + 1
        return self._snapshot()

    def worked(self, generation: int) -> None:
        self.worked_with.append(generation)

    def replayed(self, generation: int, *, accepted: bool) -> None:
        self.replays.append((generation, accepted))

    def _snapshot(self) -> Snapshot:
        return Snapshot("acme", self.generation, Secret(f"token-{self.generation}"))


class Organization:
    """An organization source: gives `key`, or raises `error`."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.key = "KEY"
        self.error: RequestError | None = None
        self.asked = 0
        self.doubted: list[str] = []

    async def current(self) -> str:
        self.asked += 1
        await self.stop(f"organization {self.asked}")
        if self.error is not None:
            raise self.error
        return self.key

    def doubt(self, key: str) -> None:
        self.doubted.append(key)


class Bench:
    """A forwarder between these, with a route `/rc` to ReadyCloud and `/orders` to an organization's."""

    def __init__(self, folder: Path, callers: Callers = Callers()) -> None:  # noqa: B008 - frozen
        self.stop = Stop()
        self.vendor = Vendor(self.stop)
        self.credential = Credential(self.vendor, self.stop)
        self.organization = Organization(self.stop)
        self.spool = Spool(folder, 1000)
        self.trail = Trail()
        provider = presets()["readycloud"]
        orders = f"{provider.upstream}/api/v2/orgs/{ORG_PK}/orders"
        routes = [
            RouteConfig("readycloud", "acme", Upstream.parse(provider.upstream), "/rc"),
            RouteConfig("orders", "acme", Upstream.parse(orders), "/orders"),
        ]
        self.take = Forwarder(
            RouteTable(make_route(route, CredentialConfig("acme", provider)) for route in routes),
            {"acme": self.credential},
            {"acme": self.organization},
            self.vendor,
            Admission(callers, frozenset(), Guesses()),
            Replay(self.spool, MEMORY, LIMIT),
        )

    async def forward(
        self,
        method: str = "GET",
        target: str = "/rc/api",
        *body: bytes | CallerError,
        length: int | None = None,
        headers: Headers = (("Host", "localhost"),),
        peer: str = "127.0.0.1",
        there: bool = False,
    ) -> Response:
        """Forward one request; it has a body if it has chunks or a length, which may be `there` already."""
        has_body = bool(body) or length is not None
        self.trail = Trail()
        return await self.take(
            Request(
                method,
                target,
                list(headers),
                host=next((value for name, value in headers if name.lower() == "host"), ""),
                downstream=Downstream(address=peer, reached="127.0.0.1"),
                length=length,
                has_body=has_body,
                body=(There if there else Arriving)(self.stop, body) if has_body else None,
                trail=self.trail,
            )
        )

    def closed(self) -> list[int]:
        """Tell how often each of the vendor's answers was closed."""
        return [answer.closed for answer in self.vendor.given]


async def whole(body: Readable) -> bytes:
    """Read a body to its end."""
    parts = [body.at_hand()]
    while not body.ended:
        parts.append(await body.read())
    return b"".join(parts)


class Wire(asyncio.Transport):
    """A connection without a socket: what was written to it, whether it is read, and how it ended."""

    def __init__(self, *, half_closes: bool = True) -> None:
        super().__init__()
        self.protocol: asyncio.BaseProtocol | None = None
        self.half_closes = half_closes
        self.written = b""
        self.held = 0  # bytes that the other side has not taken
        self.reading = True
        self.ends: list[str] = []
        self.high: int | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.held

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return self.half_closes

    def write_eof(self) -> None:
        self.ends.append("eof")

    def is_closing(self) -> bool:
        return "close" in self.ends or "abort" in self.ends

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        if not self.is_closing():
            self.ends.append("close")

    def abort(self) -> None:
        if "abort" not in self.ends:
            self.ends.append("abort")
