"""The control plane as a whole: ordinary `aiohttp.web` applications, and the listeners that they are served on.

Two of them: the one that `serve` runs, and the one with nothing but the callback that `login` runs by itself.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ..config import Address, Config, Limits
from ..credentials.core import CredentialCore
from ..listen import close_listener, listening_name, open_sockets
from ..metrics import Metrics
from ..secret import Secret
from ..signin.attempts import SignIn
from .callback import Complete, add_callback
from .endpoints import add_endpoints
from .guard import guard, host_names, plain_headers, protect
from .pages import add_pages

_MAX_LINE = 16 << 10  # bytes of a request line or a header line: cookies of other programs on this host come here too
_MAX_BODY = 64 << 10  # bytes of a form


class _Connection(web.RequestHandler):
    """A caller's connection. What cannot be parsed is answered without the parser's words, which quote it."""

    __slots__ = ()

    def handle_error(self, request: web.BaseRequest, *_: Any) -> web.StreamResponse:
        """Answer what could not be parsed, and close."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response is under way already")
        response = web.Response(status=400, text="this is not HTTP/1.1 that can be read\n", headers=plain_headers())
        response.force_close()
        return response


class Listening:
    """Serves an application on addresses. `start` may raise `ListenError`; then call `stop` too."""

    def __init__(self, app: web.Application, addresses: Sequence[Address], limits: Limits) -> None:
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=limits.keepalive_timeout,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            shutdown_timeout=max(limits.shutdown_timeout, 0.01),  # aiohttp takes 0 for no limit
        )
        self._addresses = addresses
        self._listeners: list[asyncio.Server] = []
        self.listening: list[str] = []

    async def start(self) -> None:
        """Open all listeners."""
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("an application that is set up has a server")
        loop = asyncio.get_running_loop()
        factory = functools.partial(_Connection, server, loop=loop, **server._kwargs)  # noqa: SLF001 - as it does itself
        for address in self._addresses:
            for sock in open_sockets(address):
                self._listeners.append(await loop.create_server(factory, sock=sock))
                self.listening.append(listening_name(sock))

    async def stop(self) -> None:
        """Close all listeners and connections."""
        for listener in self._listeners:
            close_listener(listener)
        await self._runner.cleanup()


class ControlPlane(Listening):
    """Serves the control plane where the configuration says, and completes sign-ins before it is over."""

    def __init__(self, config: Config, core: CredentialCore, metrics: Metrics | None = None) -> None:
        self._sign_in = SignIn(config, core, core.exchange.redeem)
        super().__init__(make_app(config, core, self._sign_in, metrics), config.admin, config.limits)

    async def stop(self) -> None:
        """Close all listeners and connections, then wait for what a person has begun and the vendor has granted."""
        await super().stop()
        await self._sign_in.stop()


def make_app(config: Config, core: CredentialCore, sign_in: SignIn, metrics: Metrics | None = None) -> web.Application:
    """Give the application of `serve`."""
    app = _guarded(config, config.admin_key)
    add_endpoints(app, core, metrics)
    add_pages(app, config, core, sign_in)
    return app


def make_callback_app(config: Config, complete: Complete) -> web.Application:
    """Give the application of `login`, which has the callback and nothing else."""
    app = _guarded(config, Secret(""))
    add_callback(app, complete, home="")
    return app


def _guarded(config: Config, admin_key: Secret) -> web.Application:
    app = web.Application(client_max_size=_MAX_BODY, middlewares=[guard(host_names(config), admin_key)])
    app.on_response_prepare.append(protect)
    return app
