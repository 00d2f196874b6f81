"""`doctor`: looks at everything that a credential needs, and says what to do next. Changes nothing, exchanges nothing.

    asking, probe, disk   look, each within a time limit      → facts
    origins, standing     judge what was seen; pure           → findings

All looks go on at the same time; the order of the findings is the configuration's.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Iterable, Mapping

from ..config import Config, Problem
from ..egress import upstream_trust
from . import origins, standing
from .disk import read_health, see_folder, see_store
from .finding import Finding, Level
from .probe import see_addresses, see_origin

__all__ = ["Finding", "Level", "examine", "read_health"]


_CLOSING = 0.1  # seconds that aiohttp takes to close TLS connections, as it documents: it offers nothing to wait for


async def examine(
    config: Config,
    warnings: Iterable[Problem],
    limit: float,
    *,
    context: ssl.SSLContext | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """Look at everything, and judge it. `limit` is seconds for each origin, in all."""
    trusted = upstream_trust(config.tls) if context is None else context
    credentials = list(config.credentials.values())
    wanted = origins.origins_of(credentials)
    (store, spool, held), seen = await asyncio.gather(
        asyncio.gather(see_store(config), asyncio.to_thread(see_folder, config.spool_dir), see_addresses(config)),
        asyncio.gather(*(see_origin(upstream, limit, trusted, environ=environ) for upstream, _ in wanted.values())),
    )
    await asyncio.sleep(_CLOSING)
    now = time.time()
    findings = [
        *standing.judge_configuration(config.path, warnings, credentials),
        *standing.judge_store(store),
        *standing.judge_spool(spool, store.folder),
        *standing.judge_serving(held),
    ]
    for (origin, (_, uses)), one in zip(wanted.items(), seen, strict=True):
        findings += origins.judge_origin(origin, uses, one, now=now, limit=limit)
    if store.health is None:
        return findings + [standing.unknown_health(one) for one in credentials]
    for health in store.health:
        findings += standing.judge_health(health, now)
    return findings
