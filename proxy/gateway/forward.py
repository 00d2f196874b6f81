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

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from ..callers.browsers import confined, may_be_shown
from ..config import ClientConfig
from ..credentials.record import Snapshot
from ..errors import (
    CallerError,
    ClientNotAllowedError,
    LoginRequiredError,
    MethodNotImplementedError,
    NoRouteError,
    RenewalGuardedError,
    RequestError,
)
from .admission import Admission, Claim, refuse_foreign
from .body import KeptBody, Spool, WholeBody
from .cors import allowing, is_preflight, preflight
from .headers import outbound, proxy_status
from .inward import inward
from .judge import Verdict, judge_head
from .links import accepted_encodings
from .memo import Memo
from .message import Field, Incoming, Outbound, Readable, Request, Response, Sender
from .routes import Place, Route, RouteTable
from .seen import SeenAnswer

_H2C = re.compile(r"(?:^|,)\s*h2c", re.IGNORECASE).search  # another protocol to this very API, unseen
_NEVER_FORWARDED = frozenset({"CONNECT", "TRACE"})

SentBody = KeptBody | WholeBody


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


class _Plan(NamedTuple):
    """What follows from a request's head: whose it is, where it goes, what is sent, and what its answer bears."""

    claim: Claim
    place: Place
    outgoing: Outbound
    added: Sequence[Field]


class Forwarder:
    """Forwards requests by `routes`, with tokens of `credentials` and their `organizations`, through `send`."""

    def __init__(
        self,
        routes: RouteTable,
        credentials: Mapping[str, TokenSource],
        organizations: Mapping[str, OrganizationSource],
        send: Sender,
        admission: Admission,
        replay: Replay,
    ) -> None:
        self._routes = routes
        self._credentials = credentials
        self._organizations = organizations
        self._send = send
        self._admission = admission
        self._replay = replay
        self._plans: Memo[tuple[tuple[str, str, str], bytes], _Plan] = Memo()

    async def __call__(self, request: Request) -> Response:
        """Give the response for the caller. Raises `RequestError` for an answer of our own."""
        plan = self._plans.get((request.downstream.key, request.raw))
        if plan is None:
            made = self._plan(request)
            if isinstance(made, Response):
                return made
            plan = made
        else:
            request.added = plan.added
            self._admission.admit(request, plan.claim)
        place, trail = plan.place, request.trail
        trail.route, trail.credential = place.route.name, place.route.credential
        if request.body is None:
            return await self._forward(request, place, plan.outgoing)
        body = self._kept(request.body, request.length)
        outgoing = replace(plan.outgoing, body=body)
        try:
            response = await self._forward(request, place, outgoing)
            plan.outgoing.wire = outgoing.wire
        except BaseException:
            body.close()
            raise
        return response if isinstance(body, WholeBody) else response._replace(close=_both(response.close, body.close))

    def allows(self, request: Request) -> bool:
        """Tell whether a request that opened a tunnel would be forwarded now too."""
        try:
            self._plan(request, again=True)
        except RequestError:
            return False
        return True

    def _plan(self, request: Request, *, again: bool = False) -> _Plan | Response:
        """Admit a caller, find where its request goes, and build the one that goes there; or answer its browser.

        All but who is admitted follows from its head alone, and from what its connection says of it.
        """
        if request.method in _NEVER_FORWARDED:
            raise MethodNotImplementedError(f"{request.method} is never forwarded")
        claim = self._admission.claim(request)
        if claim.foreign:
            route = self._allowing_route(request)
            refuse_foreign(claim, frozenset() if route is None else route.allow_origins)
            request.added = allowing(claim.origin)
            if route is not None and is_preflight(request.method, request.headers):
                return preflight(request.headers, route.methods)
        client = self._admission.admit(request, claim, again=again)
        limited = client is not None and client.methods is not None
        listener = request.downstream.listener
        try:
            place = self._routes.place(request.method, request.target, request.host, listener, limited=limited)
        except NoRouteError:
            if client is None or client.routes is None:
                raise
            raise NoRouteError(f"no route matches; {client.name} may call {', '.join(sorted(client.routes))}") from None
        if client is not None:
            _check_limits(client, place.route.name, request.method)
        if place.route.allow_origins and not claim.foreign:
            request.added = allowing("")
        if may_be_shown(request.headers):
            scheme, origins = request.downstream.scheme, place.route.allow_origins
            request.added = [*request.added, *confined(origins, scheme, place.authority)]
        limited = limited or place.route.methods is not None
        given = accepted_encodings(request.headers) if place.route.map_links else request.headers
        headers = outbound(
            given, place.upstream.authority, request.length, limited=limited, tokens=place.route.token_parameters
        )
        upgrade = "" if _H2C(request.upgrade) else request.upgrade
        outgoing = Outbound(request.method, place.upstream, place.target, headers, upgrade=upgrade)
        plan = _Plan(claim, place, outgoing, request.added)
        if request.raw and place.after_org is None:
            self._plans.keep((request.downstream.key, request.raw), plan)
        return plan

    def _allowing_route(self, request: Request) -> Route | None:
        """Give the route that a page of another origin asks for; nothing else is told to it."""
        try:
            return self._routes.route(request.target, request.host, request.downstream.listener)
        except CallerError:
            return None

    async def _forward(self, request: Request, place: Place, outgoing: Outbound) -> Response:
        """Send, and send once more after a rejection, by the case list above."""
        source, body = self._credentials[place.route.credential], outgoing.body
        org = "" if place.after_org is None else await self._fill_in(outgoing, place)
        token = await source.current()
        answer, rejected = await self._attempt(outgoing, token, place, request)
        if not rejected:
            source.worked(token.generation)
            return self._accepted(answer, request, place, org)
        try:
            newer = await source.replace(token.generation)
            whole = body is None or await body.rest()
            if whole and place.after_org is not None:
                org = await self._fill_in(outgoing, place)
        except (LoginRequiredError, RenewalGuardedError) as error:
            request.trail.error = error.error
            return inward(answer, request, place, org, proxy_status(error.description, received=answer.status))
        except BaseException:
            answer.close()
            raise
        if not whole:
            note = f"the token of {newer.credential} is renewed, but the body was too long to be kept: send it again"
            told = proxy_status(note, received=answer.status)
            return inward(answer, request, place, org, told, ("Retry-After", "0"))
        answer.close()
        request.trail.replayed = True
        again, rejected = await self._attempt(outgoing, newer, place, request)
        source.replayed(newer.generation, accepted=not rejected)
        if rejected:
            note = f"the renewed token of {newer.credential} was rejected too"
            return inward(again, request, place, org, proxy_status(note, received=again.status))
        return self._accepted(again, request, place, org)

    async def _fill_in(self, outgoing: Outbound, place: Place) -> str:
        """Put the credential's organization into the target, and give it."""
        org = await self._organizations[place.route.credential].current()
        outgoing.target, outgoing.wire = f"{place.target}{org}{place.after_org}", b""
        return org

    def _accepted(self, answer: Incoming, request: Request, place: Place, org: str) -> Response:
        """Pass an answer on. Whether the organization is still the right one may be in doubt after it."""
        if place.after_org is not None and answer.status in (403, 404):
            self._organizations[place.route.credential].doubt(org)
        return inward(answer, request, place, org)

    async def _attempt(
        self, outgoing: Outbound, token: Snapshot, place: Place, request: Request
    ) -> tuple[Incoming, bool]:
        """Send once; give the answer, and whether it is a rejection."""
        request.trail.generation = token.generation
        answer = await self._send(outgoing, token.token)
        verdict = judge_head(outgoing.method, answer.status, answer.headers, jsonp=place.jsonp)
        if verdict is Verdict.ACCEPTED:
            return answer, False
        seen = SeenAnswer(answer)
        try:
            return seen, await seen.judge(verdict)
        except BaseException:
            seen.close()
            raise

    def _kept(self, body: Readable, length: int | None) -> SentBody:
        """Give the body in the form in which it can be sent twice."""
        keep = self._replay
        if body.ended and length is not None and length <= keep.memory:
            return WholeBody(body.at_hand(), length)
        return KeptBody(body.read, length, spool=keep.spool, memory=keep.memory, limit=keep.limit)


def _check_limits(client: ClientConfig, route: str, method: str) -> None:
    """Refuse what a client may not do."""
    if client.routes is not None and route not in client.routes:
        raise ClientNotAllowedError(f"the client {client.name} may not call the route {route}")
    if client.methods is not None and method not in client.methods:
        raise ClientNotAllowedError(f"the client {client.name} may not use {method}")


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def close() -> None:
        one()
        other()

    return close
