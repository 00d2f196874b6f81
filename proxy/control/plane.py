"""The control plane's endpoints on an ordinary `aiohttp.web` application.

/healthz            200 while the process is alive
/readyz             200, or 503 with reasons; ?credential=NAME asks for one
/api/credentials    how every credential is, as JSON
"""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from ..config import Config
from ..credentials.core import CredentialCore
from ..listen import close_listener, listening_name, open_sockets

CORE: web.AppKey[CredentialCore] = web.AppKey("core", CredentialCore)


class ControlPlane:
    """Serves the control plane where the configuration says. `start` may raise `ListenError`; then call `stop` too."""

    def __init__(self, config: Config, core: CredentialCore) -> None:
        self._config = config
        self._app = make_app(core)
        self._runner: web.AppRunner | None = None
        self._listeners: list[asyncio.Server] = []
        self.listening: list[str] = []

    async def start(self) -> None:
        """Open all listeners."""
        if not self._config.admin:
            return
        self._runner = web.AppRunner(self._app, access_log=None, handle_signals=False)
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("an application that is set up has a server")
        for address in self._config.admin:
            for sock in open_sockets(address):
                self._listeners.append(await asyncio.get_running_loop().create_server(server, sock=sock))
                self.listening.append(listening_name(sock))

    async def stop(self) -> None:
        """Close all listeners and connections."""
        for listener in self._listeners:
            close_listener(listener)
        if self._runner is not None:
            await self._runner.cleanup()


def make_app(core: CredentialCore) -> web.Application:
    """Give the application, for a runner or a test."""
    app = web.Application()
    app[CORE] = core
    app.on_response_prepare.append(_guard)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/api/credentials", _credentials)
    return app


async def _guard(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    core = request.app[CORE]
    wanted = request.query.get("credential")
    health = [one for one in core.health() if wanted in (None, one.config.name)]
    now = time.time()
    reasons = [core.store_trouble] if core.store_trouble else []
    if wanted is not None and not health:
        reasons.append("there is no such credential")
    elif not any(one.can_serve(now) for one in health):
        reasons += [f"{one.config.name}: {': '.join(filter(None, one.state(now)))}" for one in health]
        reasons = reasons or ["no credential is configured"]
    reasons += [f"{one.config.name}: its new tokens could not be saved" for one in health if one.unsaved]
    status = 503 if reasons else 200
    return web.json_response({"status": "not ready" if reasons else "ready", "reasons": reasons}, status=status)


async def _credentials(request: web.Request) -> web.Response:
    now = time.time()
    return web.json_response({"credentials": [one.as_json(now) for one in request.app[CORE].health()]})
