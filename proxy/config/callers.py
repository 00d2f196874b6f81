"""Who may call, as config.yaml says it: clients, `anonymous`, names, outer proxies and users of unix sockets.

Takes validated values, reports into the `Source` that they came from. Users are looked up on this machine.
"""

from __future__ import annotations

import ipaddress
import pwd
from collections.abc import Iterator, Sequence
from typing import Any

from .address import Network
from .listeners import Listener, set_by
from .model import ConfigFile
from .providers import hint
from .source import KeyPath, Source
from .values import (
    EVERYBODY,
    LOOPBACK_ONLY,
    NOBODY,
    Anonymous,
    Callers,
    ClientConfig,
    RealIp,
    RouteConfig,
    SocketAccess,
)

_BEYOND = (
    "this listens beyond loopback, so that others call in your name: say who may, with clients that have keys, "
    "or with anonymous: any or a list of networks; or listen on localhost"
)
_CHOICES = "this must be loopback, none, any, or a list of networks such as 10.0.0.0/8"
_OUTER = "this must be a list of networks such as 10.0.0.0/8, or 'unix:', in quotes, for callers over unix sockets"
_NETWORK = "a network is written 10.0.0.0/8 or fd00::/8"
_NETWORK_OR_UNIX = f"{_NETWORK}, and callers over unix sockets 'unix:', in quotes"
_NO_ROUTES = "with an empty list this client may call nothing: name routes, or leave the key away for all of them"
_NO_USERS = "an empty list lets nobody call: name users, or leave the key away for all whom socket_mode lets in"
_NO_USER = "one of these is no user of this machine: see `getent passwd`, or write the user's number"
_LAST_USER = 2**32 - 2  # one more means nobody, chown(2)
GUESSED = "a key of fewer than 16 characters can be guessed: make one with `openssl rand -hex 16`"


def callers(
    source: Source, model: ConfigFile, routes: Sequence[RouteConfig], listeners: Sequence[Listener], variable: str
) -> Callers:
    """Resolve who may call. `listeners` are the data plane's; `variable` set their addresses, or is empty."""
    return Callers(
        clients=tuple(_clients(source, model, [route.name for route in routes])),
        anonymous=_anonymous(source, model, listeners, variable),
        hosts=frozenset(model.hosts),
        real_ip=_real_ip(source, model),
        socket=SocketAccess(model.socket_mode, _users(source, model.socket_users)),
    )


def _clients(source: Source, model: ConfigFile, routes: Sequence[str]) -> Iterator[ClientConfig]:
    owners: dict[object, str] = {}
    unknown = len(routes) < len(model.routes) or source.settled("routes")  # a route that is wrong may bear any name
    for name, entry in model.clients.items():
        path: KeyPath = ("clients", name)
        if not entry.key and not entry.certificate:
            source.report(path, "a client needs a key, or a certificate: else nobody can be it")
        if any(key.short for key in entry.key):
            source.report((*path, "key"), GUESSED, warning=True)
        proofs: list[tuple[str, object]] = [("key", key) for key in entry.key]
        proofs += [("certificate", one.lower()) for one in entry.certificate]  # DNS names know no letter case
        for kind, proof in proofs:
            owner = owners.setdefault(proof, name)
            if owner != name:
                source.report((*path, kind), f"this is the {kind} of {owner} too: nobody could tell them apart")
        if entry.certificate:
            _check_asked(source, model, (*path, "certificate"))
        if entry.routes == ():
            source.report((*path, "routes"), _NO_ROUTES)
        for index, route in enumerate(entry.routes or ()):
            if route not in routes and not unknown:
                source.report((*path, "routes", index), f"there is no route of that name{hint(route, list(routes))}")
        yield ClientConfig(
            name=name,
            keys=entry.key,
            certificates=entry.certificate,
            routes=None if entry.routes is None else frozenset(entry.routes),
            methods=None if entry.methods is None else frozenset(entry.methods),
        )


def _check_asked(source: Source, model: ConfigFile, path: KeyPath) -> None:
    if model.ssl_verify_client == "off":
        source.report(path, "callers are not asked for certificates: write ssl_verify_client: optional")
    elif not model.ssl_client_certificate and not source.settled("ssl_client_certificate"):
        source.report(path, "callers are not asked for certificates: set ssl_client_certificate")


def _anonymous(source: Source, model: ConfigFile, listeners: Sequence[Listener], variable: str) -> Anonymous:
    """Read `anonymous`; without it and without clients nobody may listen beyond loopback."""
    value = model.anonymous
    if value in (None, ""):
        if not (model.clients or source.settled("anonymous") or source.settled("clients")):
            for path in dict.fromkeys(path for path, address in listeners if not address.loopback):
                source.report(path, set_by(variable, path) + _BEYOND)
        return LOOPBACK_ONLY
    if value == "none":
        if not model.clients and not source.settled("clients"):
            source.report(("anonymous",), "with none, and without clients, nobody may call: add clients")
        return NOBODY
    if value in ("any", "loopback"):
        return EVERYBODY if value == "any" else LOOPBACK_ONLY
    return Anonymous(tuple(_networks(source, ("anonymous",), value, _CHOICES, _NETWORK)))


def _real_ip(source: Source, model: ConfigFile) -> RealIp:
    value = model.set_real_ip_from
    if value in (None, ""):
        return RealIp()
    items = value if isinstance(value, list) else [value]
    path: KeyPath = ("set_real_ip_from",)
    networks = tuple(_networks(source, path, items, _OUTER, _NETWORK_OR_UNIX, besides=("unix:",)))
    if any(network.prefixlen == 0 for network in networks):
        source.report(path, "so everybody is believed, and can claim any address, loopback's too", warning=True)
    return RealIp(networks, "unix:" in items, model.real_ip_header.lower())


def _networks(
    source: Source, path: KeyPath, value: Any, expected: str, expected_item: str, besides: Sequence[str] = ()
) -> Iterator[Network]:
    """Read a list of networks, but for words `besides`. One in IPv6's clothes would match nobody: `is_in`."""
    if not isinstance(value, list) or not value:
        source.report(path, expected)
        return
    for index, item in enumerate(value):
        if item in besides:
            continue
        try:
            network = ipaddress.ip_network(str(item), strict=False)
        except ValueError:
            network = None
        if network is None or getattr(network.network_address, "ipv4_mapped", None):
            source.report((*path, index), expected_item)
        else:
            yield network


def _users(source: Source, users: Sequence[str] | None) -> frozenset[int] | None:
    """Give the ids of users that are named, or written as numbers; None where there is no such list."""
    if users is None:
        return None
    found = {_user(user) for user in users}
    if not users:
        source.report(("socket_users",), _NO_USERS)
    elif None in found:
        source.report(("socket_users",), _NO_USER)
    return frozenset(user for user in found if user is not None)


def _user(text: str) -> int | None:
    """Look a user's id up by name; a number need not be known here, as those of containers are not."""
    if text.isdecimal() and len(text) <= len(str(_LAST_USER)):
        return int(text) if int(text) <= _LAST_USER else None
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        return None
