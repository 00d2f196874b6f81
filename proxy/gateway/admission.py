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
from collections.abc import Sequence
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
_CREDENTIAL, _ORIGIN, _SITE, _ADDRESS = 1, 2, 3, 4
_LOOKED_AT = {
    "authorization": _CREDENTIAL,
    "proxy-authorization": _CREDENTIAL,
    "origin": _ORIGIN,
    "sec-fetch-site": _SITE,
}


class Proof(NamedTuple):
    """What the keys of a request prove: `digests` are theirs, and `digest` that of the one that opened for `client`."""

    client: ClientConfig | None = None
    digest: bytes = b""
    digests: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        """Show nothing that a key could be told by."""
        return f"<a key of {self.client.name if self.client else 'nobody'}>"


_NO_PROOF = Proof()


class Claim(NamedTuple):
    """What a request's head says of its caller. `name` is what it calls us, and `known` whether that is ours.

    `foreign`: a page of another origin asks, of `origin` if it tells one. `told` is what an outer proxy may have said.
    """

    proof: Proof
    name: str
    known: bool
    foreign: bool = False
    origin: str = ""
    told: str = ""


class Admission:
    """Admits callers, or raises the `CallerError` that says why not. `names` are ours, beside loopback's."""

    def __init__(self, callers: Callers, names: frozenset[str], guesses: Guesses) -> None:
        self._ring = KeyRing(callers.clients)
        self._names = names
        self._guesses = guesses
        self._real_ip = callers.real_ip
        self._admits = functools.lru_cache(maxsize=1024)(callers.anonymous.admits)
        believes = functools.partial(is_believed, real_ip=callers.real_ip)
        self._believes = functools.lru_cache(maxsize=1024)(believes)
        self._called = Lookup(self._call)
        self._kinds = Lookup(self._kind)
        self._proofs: Lookup[str, Proof] = Lookup(lambda credential: self._proof([credential], ""))
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
        known = known or not (name or request.version == "1.1")
        noted = [(kind, value) for field, value in request.headers if (kind := self._kinds[field])]
        if not (noted or "?" in target):
            return Claim(_NO_PROOF, name, known)
        credentials = [value for kind, value in noted if kind == _CREDENTIAL]
        if len(credentials) == 1 and "?" not in target:
            proof = self._proofs[credentials[0]]
        else:
            proof = self._proof(credentials, target.partition("?")[2])
        if len(credentials) == len(noted):
            return Claim(proof, name, known)
        origins = [value for kind, value in noted if kind == _ORIGIN]
        sites = [value for kind, value in noted if kind == _SITE]
        foreign = bool(origins or sites) and is_foreign(origins, sites, request.downstream.scheme, authority)
        told = ",".join([value for kind, value in noted if kind == _ADDRESS])
        return Claim(proof, name, known, foreign, origins[0] if len(origins) == 1 else "", told)

    def _kind(self, field: str) -> int:
        name = field.lower()
        return _ADDRESS if self._looks_behind and name == self._real_ip.header else _LOOKED_AT.get(name, 0)

    def _proof(self, credentials: Sequence[str], query: str) -> Proof:
        """See whose the keys are."""
        if not self._ring:
            return _NO_PROOF
        digests = given_digests([text.encode("latin-1") for text in credentials], query)
        for digest in digests:
            client = self._ring.owner(digest)
            if client is not None:
                return Proof(client, digest, digests)
        return Proof(digests=digests)

    def _call(self, authority: str) -> tuple[str, bool]:
        """Give the name in an authority, and whether it is ours."""
        name = hostname(authority).strip("[]")
        return name, is_ours(name, self._names)

    def admit(self, request: Request, claim: Claim, *, again: bool = False) -> ClientConfig | None:
        """Give the client that calls, None for an anonymous caller. Raises `CallerError` for one who may not.

        Where a caller that was admitted before is looked at `again`, no key is a guess.
        """
        downstream, proof = request.downstream, claim.proof
        address = downstream.address
        if self._looks_behind and self._believes(address):
            address = request.trail.address = self._behind(address, claim.told)
        anonymous = self._admits(address)
        guesser = address or f"user {downstream.user}"
        if proof.digests and downstream.client is None and not (anonymous or again):
            wait = self._guesses.wait(guesser, b"" if proof.client is None else proof.digest, proof.digests)
            if wait:
                raise TooManyAttemptsError(wait)
        if proof.client is not None:
            if not again:
                self._guesses.right(guesser, proof.digest, proof.digests)
            request.trail.client = proof.client.name
            return proof.client
        if downstream.client is None and not anonymous:
            self._turn_away(guesser, () if again else proof.digests)
        if not claim.known and downstream.address and claim.name != downstream.reached:
            raise HostNotAllowedError("this is not a name by which callers may call: see hosts in config.yaml")
        if downstream.client is not None:
            request.trail.client = downstream.client.name
        return downstream.client

    def _turn_away(self, guesser: str, guessed: Sequence[bytes]) -> None:
        """Refuse a caller that proves nothing."""
        if guessed:
            self._guesses.wrong(guesser, len(guessed))
        if self._ring:
            raise KeyRequiredError("this needs a valid key: as Bearer token, or as Basic password")
        raise CallerNotAdmittedError("callers from this address are not admitted: see anonymous in config.yaml")

    def _behind(self, outer: str, told: str) -> str:
        """Give the address that an outer proxy tells."""
        known = self._real.get((outer, told))
        if known is not None:
            return known
        try:
            address = real_address(outer, [(self._real_ip.header, told)], self._real_ip)
        except UnreadableAddressError:
            raise BadTargetError("the proxy before this one does not tell the caller's address") from None
        if len(told) <= _LONGEST_TOLD:
            self._real.keep((outer, told), address)
        return address


def refuse_foreign(claim: Claim, origins: frozenset[str]) -> None:
    """Refuse what a page of another origin asks, unless it is one of `origins`."""
    if claim.foreign and claim.origin.strip().lower() not in origins:
        raise ForeignOriginError("a page of another origin asks: see allow_origins in config.yaml")
