"""Small servers that a test puts somewhere: before a token endpoint, or on a port that is another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web


class Between:
    """Stands before a token endpoint, and keeps what is sent there. `without`: a field that does not get through."""

    def __init__(self, target: str, without: str) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self.content_types: list[str] = []  # of the answers
        self._target = target
        self._without = without

    async def pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.forms.append(dict(parse_qsl(body.decode())))
        headers = {key: request.headers[key] for key in ("Accept", "Content-Type") if key != self._without}
        async with aiohttp.ClientSession() as session, session.post(self._target, data=body, headers=headers) as answer:
            self.content_types.append(answer.content_type)
            return web.Response(
                body=await answer.read(), status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )


@asynccontextmanager
async def between(target: str, without: str = "") -> AsyncIterator[Between]:
    """Serve it."""
    stands = Between(target, without)
    app = web.Application()
    app.router.add_post("/token", stands.pass_on)
    async with serving(app) as origin:
        stands.url = f"{origin}/token"
        yield stands


@asynccontextmanager
async def serving(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serve a small application on 127.0.0.1, and give its origin."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
