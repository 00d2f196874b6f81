"""What ties the keys of one configuration together: providers, credentials, routes, addresses.

Takes a validated `ConfigFile`, gives a `Config`, and reports into the `Source` that it came from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .address import Address, Network, Upstream
from .model import ConfigFile, Credential, Provider, Route
from .providers import extended, hint, presets
from .source import KeyPath, Source
from .values import EVERYBODY, LOOPBACK_ONLY, Anonymous, Config, CredentialConfig, Limits, RouteConfig


class Resolver:
    """Ties the keys of one file together, reporting into its source."""

    def __init__(self, source: Source, model: ConfigFile) -> None:
        self._source = source
        self._model = model
        self._providers = dict(presets())

    def config(self) -> Config:
        model, folder = self._model, self._source.path.absolute().parent
        self._resolve_providers()
        credentials = dict(self._credentials())
        routes = tuple(self._routes(credentials))
        self._check_clashes(routes)
        self._check_addresses(routes)
        store = self._store(folder)
        return Config(
            path=self._source.path,
            listen=model.listen,
            admin=model.admin,
            store=store,
            spool_dir=folder / model.spool_dir if model.spool_dir else store.parent,
            anonymous=self._anonymous(routes),
            credentials=credentials,
            routes=routes,
            limits=Limits(
                renewal_guard=model.renewal_guard,
                exchange_timeout=model.exchange_timeout,
                connect_timeout=model.proxy_connect_timeout,
                read_timeout=model.proxy_read_timeout,
                keepalive_timeout=model.keepalive_timeout,
                shutdown_timeout=model.shutdown_timeout,
                body_buffer_size=model.client_body_buffer_size,
                replay_limit=model.replay_limit,
                spool_limit=model.spool_limit,
            ),
            log_format=model.log_format,
            log_level=model.log_level,
        )

    def _resolve_providers(self) -> None:
        entries = self._model.providers
        for name in entries:
            try:
                provider = extended(name, entries, presets())
            except ValueError as error:
                self._source.report(("providers", name, "extends"), str(error))
                provider = entries[name]
            self._providers[name] = provider
            for key in ("upstream", "token_url"):
                self._check_clear_text(("providers", name, key), getattr(provider, key), provider)

    def _check_clear_text(self, path: KeyPath, url: str, provider: Provider) -> None:
        if url and not provider.insecure_http and Upstream.parse(url.partition("?")[0]).in_clear:
            self._source.report(
                path,
                "http:// beyond loopback would send tokens in clear: use https://, or set insecure_http: true",
            )

    def _credentials(self) -> Iterator[tuple[str, CredentialConfig]]:
        for name, entry in self._model.credentials.items():
            provider = self._providers.get(entry.provider)
            if provider is None:
                guess = hint(entry.provider, list(self._providers))
                self._source.report(("credentials", name, "provider"), f"there is no such provider{guess}")
                continue
            missing = tuple(_missing(entry, provider))
            if missing:
                lacks = ", ".join(missing)
                self._source.report(
                    ("credentials", name),
                    f"not configured: it lacks {lacks}; its routes answer 503",
                    warning=True,
                )
            yield (
                name,
                CredentialConfig(
                    name=name,
                    provider=provider,
                    client_id=entry.client_id,
                    client_secret=entry.client_secret,
                    scopes=entry.scopes,
                    redirect_uri=entry.redirect_uri,
                    missing=missing,
                    provider_name=entry.provider,
                ),
            )

    def _routes(self, credentials: Mapping[str, CredentialConfig]) -> Iterator[RouteConfig]:
        for index, entry in enumerate(self._model.routes):
            path: KeyPath = ("routes", index)
            if entry.prefix is None and entry.host is None and entry.listen is None:
                self._source.report(path, "a route needs a prefix, a host or a listen to match by")
                continue
            credential = credentials.get(entry.credential)
            if credential is None:
                if entry.credential not in self._model.credentials:
                    guess = hint(entry.credential, list(self._model.credentials))
                    self._source.report((*path, "credential"), f"there is no such credential{guess}")
                continue
            listen = entry.listen or ()
            yield RouteConfig(
                name=entry.name or entry.prefix or entry.host or str(listen[0]),
                credential=entry.credential,
                upstream=self._route_upstream((*path, "upstream"), entry, credential.provider),
                prefix=entry.prefix or "/",
                host=entry.host or "",
                listen=listen,
                methods=frozenset(entry.methods) if entry.methods else None,
            )

    def _route_upstream(self, path: KeyPath, entry: Route, provider: Provider) -> Upstream | None:
        default = Upstream.parse(provider.upstream) if provider.upstream else None
        if not entry.upstream:
            return default
        if "{" in entry.upstream:
            self._source.report(path, "{…} in an upstream is not filled in by this version: write the value itself")
            return default
        upstream = Upstream.parse(entry.upstream)
        if default is not None and upstream.origin != default.origin:
            self._source.report(path, "this is another origin than the provider's: tokens go to the provider only")
        if default is None:
            self._check_clear_text(path, entry.upstream, provider)
        return upstream

    def _check_clashes(self, routes: tuple[RouteConfig, ...]) -> None:
        seen: set[object] = set()
        for index, route in enumerate(routes):
            matches: list[tuple[object, str]] = [
                ((address, route.host, route.prefix), "matches the very same requests as another route")
                for address in route.listen or (None,)
            ]
            for match, message in [
                *matches,
                (route.name, "bears the same name as another route: give it a name"),
            ]:
                if match in seen:
                    self._source.report(("routes", index), message)
                    break
            seen.update(match for match, _ in matches)
            seen.add(route.name)

    def _check_addresses(self, routes: tuple[RouteConfig, ...]) -> None:
        if any(not address.loopback for address in self._model.admin):
            self._source.report(
                ("admin",),
                "the control plane beyond loopback needs admin_key, which this version lacks: use loopback",
            )
        planes = [(("listen",), self._model.listen), (("admin",), self._model.admin)]
        own = {address for route in routes for address in route.listen}
        taken: dict[Address, KeyPath] = {}
        for path, addresses in [*planes, (("routes",), tuple(own))]:
            for address in addresses:
                other = next((seen for seen in taken if _overlap(seen, address)), None)
                if other is not None:
                    self._source.report(path, f"{address} is listened on by {taken[other][0]} already")
                taken[address] = path

    def _anonymous(self, routes: tuple[RouteConfig, ...]) -> Anonymous:
        value = self._model.anonymous
        if value in (None, ""):
            for path, addresses in [
                (("listen",), self._model.listen),
                *((("routes", index, "listen"), route.listen) for index, route in enumerate(routes)),
            ]:
                if not all(address.loopback for address in addresses):
                    self._source.report(
                        path,
                        "this listens beyond loopback, so that others call in your name: say who may, "
                        "with anonymous: any or a list of networks, or listen on localhost",
                    )
            return LOOPBACK_ONLY
        if value == "none":
            self._source.report(
                ("anonymous",), "none needs clients, which this version lacks: use loopback or networks"
            )
        elif value == "any":
            return EVERYBODY
        elif value != "loopback":
            return Anonymous(tuple(self._networks(value)))
        return LOOPBACK_ONLY

    def _networks(self, value: Any) -> Iterator[Network]:
        if not isinstance(value, list) or not value:
            self._source.report(("anonymous",), "this must be loopback, any, or a list of networks such as 10.0.0.0/8")
            return
        for index, item in enumerate(value):
            try:
                yield ipaddress.ip_network(str(item), strict=False)
            except ValueError:
                self._source.report(("anonymous", index), "a network is written 10.0.0.0/8 or fd00::/8")

    def _store(self, folder: Path) -> Path:
        scheme, _, name = self._model.store.partition(":")
        if scheme != "sqlite" or not name or name.startswith("//"):
            self._source.report(("store",), "this version keeps tokens in SQLite only: write sqlite:FILE")
        return folder / (name or "tokens.db")


def _missing(entry: Credential, provider: Provider) -> Iterator[str]:
    """Name what this credential needs and lacks, RFC 6749's words and ours."""
    renews = provider.renew != "none"
    signs_in = provider.grant in ("authorization_code", "implicit")
    if not provider.upstream:
        yield "upstream"
    if not provider.token_url and renews:
        yield "token_url"
    if not entry.client_id and (renews or signs_in):
        yield "client_id"
    if not entry.client_secret and renews and provider.client_auth != "none":
        yield "client_secret"


def _overlap(one: Address, other: Address) -> bool:
    if one.path or other.path:
        return one.path == other.path
    wide = {"0.0.0.0", "::", "*"}  # noqa: S104 - compared, not bound
    same = bool(set(one.hosts) & set(other.hosts)) or bool(wide & {one.host, other.host})
    return one.port != 0 and one.port == other.port and same
