"""The control plane as a whole: ordinary `aiohttp.web` applications, and the listeners that they are served on.

Two of them: the one that `serve` runs, and the one with nothing but the callback that `login` runs by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ..callers.guesses import Guesses
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
from .session import Sessions

LOG = logging.getLogger("bearer_proxy")

_MAX_LINE = 16 << 10  # bytes of a request line or a header line: cookies of other programs on this host come here too
_MAX_BODY = 64 << 10  # bytes of a form
_MOST_CONNECTIONS = 512  # callers at a time


class _Connection(web.RequestHandler):
    """A caller's connection. What cannot be parsed is answered without the parser's words, which quote it.

    With all places taken, the connection that has been waiting longest for its caller gives way to a new one: for a
    request, for the rest of its body, or for an answer to be read. One whose request is being worked on stays.
    """

    __slots__ = ("_patience", "_too_late", "since")

    def __init__(self, *arguments: Any, patience: float, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._patience = patience
        self.since = self._loop.time()  # when it began to wait for its caller
        self._too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a first request has to come in time, as aiohttp sees to for those after it."""
        super().connection_made(transport)
        self._too_late = self._loop.call_later(self._patience, self._nothing_came)
        others = self._manager.connections if self._manager is not None else []
        staying = [one for one in others if isinstance(one, _Connection) and not one.leaves]
        if len(staying) > _MOST_CONNECTIONS:
            min((one for one in staying if one.waits), key=lambda one: one.since).give_way()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        if self._too_late is not None:
            self._too_late.cancel()
        super().connection_lost(exc)

    def _nothing_came(self) -> None:
        if self._request_count == 0:
            self.force_close()

    @property
    def waits(self) -> bool:
        """Whether it is the caller's turn, also where an answer is on its way."""
        return self._current_request is None or not self._current_request.content.is_eof()

    @property
    def leaves(self) -> bool:
        """Whether it is closed, though that may not have been heard of yet."""
        return self._force_close

    def give_way(self) -> None:
        """End at once, whatever is still to be sent."""
        if self.transport is not None:
            self.transport.abort()  # to close it would wait until an answer that nobody reads is sent
        self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; from now on it is the caller's turn."""
        self.since = self._loop.time()
        if isinstance(resp, web.HTTPExpectationFailed):
            resp.text = "no other expectation than 100-continue is met\n"  # aiohttp's words quote it
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the words that are not repeated
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or what failed unforeseen, and close."""
        if self.transport is None and isinstance(exc, ConnectionError):
            raise exc  # the caller is gone: aiohttp lets that rest
        text = "this is not HTTP/1.1 that can be read\n"
        if status >= 500:
            kind = type(exc or TimeoutError()).__name__
            LOG.error("the control plane failed in a way that was not foreseen: %s", kind, exc_info=exc)
            text = "the proxy failed; its log says more\n"
        if request.writer.output_size > 0:
            raise ConnectionError("a response is under way already")
        response = web.Response(status=500 if status >= 500 else 400, text=text, headers=plain_headers())
        response.force_close()
        return response


class Listening:
    """Serves an application on addresses. `start` may raise `ListenError`; then call `stop` too."""

    def __init__(self, app: web.Application, addresses: Sequence[Address], limits: Limits) -> None:
        self._limits = limits
        self._runner = self._made_runner(app)
        self._leaving: set[asyncio.Task[None]] = set()
        self._addresses = addresses
        self._listeners: list[asyncio.Server] = []
        self.listening: list[str] = []

    async def start(self) -> None:
        """Open all listeners."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for address in self._addresses:
            for sock in open_sockets(address):
                self._listeners.append(await loop.create_server(self._connection, sock=sock))
                self.listening.append(listening_name(sock))

    async def replace(self, app: web.Application) -> None:
        """Serve another application from now on. Connections to the one before end with the answer under way."""
        runner = self._made_runner(app)
        await runner.setup()
        before, self._runner = self._runner, runner
        leaving = asyncio.create_task(before.cleanup())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def stop(self) -> None:
        """Close all listeners and connections."""
        for listener in self._listeners:
            close_listener(listener)
        await asyncio.gather(self._runner.cleanup(), *self._leaving)

    def _made_runner(self, app: web.Application) -> web.AppRunner:
        return web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=self._limits.keepalive_timeout,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            shutdown_timeout=max(self._limits.shutdown_timeout, 0.01),  # aiohttp takes 0 for no limit
        )

    def _connection(self) -> asyncio.Protocol:
        """Make what serves one caller."""
        server = self._runner.server
        if server is None:
            raise RuntimeError("an application that is set up has a server")
        loop = asyncio.get_running_loop()
        return _Connection(server, loop=loop, patience=self._limits.client_header_timeout, **server._kwargs)  # noqa: SLF001 - as it does itself


class ControlPlane(Listening):
    """Serves the control plane where the configuration says, and completes sign-ins before it is over."""

    def __init__(self, config: Config, core: CredentialCore, metrics: Metrics | None = None) -> None:
        self._core = core
        self._metrics = metrics
        self._sign_in = SignIn(config, core, core.exchange.redeem)
        self._sessions = Sessions()
        self._guesses = Guesses()
        super().__init__(self._app(config), config.admin, config.limits)

    async def reload(self, config: Config) -> None:
        """Go on with another configuration: credentials, names and admin_key. Sign-ins that were begun go on."""
        self._sign_in.reconfigure(config)
        await self.replace(self._app(config))

    def _app(self, config: Config) -> web.Application:
        return make_app(config, self._core, self._sign_in, self._metrics, self._sessions, self._guesses)

    async def stop(self) -> None:
        """Close all listeners and connections, then wait for what a person has begun and the vendor has granted."""
        await super().stop()
        await self._sign_in.stop()


def make_app(
    config: Config,
    core: CredentialCore,
    sign_in: SignIn,
    metrics: Metrics | None = None,
    sessions: Sessions | None = None,
    guesses: Guesses | None = None,
) -> web.Application:
    """Give the application of `serve`.

    With `sessions` of before, the forms that browsers have stay good; with `guesses`, whoever guesses stays slowed.
    """
    app = _guarded(config, config.admin_key, guesses or Guesses())
    add_endpoints(app, core, metrics)
    add_pages(app, config, core, sign_in, sessions or Sessions())
    return app


def make_callback_app(config: Config, complete: Complete) -> web.Application:
    """Give the application of `login`, which has the callback and nothing else."""
    app = _guarded(config, Secret(""), Guesses())
    add_callback(app, complete, home="", patience=config.limits.client_body_timeout)
    return app


def _guarded(config: Config, admin_key: Secret, guesses: Guesses) -> web.Application:
    app = web.Application(client_max_size=_MAX_BODY, middlewares=[guard(host_names(config), admin_key, guesses)])
    app.on_response_prepare.append(protect)
    return app
