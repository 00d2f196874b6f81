"""The composition root: a configuration becomes a running proxy, and ends in order.

Closing runs backwards: callers first, then exchanges under way, then the store (T3).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

from .config import Config
from .config.changes import as_far_as_possible, check_change, needing_restart
from .control.plane import ControlPlane
from .credentials.core import CredentialCore, open_core
from .egress import Egress
from .errors import EgressProxyError
from .gateway.plane import DataPlane
from .metrics import Metrics

try:
    import uvloop
except ImportError:  # not for every platform
    uvloop = None  # type: ignore[assignment]

LOG = logging.getLogger("bearer_proxy")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's names, mallopt(3)
_KEPT, _LARGEST = 16 << 20, 1 << 20  # bytes of free memory that are kept, and of a block that is taken from it


def keep_memory() -> None:
    """Have glibc keep some freed memory: it would give it back after each answer of a page, and take it again."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on the fastest event loop that there is: uvloop's halves the cost of a request."""
    keep_memory()
    with asyncio.Runner(loop_factory=None if uvloop is None else uvloop.new_event_loop) as runner:
        runner.run(work)


def _unusable_proxies(config: Config, egress: Egress) -> Iterator[str]:
    """Say which variables of the environment name a proxy that no call can take."""
    found = set()
    for upstream in {str(route.upstream) for route in config.routes if route.upstream is not None}:
        try:
            egress.proxy(upstream)
        except EgressProxyError as error:
            found.add(error.description)
    yield from sorted(found)


class Running:
    """Both planes on one credential core, while they run."""

    def __init__(self, config: Config, core: CredentialCore, data: DataPlane, control: ControlPlane) -> None:
        self.core = core
        self._started = self._config = config
        self._data = data
        self._control = control

    async def reload(self, config: Config) -> None:
        """Go on with another configuration, as far as that needs no restart. What needs one is logged.

        Raises a `BearerProxyError` where it cannot be used; then all goes on as before.
        """
        check_change(self._started, config)
        waiting = [*needing_restart(self._started, config)]
        config = as_far_as_possible(self._started, config)
        prepared = self._data.prepared(config)  # whatever can fail does so before anything is changed
        await self.core.reload(config)
        self._data.reload(prepared)
        await self._control.reload(config)
        self._config = config
        if waiting:
            LOG.warning("these take effect at the next start only: %s", ", ".join(waiting))
        LOG.info("the configuration is read again")


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Run both planes while the context is open. Raises `StoreError` or `ListenError` before that."""
    async with open_core(config) as core:
        metrics = Metrics((route.name, route.credential) for route in config.routes) if config.admin else None
        data = DataPlane(config, core, core.egress, metrics)
        control = ControlPlane(config, core, metrics)
        try:
            await control.start()
            await data.start()
            core.start()
            store = core.store
            remains = (await store.encrypt_all()).remains
            doubts = (
                remains,
                store.permission_warning(),
                store.sharing_warning(),
                *_unusable_proxies(config, core.egress),
            )
            for warning in filter(None, doubts):
                LOG.warning("%s", warning)
            LOG.info("data plane on %s", ", ".join(data.listening))
            LOG.info("control plane on %s", ", ".join(control.listening) or "nothing: admin is null")
            yield Running(config, core, data, control)
            LOG.info("stopping: requests and exchanges under way are finished first")
        finally:
            await core.rest()
            await asyncio.gather(data.stop(), control.stop())  # one time limit for both
