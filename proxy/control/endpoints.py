"""The control plane's endpoints for programs: JSON or Prometheus's text, and never a token.

/healthz            200 while the process is alive; ?challenge=… asks for what only a reader of our store can make of it
/readyz             200, or 503 with reasons; ?credential=NAME asks for one
/api/credentials    how every credential is
/metrics            what is counted; to write that takes a while with many routes, so it is done beside the event loop
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ..credentials.core import CredentialCore
from ..credentials.health import Health, State
from ..errors import StoreError
from ..metrics import Metrics

UNKNOWN = "there is no such credential"
OUTCOMES = ("granted", "refused", "unusable", "unavailable", "uncertain")  # of an exchange


def add_endpoints(app: web.Application, core: CredentialCore, metrics: Metrics | None = None) -> None:
    """Serve them on `app`; /metrics tells of requests where these are counted."""
    registry = CollectorRegistry()
    registry.register(CredentialFigures(core))
    if metrics is not None:
        registry.register(metrics)
    ProcessCollector(registry=registry)
    reading = asyncio.Lock()

    async def readyz(request: web.Request) -> web.Response:
        reasons = _reasons(core, request.query.get("credential"))
        status = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return web.json_response(status, status=503 if reasons else 200)

    async def credentials(_: web.Request) -> web.Response:
        now = time.time()
        return web.json_response({"credentials": [one.as_json(now) for one in core.health()]})

    async def healthz(request: web.Request) -> web.Response:
        answer = {"status": "ok"}
        if challenge := request.query.get("challenge"):
            with contextlib.suppress(StoreError):
                answer["proof"] = await core.store.prove(proof_text(*_reached(request), challenge))
        return web.json_response(answer)

    async def figures(_: web.Request) -> web.Response:
        async with reading:  # one at a time: other work needs the threads too
            text = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/api/credentials", credentials)
    app.router.add_get("/metrics", figures)


class CredentialFigures(Collector):
    """How the credentials are, in figures, from what the core keeps of them anyway."""

    def __init__(self, core: CredentialCore) -> None:
        self._core = core

    def collect(self) -> Iterator[Metric]:
        """Give the families."""
        yield from _standing(self._core.health(), time.time())
        yield from _counted(self._core)
        store_up = 0 if self._core.store_trouble else 1
        yield GaugeMetricFamily("bearer_proxy_store_up", "1 while the token store can be used.", store_up)


def _standing(healths: list[Health], now: float) -> Iterator[Metric]:
    """Give how each credential is now."""
    labels = ("credential",)
    state = GaugeMetricFamily("bearer_proxy_credential_state", "1 for the state it is in.", labels=(*labels, "state"))
    expiry = GaugeMetricFamily(
        "bearer_proxy_token_expiry_timestamp_seconds", "When the access token expires, if known.", labels=labels
    )
    unsaved = GaugeMetricFamily("bearer_proxy_tokens_unsaved", "1 while new tokens are in memory only.", labels=labels)
    for health in healths:
        name, current = health.config.name, health.state(now)[0]
        for one in State:
            state.add_metric((name, one.value), one is current)
        if health.record.expires_at is not None:
            expiry.add_metric((name,), health.record.expires_at)
        unsaved.add_metric((name,), health.unsaved)
    yield from (state, expiry, unsaved)


def _counted(core: CredentialCore) -> Iterator[Metric]:
    """Give what was done for each credential, zeros too: a rate needs to see the first one happen."""
    labels = ("credential", "outcome")
    exchanges = CounterMetricFamily("bearer_proxy_exchanges", "Calls of the token endpoint.", labels=labels)
    replays = CounterMetricFamily("bearer_proxy_replays", "Requests answered at their second sending.", labels=labels)
    for name in (health.config.name for health in core.health()):
        for outcome in OUTCOMES:
            exchanges.add_metric((name, outcome), core.exchange.outcomes[name, outcome])
        for outcome, accepted in (("accepted", True), ("rejected", False)):
            replays.add_metric((name, outcome), core.keeper(name).replays[accepted])
    yield from (exchanges, replays)


def proof_text(host: str, port: int, challenge: str) -> str:
    """Give what is to be proven: the address is in it, so that nobody can pass a proof on from another one."""
    return f"{host} port {port}: {challenge}"


def _reached(request: web.Request) -> tuple[str, int]:
    """Give the address of ours at which a request came in."""
    where = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return (str(where[0]), int(where[1])) if isinstance(where, tuple) else ("", 0)


def _reasons(core: CredentialCore, wanted: str | None) -> list[str]:
    """Give why it is not ready: as a whole, or for the credential `wanted`."""
    health = [one for one in core.health() if wanted in (None, one.config.name)]
    now = time.time()
    reasons = [core.store_trouble] if core.store_trouble else []
    if wanted is not None and not health:
        reasons.append(UNKNOWN)
    elif not any(one.can_serve(now) for one in health):
        reasons += [f"{one.config.name}: {': '.join(filter(None, one.state(now)))}" for one in health]
        reasons = reasons or ["no credential is configured"]
    return reasons + [f"{one.config.name}: its new tokens could not be saved" for one in health if one.unsaved]
