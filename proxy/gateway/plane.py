"""The data plane as a whole: listeners opened, requests forwarded, everything closed in order."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ..config import Config
from ..credentials.core import CredentialCore
from ..listen import close_listener, listening_name, open_sockets
from .body import Spool
from .forward import Forwarder, Replay
from .routes import MAIN, RouteTable, make_route
from .server import make_server
from .upstream import UpstreamClient


class DataPlane:
    """Listens where the configuration says, and forwards. `start` may raise `ListenError`; then call `stop` too."""

    def __init__(self, config: Config, core: CredentialCore) -> None:
        self._config = config
        self._core = core
        self._client: UpstreamClient | None = None
        self._servers: list[tuple[asyncio.Server, web.Server]] = []
        self.listening: list[str] = []

    async def start(self) -> None:
        """Open all listeners."""
        config, limits = self._config, self._config.limits
        self._client = UpstreamClient(limits)
        table = RouteTable(make_route(route, config.credentials[route.credential]) for route in config.routes)
        spool = Spool(config.spool_dir, limits.spool_limit)
        spool.check()
        forwarder = Forwarder(
            table,
            {name: self._core.keeper(name) for name in config.credentials},
            self._core.organizations(),
            self._client,
            config.anonymous,
            Replay(spool, limits.body_buffer_size, limits.replay_limit),
        )
        own = {address for route in config.routes for address in route.listen}
        for address in (*config.listen, *sorted(own, key=str)):
            listener = str(address) if address in own else MAIN
            server = make_server(forwarder, listener, limits.keepalive_timeout)
            for sock in open_sockets(address):
                self._servers.append((await asyncio.get_running_loop().create_server(server, sock=sock), server))
                self.listening.append(listening_name(sock))

    async def stop(self) -> None:
        """Take no more requests, let those in flight finish in time, then close."""
        for listener, _ in self._servers:
            close_listener(listener)
        # Once each: the two sockets of `localhost` share a server, whose second shutdown would make the first wait on.
        servers = {server for _, server in self._servers}
        await asyncio.gather(*(server.shutdown(self._config.limits.shutdown_timeout) for server in servers))
        if self._client is not None:
            await self._client.close()
