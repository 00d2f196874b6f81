"""Who may have a request forwarded. What follows from its head alone is a `Claim`, made once for each head.

    a page of another origin asks          403, key or no key; where the route allows its origin, it goes on
    a valid key                            the caller is that client
    wrong keys, again and again            429, where only a key would help
    a certificate of a client's            the caller is that client
    an address that `anonymous` admits     the caller is anonymous, whatever its Authorization says (D10)
    any other                              401, or 403 where no client has a key

The last three have to call us by a name of ours. All that a stranger hears is the same for every path and key.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from ..callers.addresses import UnreadableAddressError, is_believed, real_address
from ..callers.browsers import is_foreign, is_ours
from ..callers.guesses import Guesses
from ..callers.keys import KeyRing, given_digests
from ..config import Callers, ClientConfig
from ..errors import (
    BadTargetError,
    CallerNotAdmittedError,
    ForeignOriginError,
    HostNotAllowedError,
    KeyRequiredError,
    TooManyAttemptsError,
)
from .memo import Lookup, Memo
from .message import Request
from .target import hostname, split_target

_LONGEST_TOLD = 256  # characters that an outer proxy tells, and that are remembered
_CREDENTIAL, _ORIGIN, _SITE = 1, 2, 3
_LOOKED_AT = {
    "authorization": _CREDENTIAL,
    "proxy-authorization": _CREDENTIAL,
    "origin": _ORIGIN,
    "sec-fetch-site": _SITE,
}
_KINDS: Lookup[str, int] = Lookup(lambda name: _LOOKED_AT.get(name.lower(), 0))


class Claim(NamedTuple):
    """What a request's head says of its caller. `name` is what it calls us, and `known` whether that is ours.

    `digests` are of the keys that it bears, and `digest` of the one that opened.
    """

    client: ClientConfig | None
    digest: bytes
    digests: tuple[bytes, ...]
    name: str
    known: bool
    foreign: bool
    origin: str

    def __repr__(self) -> str:
        """Show nothing that a key could be told by."""
        return f"<what {self.client.name if self.client else 'somebody'} claims>"


class Admission:
    """Admits callers, or raises the `CallerError` that says why not. `names` are ours, beside loopback's."""

    def __init__(self, callers: Callers, names: frozenset[str], guesses: Guesses) -> None:
        self._ring = KeyRing(callers.clients)
        self._keyed = any(client.keys for client in callers.clients)
        self._names = names
        self._guesses = guesses
        self._real_ip = callers.real_ip
        self._admits = functools.lru_cache(maxsize=1024)(callers.anonymous.admits)
        believes = functools.partial(is_believed, real_ip=callers.real_ip)
        self._believes = functools.lru_cache(maxsize=1024)(believes)
        self._called = Lookup(self._call)
        self._digests: Lookup[str, tuple[bytes, ...]] = Lookup(lambda text: given_digests([_bytes(text)]))
        self._tells: Lookup[str, bool] = Lookup(lambda name: name.lower() == callers.real_ip.header)
        self._real: Memo[tuple[str, str], str] = Memo()
        self._looks_behind = bool(callers.real_ip.networks or callers.real_ip.unix)

    def claim(self, request: Request) -> Claim:
        """Say what follows from a head. Raises `BadTargetError` for a name that is none."""
        target, authority = request.target, request.host
        if not target.startswith("/"):
            absolute = split_target(target)[0]
            authority = authority if absolute is None else absolute
            if not hostname(authority):
                raise BadTargetError("a request target with a scheme has a host too")
        name, known = self._called[authority]
        told = [(kind, value) for field, value in request.headers if (kind := _KINDS[field])]
        if not (told or "?" in target):
            return Claim(None, b"", (), name, known or not (name or request.version == "1.1"), foreign=False, origin="")
        origins = [value for kind, value in told if kind == _ORIGIN]
        sites = [value for kind, value in told if kind == _SITE]
        digests: tuple[bytes, ...] = ()
        if self._ring:
            credentials = [value for kind, value in told if kind == _CREDENTIAL]
            if len(credentials) == 1 and "?" not in target:
                digests = self._digests[credentials[0]]
            else:
                digests = given_digests(map(_bytes, credentials), target.partition("?")[2])
        client, digest = None, b""
        for digest in digests:
            client = self._ring.owner(digest)
            if client is not None:
                break
        foreign = bool(origins or sites) and is_foreign(origins, sites, request.downstream.scheme, authority)
        known = known or not (name or request.version == "1.1")
        return Claim(client, digest, digests, name, known, foreign, origins[0] if len(origins) == 1 else "")

    def _call(self, authority: str) -> tuple[str, bool]:
        """Give the name in an authority, and whether it is ours."""
        name = hostname(authority).strip("[]")
        return name, is_ours(name, self._names)

    def admit(self, request: Request, claim: Claim) -> ClientConfig | None:
        """Give the client that calls, None for an anonymous caller. Raises `CallerError` for one who may not."""
        downstream = request.downstream
        address = downstream.address
        if self._looks_behind and self._believes(address):
            address = self._behind(request)
        anonymous = self._admits(address)
        if claim.digests and downstream.client is None and not anonymous:
            wait = self._guesses.wait(address, (claim.digest,) if claim.client is not None else ())
            if wait:
                raise TooManyAttemptsError(wait)
        if claim.client is not None:
            self._guesses.right(address, claim.digest)
            request.trail.client = claim.client.name
            return claim.client
        if downstream.client is None and not anonymous:
            self._turn_away(address, claim)
        if not claim.known and downstream.address and claim.name != downstream.reached:
            raise HostNotAllowedError("this is not a name by which callers may call: see hosts in config.yaml")
        if downstream.client is not None:
            request.trail.client = downstream.client.name
        return downstream.client

    def _turn_away(self, address: str, claim: Claim) -> None:
        """Refuse a caller that proves nothing."""
        if claim.digests:
            self._guesses.wrong(address, len(claim.digests))
        if self._keyed:
            raise KeyRequiredError("this needs a key: as Bearer token, or as Basic password")
        raise CallerNotAdmittedError("callers from this address are not admitted: see anonymous in config.yaml")

    def _behind(self, request: Request) -> str:
        """Give the address that an outer proxy tells."""
        told = ",".join([value for name, value in request.headers if self._tells[name]])
        known = self._real.get((request.downstream.address, told))
        request.trail.address = known or self._find(request.downstream.address, told)
        return request.trail.address

    def _find(self, outer: str, told: str) -> str:
        """Give the address of the caller behind an outer proxy by what it tells, and remember it."""
        try:
            address = real_address(outer, [(self._real_ip.header, told)], self._real_ip)
        except UnreadableAddressError:
            raise BadTargetError("the proxy before this one does not tell the caller's address") from None
        if len(told) <= _LONGEST_TOLD:
            self._real.keep((outer, told), address)
        return address


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


def refuse_foreign(claim: Claim, origins: frozenset[str]) -> None:
    """Refuse what a page of another origin asks, unless it is one of `origins`."""
    if claim.foreign and _plain_origin(claim.origin) not in origins:
        raise ForeignOriginError("a page of another origin asks: see allow_origins in config.yaml")


def _plain_origin(origin: str) -> str:
    return origin.strip().lower()
