"""Which route a request takes: by its listener first, then by Host, then by the longest prefix. Pure.

The cost of a match does not grow with the number of routes: prefixes are looked up, longest first.

Where the credential's organization belongs in a path, the target comes in two parts, and it is filled in between them:
for `{org_pk}` in a route's upstream, and for `@me` as the whole segment after the provider's `orgs_path`. Text of the
caller's is never searched for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from ..config import ORG_PK, CredentialConfig, RouteConfig, Upstream
from ..errors import (
    BadTargetError,
    ForbiddenPathError,
    MethodNotAllowedError,
    NoRouteError,
    NotConfiguredError,
)
from .links import Mount
from .memo import Memo
from .target import all_judged, hostname, is_at_or_below, judged, parameter_names, split_target, without_parameters

ALWAYS_TOKENS = frozenset({"access_token", "bearer_token"})
MAIN = ""  # the name of the listeners that all routes without a listener of their own share
_ME = ("@me", "%40me")  # the organization of the credential, as a caller writes it
_LONGEST_WAY = 256  # characters of a path whose way is remembered
_OVERRIDE = frozenset({"_method"})  # a parameter in which some servers take the method
_SHOWN = 8  # prefixes that an error names at most


@dataclass(frozen=True, slots=True)
class Route:
    """A route ready for use: where it goes, and what its provider forbids.

    `base` is the upstream's base path; where an organization belongs in it, what comes before that, and `after_org`
    what comes after it.
    """

    name: str
    credential: str
    upstream: Upstream | None
    prefix: str
    host: str
    listeners: tuple[str, ...]
    methods: frozenset[str] | None
    missing: tuple[str, ...]
    oauth_places: tuple[tuple[str, ...], ...]
    token_parameters: frozenset[str]
    jsonp_parameter: str
    base: str
    after_org: str | None
    orgs_path: str
    map_links: bool = False
    allow_origins: frozenset[str] = frozenset()


class Place(NamedTuple):
    """Where one request goes: `target` is the path and query for `upstream`.

    Where an organization belongs in it, `target` ends before that, and `after_org` is what comes after it. `authority`
    is how the caller named us; `others` are where it reaches the same upstream with the same credential beside.
    """

    route: Route
    upstream: Upstream
    target: str
    jsonp: bool
    after_org: str | None = None
    authority: str = ""
    others: tuple[Mount, ...] = ()

    def __repr__(self) -> str:
        """Show no query."""
        return f"<a place of the route {self.route.name}>"


class _Way(NamedTuple):
    """What the path of a request leads to: a route, and where that goes on, in two parts as in a `Place`."""

    route: Route
    path: str
    after_org: str | None
    forbidden: bool
    others: tuple[Mount, ...]


def make_route(config: RouteConfig, credential: CredentialConfig) -> Route:
    """Make a route of its configuration and its credential's."""
    provider = credential.provider
    urls = [url for url in (provider.authorize_url, provider.token_url) if url and config.upstream is not None]
    places = {judged(path) for path in provider.oauth_paths}
    places |= {judged(urlsplit(url).path) for url in urls if _origin(url) == _origin(str(config.upstream))}
    base, hole, after_org = ("" if config.upstream is None else config.upstream.base).partition(ORG_PK)
    return Route(
        name=config.name,
        credential=config.credential,
        upstream=config.upstream,
        prefix=config.prefix,
        host=config.host,
        listeners=tuple(str(address) for address in config.listen) or (MAIN,),
        methods=config.methods,
        missing=credential.missing,
        oauth_places=tuple(sorted(place for place in places if place)),
        token_parameters=ALWAYS_TOKENS | set(provider.token_parameters),
        jsonp_parameter=provider.jsonp_parameter,
        base=base,
        after_org=after_org if hole else None,
        orgs_path=provider.orgs_path,
        map_links=provider.map_links,
        allow_origins=config.allow_origins,
    )


def _onward(route: Route, rest: str) -> tuple[str, str | None]:
    """Give the path for the upstream, in two parts where an organization belongs between them."""
    if route.after_org is not None:
        return route.base, route.after_org + rest
    onward = (route.base + rest) or "/"
    if route.orgs_path and onward.startswith(route.orgs_path):
        segment, slash, after = onward[len(route.orgs_path) :].partition("/")
        if segment in _ME:
            return route.orgs_path, slash + after
    return onward, None


def _origin(url: str) -> str:
    return Upstream.parse(url.partition("?")[0]).origin


class RouteTable:
    """All routes of a configuration."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[tuple[str, str], dict[str, Route]] = {}
        self._mounts: dict[tuple[str, str, str], tuple[Mount, ...]] = {}
        self._ways: Memo[tuple[str, str, str], _Way] = Memo()
        self._depth = 0
        for route in routes:
            for listener in route.listeners:
                self._routes.setdefault((listener, route.host), {})[route.prefix] = route
            self._depth = max(self._depth, route.prefix.count("/"))

    def place(self, method: str, target: str, host: str, listener: str = MAIN, *, limited: bool = False) -> Place:
        """Find where a request goes. `host` is its Host field's value, empty for none.

        With `limited` methods, or where the route limits them, a parameter that would smuggle another is cut out.
        Raises `CallerError` for what no route takes, `NotConfiguredError` where the route's credential cannot serve.
        """
        way, authority, query = self._find(target, host, listener)
        route = way.route
        if route.methods is not None and method not in route.methods:
            raise MethodNotAllowedError(f"the route {route.name} does not pass {method}", sorted(route.methods))
        if route.missing or route.upstream is None:
            raise NotConfiguredError(route.credential, route.missing or ("upstream",))
        if way.forbidden:
            raise ForbiddenPathError("this is an OAuth endpoint of the vendor: the proxy alone calls it")
        jsonp = False
        if query:
            jsonp = bool(route.jsonp_parameter) and route.jsonp_parameter in parameter_names(query)
            names = route.token_parameters
            query = without_parameters(query, names | _OVERRIDE if limited or route.methods is not None else names)
        if way.after_org is None:
            return Place(route, route.upstream, way.path + query, jsonp, None, authority, way.others)
        return Place(route, route.upstream, way.path, jsonp, way.after_org + query, authority, way.others)

    def route(self, target: str, host: str, listener: str) -> Route:
        """Find the route alone that a request takes. Raises `CallerError`."""
        return self._find(target, host, listener)[0].route

    def _find(self, target: str, host: str, listener: str) -> tuple[_Way, str, str]:
        """Give the way of a request, the authority by which it named us, and its query."""
        authority, path, query = split_target(target)
        if authority is None:
            authority = host
        elif not hostname(authority):
            raise BadTargetError("a request target with a scheme has a host too")
        host = hostname(authority)
        host = host if (listener, host) in self._routes else ""  # what a caller makes up is not remembered
        return self._ways.get((listener, host, path)) or self._way(listener, host, path), authority, query

    def _way(self, listener: str, host: str, path: str) -> _Way:
        """Find the way of a path, and remember it: the same few are asked for again and again."""
        route = self._match(listener, host, path)
        if route is None:
            judged(path)
            raise NoRouteError(self._no_route(path, listener))
        onward, after = _onward(route, path if route.prefix == "/" else path[len(route.prefix) :])
        forms = all_judged(onward if after is None else f"{onward}{_ME[0]}{after}")
        forbidden = any(is_at_or_below(segments, route.oauth_places) for segments in forms)
        way = _Way(route, onward, after, forbidden, self._others(route, listener, host))
        if len(path) <= _LONGEST_WAY:
            self._ways.keep((listener, host, path), way)
        return way

    def _others(self, route: Route, listener: str, host: str) -> tuple[Mount, ...]:
        """Give where else a caller of a route reaches its upstream with its credential, longest base first."""
        key = listener, host, route.name
        if key not in self._mounts:
            self._mounts[key] = self._find_others(route, listener, host)
        return self._mounts[key]

    def _find_others(self, route: Route, listener: str, host: str) -> tuple[Mount, ...]:
        tables = [self._routes.get((listener, name), {}) for name in ("", host)]
        reached = {prefix: other for table in tables for prefix, other in table.items()}
        mounts = [
            Mount(other.base, prefix)
            for prefix, other in reached.items()
            if other is not route and other.credential == route.credential and other.after_org is None
        ]
        return tuple(sorted(mounts, key=lambda mount: -len(mount.base)))

    def _match(self, listener: str, host: str, path: str) -> Route | None:
        for name in (host, "") if host else ("",):
            by_prefix = self._routes.get((listener, name))
            if by_prefix:
                pieces = path.split("/", self._depth + 1)
                for count in range(min(len(pieces) - 1, self._depth), 0, -1):
                    route = by_prefix.get("/".join(pieces[: count + 1]))
                    if route is not None:
                        return route
                if "/" in by_prefix:
                    return by_prefix["/"]
        return None

    def _no_route(self, path: str, listener: str) -> str:
        prefixes = sorted({prefix for (name, _), table in self._routes.items() if name == listener for prefix in table})
        shown = ", ".join(prefixes[:_SHOWN]) + (", …" if len(prefixes) > _SHOWN else "")
        first = "/" + path.split("/")[1][:64]
        return f"no route matches {first}: the routes here are {shown}" if shown else "no route is configured here"
