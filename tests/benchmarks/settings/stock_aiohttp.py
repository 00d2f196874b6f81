"""A usual reverse proxy on aiohttp's server and client. Arguments: PORT PLAIN TLS OWN CA TOKEN_FILE."""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

with contextlib.suppress(ImportError):
    import uvloop

    uvloop.install()

NOT_PASSED = {"authorization", "connection", "content-length", "host", "keep-alive", "proxy-authorization", "te"}
NOT_PASSED |= {"trailer", "transfer-encoding", "upgrade"}
PORT, PLAIN, TLS, OWN, CA, TOKEN_FILE = sys.argv[1:]
ORIGINS = {"rc": f"http://127.0.0.1:{PLAIN}", "tls": f"https://localhost:{TLS}", "own": f"http://127.0.0.1:{OWN}"}
SESSION = web.AppKey("session", ClientSession)
AUTHORIZATION = f"Bearer {Path(TOKEN_FILE).read_text()}"


async def forward(request: web.Request) -> web.StreamResponse:
    _, prefix, path = request.rel_url.raw_path_qs.split("/", 2)
    head = {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED}
    head["Authorization"] = AUTHORIZATION
    async with request.app[SESSION].request(
        request.method,
        f"{ORIGINS[prefix]}/{path}",
        headers=head,
        data=request.content if request.can_read_body else None,
        allow_redirects=False,
    ) as answer:
        passed = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED}
        response = web.StreamResponse(status=answer.status, headers=passed)
        response.content_length = answer.content_length
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def session(app: web.Application) -> AsyncIterator[None]:
    connector = TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=CA))
    async with ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar(), timeout=ClientTimeout()
    ) as app[SESSION]:
        yield


def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{prefix:rc|tls|own}/{path:.*}", forward)
    web.run_app(app, host="127.0.0.1", port=int(PORT), access_log=None, print=None)


if __name__ == "__main__":
    main()
