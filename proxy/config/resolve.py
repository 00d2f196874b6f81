"""What ties the keys of one configuration together: providers, credentials, routes, addresses.

Takes a validated `ConfigFile`, gives a `Config`, and reports into the `Source` that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .address import Upstream
from .callers import GUESSED, callers
from .certificate import check_certificate
from .fields import OOB, SHORT_KEY
from .listeners import Listener, check_listeners
from .model import INTERACTIVE, ConfigFile, Credential, Provider, Route
from .providers import extended, hint, presets
from .redirect import default_redirect, redirect_to_send
from .source import KeyPath, Source
from .values import ORG_PK, Config, CredentialConfig, Limits, RouteConfig, TlsFiles

_SECRETS = {"admin_key", "store_key", ("credentials", "client_secret"), ("clients", "key")}  # where secrets stand
_IN_CLEAR = "http:// beyond loopback would send tokens in clear: use https://, or set insecure_http: true"


class Resolver:
    """Ties the keys of one file together, reporting into its source."""

    def __init__(self, source: Source, model: ConfigFile, listen_variable: str) -> None:
        self._source = source
        self._model = model
        self._listen_variable = listen_variable
        self._providers = dict(presets())
        self._doubtful: set[str] = set()  # providers with a problem: what follows from it is not told

    def config(self) -> Config:
        model, folder = self._model, self._source.path.absolute().parent
        self._resolve_providers()
        credentials = dict(self._credentials())
        routes = list(self._routes(credentials))
        self._check_clashes(routes)
        planes, own = self._listeners()
        check_listeners(self._source, planes, own)
        if any(not address.loopback for address in model.admin) and not model.admin_key:
            self._source.report(
                ("admin",), "the control plane beyond loopback needs admin_key: set one, or use localhost"
            )
        if 0 < len(model.admin_key.reveal()) < SHORT_KEY:
            self._source.report(("admin_key",), GUESSED, warning=True)
        if any(address.tls for address in model.admin):
            self._source.report(("admin",), "the control plane speaks plain HTTP in this version: write it without ssl")
        data = [one for one in (*planes, *own) if one[0] != ("admin",)]
        files = (model.ca_file, model.ssl_certificate, model.ssl_certificate_key, model.ssl_client_certificate)
        ca, certificate, key, client_ca = (folder / name if name else None for name in files)
        verified = model.ssl_verify_client
        tls = TlsFiles(ca, certificate, key, None if verified == "off" else client_ca, client_required=verified == "on")
        check_certificate(self._source, tls, data, self._listen_variable)
        store = self._store(folder)
        found = tuple(route for _, route in routes)
        return Config(
            path=self._source.path,
            listen=model.listen,
            admin=model.admin,
            admin_key=model.admin_key,
            store_keys=model.store_key,
            secret_variables=frozenset(self._secret_variables()),
            store=store,
            spool_dir=folder / model.spool_dir if model.spool_dir else store.parent,
            callers=callers(self._source, model, found, data, self._listen_variable),
            credentials=credentials,
            routes=found,
            limits=Limits(
                renewal_guard=model.renewal_guard,
                exchange_timeout=model.exchange_timeout,
                login_timeout=model.login_timeout,
                connect_timeout=model.proxy_connect_timeout,
                send_timeout=model.proxy_send_timeout,
                read_timeout=model.proxy_read_timeout,
                keepalive_timeout=model.keepalive_timeout,
                shutdown_timeout=model.shutdown_timeout,
                body_buffer_size=model.client_body_buffer_size,
                replay_limit=model.replay_limit,
                spool_limit=model.spool_limit,
                client_header_timeout=model.client_header_timeout,
                client_body_timeout=model.client_body_timeout,
                client_send_timeout=model.send_timeout,
                lingering_timeout=model.lingering_timeout,
                tunnel_timeout=model.tunnel_timeout,
                upstream_keepalive_timeout=model.upstream_keepalive_timeout,
                upstream_keepalive_time=model.upstream_keepalive_time,
                client_max_body_size=model.client_max_body_size,
                max_request_headers=model.max_request_headers,
                max_response_headers=model.max_response_headers,
                max_headers_count=model.max_headers_count,
                worker_connections=model.worker_connections,
                max_connections=model.max_connections,
                max_pending_requests=model.max_pending_requests,
                keepalive=model.keepalive,
            ),
            log_format=model.log_format,
            log_level=model.log_level,
            access_log=model.access_log,
            tls=tls,
        )

    def _secret_variables(self) -> Iterator[str]:
        """Name the variables of the environment that stand in values which nobody may see."""
        for path, names in self._source.variables.items():
            if path[0] in _SECRETS or (len(path) > 2 and (path[0], path[2]) in _SECRETS):
                yield from names

    def _resolve_providers(self) -> None:
        entries = self._model.providers
        for name in entries:
            if self._source.settled("providers", name):
                self._doubtful.add(name)
            try:
                provider = extended(name, entries, presets())
            except ValueError as error:
                self._source.report(("providers", name, "extends"), str(error))
                self._doubtful.add(name)
                provider = entries[name]
            self._providers[name] = provider
            for key in ("upstream", "token_url", "authorize_url"):
                if self._in_clear(getattr(provider, key), provider):
                    self._source.report(("providers", name, key), _IN_CLEAR)
            if "{" in provider.upstream or "}" in provider.upstream:
                self._source.report(
                    ("providers", name, "upstream"), "{…} is filled in where a route's upstream has it: write it there"
                )

    def _in_clear(self, url: str, provider: Provider) -> bool:
        return bool(url) and not provider.insecure_http and Upstream.parse(url.partition("?")[0]).in_clear

    def _credentials(self) -> Iterator[tuple[str, CredentialConfig]]:
        for name, entry in self._model.credentials.items():
            provider = self._providers.get(entry.provider)
            if provider is None:
                if self._source.settled("providers", entry.provider):
                    continue
                guess = hint(entry.provider, list(self._providers))
                self._source.report(("credentials", name, "provider"), f"there is no such provider{guess}")
                continue
            missing = tuple(_missing(entry, provider))
            if missing and entry.provider not in self._doubtful:
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
                    redirect_uri=self._redirect_uri(name, entry, provider),
                    org_pk=entry.org_pk,
                    missing=missing,
                    provider_name=entry.provider,
                ),
            )

    def _redirect_uri(self, name: str, entry: Credential, provider: Provider) -> str:
        registered = entry.redirect_uri or default_redirect(self._model.admin)
        path: KeyPath = ("credentials", name, "redirect_uri")
        try:
            redirect_to_send(registered, provider)
        except ValueError as error:
            self._source.report(path, str(error))
        if registered != OOB and self._in_clear(registered, provider):
            self._source.report(path, _IN_CLEAR)
        return registered

    def _routes(self, credentials: Mapping[str, CredentialConfig]) -> Iterator[tuple[int, RouteConfig]]:
        for index, entry in enumerate(self._model.routes):
            path: KeyPath = ("routes", index)
            matches = entry.prefix is not None or entry.host is not None or entry.listen is not None
            if not matches:
                self._source.report(path, "a route needs a prefix, a host or a listen to match by")
            credential = credentials.get(entry.credential)
            if credential is None:
                known = entry.credential in self._model.credentials
                if not known and not self._source.settled("credentials", entry.credential):
                    guess = hint(entry.credential, list(self._model.credentials))
                    self._source.report((*path, "credential"), f"there is no such credential{guess}")
            if credential is None or not matches:
                continue
            listen = entry.listen or ()
            route = RouteConfig(
                name=entry.name or (entry.host or "") + (entry.prefix or "") or listen[0].place,
                credential=entry.credential,
                upstream=self._route_upstream((*path, "upstream"), entry, credential.provider),
                prefix=entry.prefix or "/",
                host=entry.host or "",
                listen=listen,
                methods=frozenset(entry.methods) if entry.methods else None,
                allow_origins=frozenset(entry.allow_origins),
            )
            yield index, route

    def _route_upstream(self, path: KeyPath, entry: Route, provider: Provider) -> Upstream | None:
        default = Upstream.parse(provider.upstream) if provider.upstream else None
        if not entry.upstream:
            return default
        upstream = Upstream.parse(entry.upstream)
        holes = [segment for segment in upstream.base.split("/") if "{" in segment or "}" in segment]
        if holes not in ([], [ORG_PK]):
            self._source.report(path, f"{ORG_PK}, once and as a whole segment of the path, is all that is filled in")
            return default
        if holes and not provider.orgs_path:
            self._source.report(
                path, f"{ORG_PK} is found out where the provider has an orgs_path: write the value itself"
            )
            return default
        if default is not None and upstream.origin != default.origin:
            self._source.report(path, "this is another origin than the provider's: tokens go to the provider only")
        if default is None and self._in_clear(entry.upstream, provider):
            self._source.report(path, _IN_CLEAR)
        return upstream

    def _check_clashes(self, routes: Sequence[tuple[int, RouteConfig]]) -> None:
        seen: set[object] = set()
        for index, route in routes:
            matches: set[object] = {(address, route.host, route.prefix) for address in route.listen or (None,)}
            if matches & seen:
                self._source.report(("routes", index), "matches the very same requests as another route")
            elif route.name in seen:
                self._source.report(("routes", index), "bears the same name as another route: give it a name")
            seen |= matches | {route.name}

    def _listeners(self) -> tuple[list[Listener], list[Listener]]:
        """Give the planes' listeners and the routes' own."""
        model = self._model
        planes: list[Listener] = [(("listen",), address) for address in model.listen]
        planes += [(("admin",), address) for address in model.admin]
        own: list[Listener] = [
            (("routes", index, "listen"), address)
            for index, entry in enumerate(model.routes)
            for address in entry.listen or ()
        ]
        return planes, own

    def _store(self, folder: Path) -> Path:
        scheme, _, name = self._model.store.partition(":")
        if scheme != "sqlite" or not name or name.startswith("//"):
            self._source.report(("store",), "this version keeps tokens in SQLite only: write sqlite:FILE")
        return folder / (name or "tokens.db")


def _missing(entry: Credential, provider: Provider) -> Iterator[str]:
    """Name what this credential needs and lacks, RFC 6749's words and ours."""
    renews = provider.renew != "none"
    signs_in = provider.grant in INTERACTIVE
    if not provider.upstream:
        yield "upstream"
    calls = renews or provider.grant == "authorization_code"  # its token endpoint
    if not provider.token_url and calls:
        yield "token_url"
    if not entry.client_id and (renews or signs_in):
        yield "client_id"
    if not entry.client_secret and calls and provider.client_auth != "none":
        yield "client_secret"
