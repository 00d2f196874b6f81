"""One request forwarded: placed, sent with a token, judged, and after a rejection sent once more with a newer one.

Knows no transport: requests come in and responses go out as values, and a `Sender` does the sending. The case list
after a rejection (T2, T6 to T8, D5):

    a newer token, the whole body at hand     sent again; that answer goes to the caller, whatever it is
    a newer token, the body no longer whole   the vendor's answer, and Retry-After: 0
    only a person can help, or the guard      the vendor's answer, and why in Proxy-Status
    renewal is backing off                    503 with Retry-After

Where the credential's organization belongs in the path, it is asked for before each sending; an answer that says 403 or
404 then casts doubt on it, and goes to the caller as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from ..config import Anonymous
from ..credentials.record import Snapshot
from ..errors import (
    CallerNotAdmittedError,
    LoginRequiredError,
    MethodNotImplementedError,
    RenewalGuardedError,
    UpstreamError,
)
from .body import KeptBody, Spool
from .headers import inbound, outbound, proxy_status
from .judge import LOOK, Verdict, judge_body, judge_head
from .message import Headers, Incoming, Outbound, Request, Response, Sender
from .routes import Place, RouteTable

_PATIENCE = 2.0  # seconds that a body which is looked into may keep its caller, or an exchange, waiting
_NEVER_FORWARDED = frozenset({"CONNECT", "TRACE"})


class TokenSource(Protocol):
    """What the gateway needs of a credential."""

    async def current(self) -> Snapshot: ...
    async def replace(self, rejected: int) -> Snapshot: ...
    def replayed(self, generation: int, *, accepted: bool) -> None: ...
    def worked(self, generation: int) -> None: ...


class OrganizationSource(Protocol):
    """Which organization a credential's grant opens."""

    async def current(self) -> str: ...
    def doubt(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Replay:
    """What of a request body is kept for a second sending: `memory` and `limit` in bytes."""

    spool: Spool
    memory: int
    limit: int


class Forwarder:
    """Forwards requests by `routes`, with tokens of `credentials` and their `organizations`, through `send`."""

    def __init__(
        self,
        routes: RouteTable,
        credentials: Mapping[str, TokenSource],
        organizations: Mapping[str, OrganizationSource],
        send: Sender,
        anonymous: Anonymous,
        replay: Replay,
    ) -> None:
        self._routes = routes
        self._credentials = credentials
        self._organizations = organizations
        self._send = send
        self._anonymous = anonymous
        self._replay = replay

    async def __call__(self, request: Request) -> Response:
        """Give the response for the caller. Raises `RequestError` for an answer of our own."""
        if not self._anonymous.admits(request.peer):
            raise CallerNotAdmittedError("callers from this address are not admitted: see anonymous in config.yaml")
        if request.method in _NEVER_FORWARDED:
            raise MethodNotImplementedError(f"{request.method} is never forwarded")
        hosts = [value for name, value in request.headers if name.lower() == "host"]
        place = self._routes.place(request.method, request.target, hosts, request.listener)
        request.trail.route, request.trail.credential = place.route.name, place.route.credential
        body = self._body(request)
        try:
            response = await self._forward(request, place, body)
        except BaseException:
            _close(body)
            raise
        return response if body is None else replace(response, close=_both(response.close, body.close))

    async def _forward(self, request: Request, place: Place, body: KeptBody | None) -> Response:
        """Send, and send once more after a rejection, by the case list above."""
        source = self._credentials[place.route.credential]
        org = await self._organization(place)
        outgoing = _outgoing(request, place, org, body)
        token = await source.current()
        answer = await self._attempt(outgoing, token, place, request)
        if not answer.rejected:
            source.worked(token.generation)
            self._heed(answer, place, org)
            return answer.response()
        try:
            newer = await source.replace(token.generation)
            whole = body is None or await body.rest()
            if whole and place.after_org is not None:
                org = await self._organization(place)
                outgoing = replace(outgoing, target=_target(place, org))
        except (LoginRequiredError, RenewalGuardedError) as error:
            request.trail.error = error.error
            return answer.response(proxy_status(error.description, received=answer.status))
        except BaseException:
            answer.close()
            raise
        if not whole:
            note = f"the token of {newer.credential} is renewed, but the body was too long to be kept: send it again"
            return answer.response(proxy_status(note, received=answer.status), ("Retry-After", "0"))
        answer.close()
        request.trail.replayed = True
        again = await self._attempt(outgoing, newer, place, request)
        source.replayed(newer.generation, accepted=not again.rejected)
        if again.rejected:
            note = f"the renewed token of {newer.credential} was rejected too"
            return again.response(proxy_status(note, received=again.status))
        self._heed(again, place, org)
        return again.response()

    async def _organization(self, place: Place) -> str:
        """Give the organization to fill in, empty where none belongs."""
        return "" if place.after_org is None else await self._organizations[place.route.credential].current()

    def _heed(self, answer: _Answer, place: Place, org: str) -> None:
        if place.after_org is not None and answer.status in (403, 404):
            self._organizations[place.route.credential].doubt(org)

    async def _attempt(self, outgoing: Outbound, token: Snapshot, place: Place, request: Request) -> _Answer:
        request.trail.generation = token.generation
        try:
            answer = _Answer(await self._send(outgoing, token.token))
        except UpstreamError:
            if outgoing.body is not None and outgoing.body.error is not None:
                raise outgoing.body.error from None
            raise
        try:
            await answer.judge(outgoing.method, jsonp=place.jsonp)
        except BaseException:
            answer.close()
            raise
        return answer

    def _body(self, request: Request) -> KeptBody | None:
        if request.read is None:
            return None
        keep = self._replay
        return KeptBody(request.read, request.length, spool=keep.spool, memory=keep.memory, limit=keep.limit)


class _Answer:
    """An upstream's answer, judged; what was read for judging comes first when its body is read."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._seen = b""
        self._ended = False
        self._broken: UpstreamError | None = None
        self.rejected = False
        self.status = incoming.status
        self.close = incoming.close

    async def judge(self, method: str, *, jsonp: bool) -> None:
        """Find out whether this is a rejection. Reads `LOOK` bytes at most."""
        headers = self._incoming.headers
        verdict = judge_head(method, self.status, headers, jsonp=jsonp)
        self.rejected = verdict is Verdict.REJECTED
        if verdict is Verdict.ACCEPTED:
            return
        # A rejected answer is read too: it may have to wait for an exchange, and its connection need not.
        try:
            async with asyncio.timeout(_PATIENCE):
                while not self._ended and len(self._seen) <= LOOK:
                    chunk = await self._incoming.read()
                    self._seen += chunk
                    self._ended = not chunk
        except TimeoutError:
            pass  # it keeps its connection, and its body goes on when it is passed on
        except UpstreamError as error:
            # Upstreams that reject before they have read the body often close on it: the status has come all the same.
            if not self.rejected:
                raise
            self._broken = error
        if verdict is Verdict.LOOK and self._ended:
            self.rejected = judge_body(self.status, headers, self._seen)

    def response(self, *notes: tuple[str, str]) -> Response:
        """Give the answer as the caller gets it, with fields of ours added."""
        ours = {name.lower() for name, _ in notes} - {"proxy-status"}  # which is a list, and may be added to
        theirs = [field for field in inbound(self._incoming.headers) if field[0].lower() not in ours]
        headers: Headers = [*theirs, *notes]
        return Response(self.status, self._incoming.reason, headers, self._body(), self.close)

    async def _body(self) -> AsyncIterator[bytes]:
        if self._seen:
            yield self._seen
        if self._broken is not None:
            raise self._broken
        while not self._ended:
            chunk = await self._incoming.read()
            self._ended = not chunk
            if chunk:
                yield chunk


def _outgoing(request: Request, place: Place, org: str, body: KeptBody | None) -> Outbound:
    length = None if body is None else body.length
    limited = place.route.methods is not None
    headers = outbound(request.headers, place.upstream.authority, length, limited=limited)
    return Outbound(request.method, place.upstream, _target(place, org), headers, body)


def _target(place: Place, org: str) -> str:
    return place.target if place.after_org is None else place.target + org + place.after_org


def _close(body: KeptBody | None) -> None:
    if body is not None:
        body.close()


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def close() -> None:
        one()
        other()

    return close
