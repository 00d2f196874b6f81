"""The composition root: a configuration becomes a running proxy, and ends in order.

Closing runs backwards: callers first, then exchanges under way, then the store (T3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .config import Config
from .control.plane import ControlPlane
from .credentials.core import CredentialCore, open_core
from .gateway.plane import DataPlane

LOG = logging.getLogger("bearer_proxy")


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[CredentialCore]:
    """Run both planes while the context is open. Raises `StoreError` or `ListenError` before that."""
    async with open_core(config) as core:
        data, control = DataPlane(config, core), ControlPlane(config, core)
        try:
            await control.start()
            await data.start()
            core.start()
            warning = core.store.permission_warning()
            if warning:
                LOG.warning("%s", warning)
            LOG.info("data plane on %s", ", ".join(data.listening))
            LOG.info("control plane on %s", ", ".join(control.listening) or "nothing: admin is null")
            yield core
            LOG.info("stopping: requests and exchanges under way are finished first")
        finally:
            await core.rest()
            await asyncio.gather(data.stop(), control.stop())  # one time limit for both
