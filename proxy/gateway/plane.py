"""The data plane as a whole: listeners opened, requests forwarded, everything closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import resource
from dataclasses import dataclass

from ..callers.browsers import listened_names
from ..callers.certificates import CertificateMap
from ..callers.guesses import Guesses
from ..config import ClientConfig, Config
from ..credentials.core import CredentialCore
from ..egress import Egress
from ..listen import HANDSHAKES, ListenerTls, accept_callers, close_listener, listener_tls, listening_name, open_sockets
from ..metrics import Levels, Metrics
from .accesslog import open_access_log
from .admission import Admission
from .body import Spool
from .forward import Forwarder, Replay
from .routes import MAIN, RouteTable, make_route
from .transport.connection import Connection
from .transport.dial import Dialer
from .transport.sender import UpstreamSender
from .transport.server import REFUSED, Identify, Server

LOG = logging.getLogger("bearer_proxy.gateway")

_FILES = resource.RLIMIT_NOFILE
_RESERVED = 64 + REFUSED  # file descriptors for the store, the listeners, exchanges, spooled bodies, and who is refused


def callers_at_most(wanted: int, upstreams: int, handshakes: int = 0) -> int:
    """Raise this process's limit of files as far as it goes; give how many callers fit in beside `handshakes`.

    Each may need a connection to an upstream, of which there may be `upstreams`.
    """
    soft, hard = resource.getrlimit(_FILES)
    needed = wanted + min(wanted, upstreams) + _RESERVED + handshakes
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < needed:
        with contextlib.suppress(OSError, ValueError):  # the kernel's own limit is lower
            resource.setrlimit(_FILES, (needed, hard))
            soft = needed
    room = soft - _RESERVED - handshakes
    return max(1, min(wanted, max(room // 2, room - upstreams)))


def handshakes_at_most() -> int:
    """Give how many handshakes may be under way: each has a file, of which they get a quarter at most."""
    hard = resource.getrlimit(_FILES)[1]
    return HANDSHAKES if hard == resource.RLIM_INFINITY else min(HANDSHAKES, max(1, hard // 4))


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the data plane has made of a configuration, for when it goes by it."""

    config: Config
    routes: RouteTable
    admission: Admission
    identify: Identify
    tls: ListenerTls | None


class DataPlane:
    """Listens where the configuration says, and forwards. `start` may raise `ListenError`; then call `stop` too."""

    def __init__(self, config: Config, core: CredentialCore, egress: Egress, metrics: Metrics | None) -> None:
        self._config = config
        self._core = core
        self._egress = egress
        self._metrics = metrics
        self._log = open_access_log(config)
        self._spool = Spool(config.spool_dir, config.limits.spool_limit)
        self._guesses = Guesses()
        self._tls: ListenerTls | None = None
        self._sender: UpstreamSender | None = None
        self._server: Server | None = None
        self._accepting: list[asyncio.Server] = []
        self.listening: list[str] = []

    async def start(self) -> None:
        """Open all listeners."""
        config, limits = self._config, self._config.limits
        prepared = self.prepared(config)
        self._spool.check()
        self._sender = UpstreamSender(limits, Dialer(self._egress.trust, limits.connect_timeout, self._egress.environ))
        own, handshakes = config.own_listeners, 0
        if any(address.tls for address in config.listeners):
            handshakes = handshakes_at_most()
            self._tls = listener_tls(config.tls, handshakes)
        most = callers_at_most(limits.worker_connections, limits.max_connections, handshakes)
        if most < limits.worker_connections:
            LOG.warning("the system allows files for %d callers at a time only: raise its limit (ulimit -n)", most)
        forwarder, users = self._forwarder(prepared, self._sender), config.callers.socket.users
        self._server = Server(
            forwarder, limits, self._log, self._metrics, most, prepared.identify, self._is_outdated, users
        )
        if self._metrics is not None:
            self._metrics.levels = self._levels
        for address in (*config.listen, *sorted(own, key=str)):
            name = str(address) if address in own else MAIN
            factory = functools.partial(Connection, self._server, name, "https" if address.tls else "http")
            for sock in open_sockets(address, config.callers.socket.mode):
                self._accepting.append(await accept_callers(factory, sock, limits, self._tls if address.tls else None))
                self.listening.append(listening_name(sock, tls=address.tls))

    def prepared(self, config: Config) -> Prepared:
        """Make all of a configuration that can fail, and change nothing. Raises a `BearerProxyError` where it fails.

        Certificates are read if a listener that is open has a use for them.
        """
        return Prepared(
            config,
            RouteTable(make_route(route, config.credentials[route.credential]) for route in config.routes),
            Admission(config.callers, _names(config), self._guesses),
            _identified(CertificateMap(config.callers.clients)),
            None if self._tls is None else listener_tls(config.tls),
        )

    def reload(self, prepared: Prepared) -> None:
        """Go on with another configuration: what callers may, routes, certificates. What is under way ends as it began.

        But a tunnel ends where it would be opened no more.
        """
        if self._server is None or self._sender is None:
            return
        forwarder = self._forwarder(prepared, self._sender)
        if self._tls is not None and prepared.tls is not None:
            self._tls.take_over(prepared.tls)
        self._config = prepared.config
        if self._metrics is not None:
            self._metrics.add_routes((route.name, route.credential) for route in self._config.routes)
        self._server.reload(forwarder, prepared.identify, forwarder.allows)

    async def stop(self) -> None:
        """Take no more requests, let those in flight finish in time, then close."""
        for listener in self._accepting:
            close_listener(listener)
        if self._tls is not None:
            self._tls.handshakes.close()
        if self._server is not None:
            await self._server.stop(self._config.limits.shutdown_timeout)
        if self._sender is not None:
            await self._sender.close()
        if self._log is not None:
            self._log.close()

    def _forwarder(self, prepared: Prepared, sender: UpstreamSender) -> Forwarder:
        config, limits = prepared.config, prepared.config.limits
        return Forwarder(
            prepared.routes,
            {name: self._core.keeper(name) for name in config.credentials},
            self._core.organizations(),
            sender,
            prepared.admission,
            Replay(self._spool, limits.body_buffer_size, limits.replay_limit),
        )

    def _is_outdated(self, transport: asyncio.BaseTransport) -> bool:
        """Tell whether a caller has shown its certificate to authorities that a reload has replaced meanwhile."""
        tls = transport.get_extra_info("ssl_object")
        return self._tls is not None and tls is not None and self._tls.is_outdated(tls)

    def _levels(self) -> Levels:
        """Give how much there is at this moment, for the metrics."""
        if self._server is None or self._sender is None:
            return Levels()
        return Levels(
            callers=self._server.open,
            callers_idle=self._server.idle.waiting,
            upstream=self._sender.open,
            upstream_idle=self._sender.idle,
            in_flight=self._server.in_flight,
            pending=self._sender.pending,
            spool_bytes=self._spool.used,
            log_lines_lost=0 if self._log is None else self._log.lost,
        )


def _names(config: Config) -> frozenset[str]:
    """Give the names by which callers may call."""
    hosts = {route.host for route in config.routes if route.host}
    return listened_names(config.listeners) | hosts | config.callers.hosts


def _identified(certified: CertificateMap) -> Identify:
    """Give what tells whose certificate a connection has."""

    def identify(transport: asyncio.BaseTransport) -> ClientConfig | None:
        tls = transport.get_extra_info("ssl_object") if certified else None
        return None if tls is None else certified.owner(tls.getpeercert(binary_form=True), tls.getpeercert())

    return identify
