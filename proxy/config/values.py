"""The configuration as the program reads it: frozen, resolved, free of defaults still to be applied.

It flows down from the composition root. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..secret import Secret
from .address import Address, Network, Upstream
from .fields import KeyHash
from .model import Provider

ORG_PK = "{org_pk}"  # in a route's upstream: the organization that the credential's grant belongs to


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Who may call without a key: callers from `networks` (None: everybody), over unix sockets those where `unix`."""

    networks: tuple[Network, ...] | None
    unix: bool = True

    def admits(self, address: str) -> bool:
        """Tell whether a caller at an IP address, empty for a unix socket, may call."""
        if not address:
            return self.unix
        return self.networks is None or is_in(address, self.networks)


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an IP address, with or without a zone, lies in one of `networks`."""
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)


NOBODY = Anonymous((), unix=False)
LOOPBACK_ONLY = Anonymous((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
EVERYBODY = Anonymous(None)


@dataclass(frozen=True, slots=True)
class CredentialConfig:
    """A credential with its provider resolved. `missing` names what it needs and lacks; then it cannot serve."""

    name: str
    provider: Provider
    client_id: str = ""
    client_secret: Secret = field(default_factory=lambda: Secret(""))
    scopes: tuple[str, ...] = ()
    redirect_uri: str = ""
    org_pk: str = ""
    missing: tuple[str, ...] = ()
    provider_name: str = ""


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """Where requests match and where they go. `upstream` is None while the credential lacks one."""

    name: str
    credential: str
    upstream: Upstream | None
    prefix: str = "/"
    host: str = ""
    listen: tuple[Address, ...] = ()
    methods: frozenset[str] | None = None
    allow_origins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A caller that proves who it is. `routes` are names; None for `routes` or `methods` means all."""

    name: str
    keys: tuple[KeyHash, ...] = ()
    certificates: tuple[str, ...] = ()
    routes: frozenset[str] | None = None
    methods: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class RealIp:
    """Which outer proxies are believed about a caller's address: by `networks`, or over `unix`, in field `header`."""

    networks: tuple[Network, ...] = ()
    unix: bool = False
    header: str = "x-forwarded-for"


@dataclass(frozen=True, slots=True)
class SocketAccess:
    """Who may call over unix sockets: a file mode, and user ids (None: whom the mode lets in)."""

    mode: int = 0o600
    users: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may call the data plane. `hosts` are further names by which both planes are known, in lower case."""

    clients: tuple[ClientConfig, ...] = ()
    anonymous: Anonymous = LOOPBACK_ONLY
    hosts: frozenset[str] = frozenset()
    real_ip: RealIp = RealIp()
    socket: SocketAccess = SocketAccess()


@dataclass(frozen=True, slots=True)
class Limits:
    """Durations in seconds, sizes in bytes."""

    renewal_guard: float = 30.0
    exchange_timeout: float = 20.0
    login_timeout: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    keepalive_timeout: float = 75.0
    shutdown_timeout: float = 20.0
    body_buffer_size: int = 64 << 10
    replay_limit: int = 16 << 20
    spool_limit: int = 1 << 30
    send_timeout: float = 60.0
    client_header_timeout: float = 60.0
    client_body_timeout: float = 60.0
    client_send_timeout: float = 60.0
    lingering_timeout: float = 5.0
    tunnel_timeout: float = 3600.0
    upstream_keepalive_timeout: float = 60.0
    upstream_keepalive_time: float = 300.0
    client_max_body_size: int = 0
    max_request_headers: int = 64 << 10
    max_response_headers: int = 64 << 10
    max_headers_count: int = 100
    worker_connections: int = 16384
    max_connections: int = 1024
    max_pending_requests: int = 1024
    keepalive: int = 128


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: `ca` of further authorities for upstreams, `certificate` and `key` for listeners marked ssl.

    `client_ca` is of the authorities of callers' certificates, which callers must have if `client_required`.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    client_required: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a command needs to know. `secret_variables` are of the environment, and hold secrets."""

    path: Path
    listen: tuple[Address, ...]
    admin: tuple[Address, ...]
    store: Path
    spool_dir: Path
    callers: Callers
    credentials: dict[str, CredentialConfig]
    routes: tuple[RouteConfig, ...]
    limits: Limits
    admin_key: Secret = field(default_factory=lambda: Secret(""))
    store_keys: tuple[Secret, ...] = ()
    secret_variables: frozenset[str] = frozenset()
    log_format: str = "text"
    log_level: str = "info"
    access_log: bool = True
    tls: TlsFiles = field(default_factory=TlsFiles)

    @property
    def own_listeners(self) -> frozenset[Address]:
        """Give the addresses that routes listen on by themselves."""
        return frozenset(address for route in self.routes for address in route.listen)

    @property
    def listeners(self) -> frozenset[Address]:
        """Give all addresses of the data plane."""
        return self.own_listeners.union(self.listen)
