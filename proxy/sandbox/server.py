"""The sandbox as a whole: three vendors and a control endpoint, each a real HTTP server on a port of its own.

A stopped sandbox may be started again: it comes back on the same ports, with everything it knew, as a vendor does
after an outage. Nothing is logged but unexpected errors, and no token ever.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from .cloud66 import Cloud66
from .control import Control
from .onecloud import OneCloud
from .readycloud import ReadyCloud
from .serving import Origin
from .settings import Cloud66Settings, ReadyCloudSettings, SandboxSettings, VendorSettings

VENDORS = ("readycloud", "cloud66", "onecloud")
_CONTROL = "control"
_DEFAULTS = SandboxSettings()
_SHUTDOWN_SECONDS = 0.1  # for requests still running; those that are stalled have been dropped by then


class Sandbox:
    """Three emulated vendors; `clock` gives epoch seconds, and all lifetimes follow it."""

    def __init__(self, settings: SandboxSettings = _DEFAULTS, *, clock: Callable[[], float] = time.time) -> None:
        vendors = (
            ReadyCloud(
                ReadyCloudSettings(
                    lifetime=settings.readycloud_lifetime,
                    redirect_uri=settings.readycloud_redirect_uri,
                ),
                clock,
            ),
            Cloud66(
                Cloud66Settings(
                    lifetime=settings.cloud66_lifetime,
                    refresh_tokens=False,
                    redirect_uri=settings.cloud66_redirect_uri,
                ),
                clock,
            ),
            OneCloud(VendorSettings(lifetime=settings.onecloud_lifetime), clock),
        )
        self._origins = {vendor.name: Origin(vendor) for vendor in vendors}
        self._control = Control(self._origins, clock)
        self._host = settings.host
        self._ports = {name: getattr(settings, f"{name}_port") for name in (*VENDORS, _CONTROL)}
        self._runners: list[web.ServerRunner] = []
        self._listeners: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. If one port cannot be had, none is kept."""
        handlers = {name: origin.serve for name, origin in self._origins.items()} | {_CONTROL: self._control.serve}
        try:
            for name, handler in handlers.items():
                self._ports[name] = await self._listen(handler, self._ports[name])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every socket and drop the requests that wait. A second call does nothing."""
        await self._stop_accepting()
        for origin in self._origins.values():
            origin.gate.open(proceed=False)
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()

    def url(self, vendor: str) -> str:
        """The vendor's origin, without a slash at its end."""
        self._origin(vendor)
        return self._url(vendor)

    @property
    def control_url(self) -> str:
        return self._url(_CONTROL)

    def grant(self, vendor: str) -> dict[str, object]:
        """A new grant, without a sign-in: the token JSON to paste."""
        return self._origin(vendor).vendor.grant()

    def _origin(self, vendor: str) -> Origin:
        if vendor not in self._origins:
            raise ValueError(f"unknown vendor {vendor!r}: one of {', '.join(VENDORS)}")
        return self._origins[vendor]

    def _url(self, name: str) -> str:
        if not self._ports[name]:
            raise RuntimeError("the sandbox has not been started, so its ports are not known")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._ports[name]}"

    async def _listen(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], port: int) -> int:
        """The port it listens at. Bodies are not unpacked: the journal shows the bytes that came."""
        server = web.Server(handler, access_log=None, auto_decompress=False)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._runners.append(runner)
        await runner.setup()
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            listener = socket.create_server((self._host, port), family=family)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), f"port {port}") from None
        self._listeners.append(listener)
        await web.SockSite(runner, listener).start()
        taken: int = listener.getsockname()[1]
        return taken

    async def _stop_accepting(self) -> None:
        """Callers try again as soon as they are dropped. A connection accepted while its server closes is leaked by
        asyncio (3.11: AssertionError in `Server._attach`), so let those under way arrive first.
        """
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(3):  # accept, make the transport, tell the protocol
            await asyncio.sleep(0)
