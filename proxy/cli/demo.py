"""`demo` and `sandbox`: the emulated vendors, alone or behind a proxy that needs no configuration."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from .. import app, logs
from ..config import load
from ..credentials.record import Origin
from ..errors import ListenError
from ..sandbox import CLIENT_ID, CLIENT_SECRET, VENDORS, Sandbox, SandboxSettings
from ..signin.pasted import read_pasted
from .shared import stop_event

_CONFIG = """\
renewal_guard: 0 # so that tokens may be made to expire as often as one likes
providers:
  readycloud:
    extends: readycloud
    upstream: {readycloud}
    authorize_url: {readycloud_page}/api/v1/oauth2/authorize
    token_url: {readycloud}/api/v1/oauth2/token/
  cloud66:
    extends: cloud66
    upstream: {cloud66}
    authorize_url: {cloud66_page}/oauth/authorize
    token_url: {cloud66}/oauth/token
  onecloud: {{extends: onecloud, upstream: "{onecloud}", token_url: "{onecloud}/oauth2/token"}}
credentials:
  readycloud: {{provider: readycloud, client_id: {client_id}, client_secret: {client_secret}}}
  cloud66: {{provider: cloud66, client_id: {client_id}, client_secret: {client_secret}}}
  onecloud: {{provider: onecloud, client_id: {client_id}}}
routes:
  - {{prefix: /readycloud, credential: readycloud}}
  - {{prefix: /cloud66, credential: cloud66}}
  - {{prefix: /onecloud, credential: onecloud}}
"""
_LISTENERS = "listen: localhost:{port}\nadmin: localhost:{admin_port}\n"

_WELCOME = """\
Three emulated vendors run behind the proxy. No request below bears a token; try them:

  curl http://localhost:{port}/readycloud/api/v2/orgs/
  curl http://localhost:{port}/cloud66/api/3/stacks.json
  curl http://localhost:{port}/onecloud/api/v1/chains

ReadyCloud's and OneCloud's tokens live {lifetime:g} seconds here and are renewed before that: watch the lines
`exchange for readycloud: granted`. To see a request meet an expiry, make the tokens expire this very moment and call
again: the answer is 200 all the same, and the log line says `replayed=True`.

  curl -X POST {control}/readycloud/expire
  curl -i http://localhost:{port}/readycloud/api/v2/orgs/

Cloud 66 gives no refresh token. After `expire` its own 401 comes through, and Proxy-Status says what to do:

  curl -X POST {control}/cloud66/expire
  curl -i http://localhost:{port}/cloud66/api/3/stacks.json

Open this page in a browser to see how the credentials are, and to sign in anew (Connect, and Allow at the vendor):

  http://127.0.0.1:{admin_port}/

Ctrl-C ends it.
"""

_SANDBOX = """\
Three emulated vendors run. A config.yaml for them:

{config}
Sign in as a person does:         bearer-proxy login readycloud
Tokens without that:              curl -sX POST {control}/readycloud/grant | bearer-proxy import readycloud
Make them expire:                 curl -X POST {control}/readycloud/expire
All that can be done to a vendor is in the README, under "The sandbox".
Ctrl-C ends it.
"""


def sandbox(options: argparse.Namespace) -> int:
    """Run the emulated vendors until told to stop."""

    async def run() -> None:
        stop = stop_event()
        async with _running(_settings(options)) as vendors:
            names = _urls(vendors)
            print(_SANDBOX.format(config=_CONFIG.format(**names), **names), flush=True)
            await stop.wait()

    asyncio.run(run())
    return 0


def demo(options: argparse.Namespace) -> int:
    """Run the emulated vendors and the proxy before them until told to stop."""
    logs.configure("text", "info")
    lifetime = options.lifetime
    callback = f"http://127.0.0.1:{options.admin_port}/callback"
    settings = replace(
        _settings(options),
        readycloud_lifetime=lifetime,
        onecloud_lifetime=lifetime,
        readycloud_redirect_uri=callback,
        cloud66_redirect_uri=callback,
    )

    async def run(folder: Path) -> None:
        stop = stop_event()
        async with _running(settings) as vendors:
            names = {"port": options.port, "admin_port": options.admin_port, **_urls(vendors)}
            path = folder / "config.yaml"
            path.write_text((_LISTENERS + _CONFIG).format(**names))
            config, _ = load(path, {})
            async with app.running(config) as proxy:
                for vendor in VENDORS:
                    await proxy.core.put(vendor, read_pasted(json.dumps(vendors.grant(vendor))), Origin.LOGIN)
                print(_WELCOME.format(lifetime=lifetime, **names), flush=True)
                await stop.wait()

    with tempfile.TemporaryDirectory(prefix="bearer-proxy-demo-") as folder:
        app.run(run(Path(folder)))
    return 0


def _settings(options: argparse.Namespace) -> SandboxSettings:
    return SandboxSettings(**{f"{name}_port": getattr(options, f"{name}_port") for name in (*VENDORS, "control")})


@asynccontextmanager
async def _running(settings: SandboxSettings) -> AsyncIterator[Sandbox]:
    vendors = Sandbox(settings)
    try:
        await vendors.start()
    except OSError as error:
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise ListenError(f"the emulated vendors cannot listen on {error.filename}: {why}; see --help") from None
    try:
        yield vendors
    finally:
        await vendors.stop()


def _urls(vendors: Sandbox) -> dict[str, str]:
    """Give all that the texts above name of a sandbox."""
    urls = {name: vendors.url(name) for name in VENDORS}
    # A browser is sent to another site than the proxy's, as in real life.
    pages = {f"{name}_page": url.replace("127.0.0.1", "localhost") for name, url in urls.items()}
    return {**urls, **pages, "control": vendors.control_url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
