"""The control plane's endpoints for programs: JSON, and never a token.

/healthz            200 while the process is alive; ?challenge=… asks for what only a reader of our store can make of it
/readyz             200, or 503 with reasons; ?credential=NAME asks for one
/api/credentials    how every credential is
"""

from __future__ import annotations

import contextlib
import time

from aiohttp import web

from ..credentials.core import CredentialCore
from ..errors import StoreError

UNKNOWN = "there is no such credential"


def add_endpoints(app: web.Application, core: CredentialCore) -> None:
    """Serve them on `app`."""

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

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/api/credentials", credentials)


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
