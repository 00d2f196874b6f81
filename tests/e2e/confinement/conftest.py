"""One proxy for each module, before servers of many kinds, with routes of every kind to each of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.confinement.caller import Caller
from tests.e2e.confinement.nginx import nginx
from tests.e2e.confinement.node import node
from tests.e2e.confinement.servers import aiohttp_application, files, wsgi
from tests.support.processes import Proxy, free_port
from tests.support.servers import serving

BASE = "/api/v2/orgs/XXX"
ORG = "7kQ2f"
COUNTING = ("files", "wsgi", "aiohttp")
SERVERS = (*COUNTING, "node", "nginx-merging", "nginx-as-is")
# The routes to each server: how a request's path begins, and the base path there.
ROUTES = {
    "based": ("/{name}/based", BASE),
    "org": ("/{name}/org", f"/api/v2/orgs/{ORG}/orders"),
    "above": ("/{name}/above", "/api"),
    "read": ("/{name}/read", BASE),
    "whole": ("/{name}", ""),
}


@dataclass
class Site:
    """A running proxy, the ports on which each server has a listener of its own, and the servers' origins."""

    proxy: Proxy
    origins: dict[str, str]
    own_ports: dict[str, int] = field(default_factory=dict)

    def start_of(self, server: str, route: str) -> str:
        """How paths begin that take this route to this server; without that server the test is skipped."""
        if server not in self.origins:
            pytest.skip(f"{server} is not installed")
        return ROUTES[route][0].format(name=server)

    def caller(self, port: int | None = None) -> contextlib.AbstractAsyncContextManager[Caller]:
        """Somebody who keeps a connection to the proxy, or to another port."""
        return Caller.calling(port or self.proxy.port)


def config(site: Site) -> dict[str, Any]:
    """Providers, credentials and routes for all servers."""
    found: dict[str, Any] = {"providers": {}, "credentials": {}, "routes": []}
    for name, origin in site.origins.items():
        found["providers"][name] = {
            "upstream": origin,
            "authorize_url": f"{origin}/oauth/authorize",
            "token_url": f"{origin}/token",
            "oauth_paths": ["/api/v1/oauth2"],
            "orgs_path": "/api/v2/orgs/",
            "grant": "manual",
        }
        found["credentials"][name] = {"provider": name, "client_id": "id", "client_secret": "secret", "org_pk": ORG}
        site.own_ports[name] = free_port()
        for route, (prefix, base) in ROUTES.items():
            limit = {"methods": ["GET", "HEAD"]} if route == "read" else {}
            upstream = origin + base.replace(ORG, "{org_pk}")
            found["routes"].append(
                {"prefix": prefix.format(name=name), "credential": name, "upstream": upstream, **limit}
            )
        for way in ({"host": f"{name}.internal"}, {"listen": f"127.0.0.1:{site.own_ports[name]}"}):
            found["routes"].append({"credential": name, "upstream": origin + BASE, **way})
    return found


async def _tokens(site: Site) -> None:
    for name in site.origins:
        await site.proxy.bring_tokens(name, {"access_token": "access-1", "token_type": "bearer"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The proxy and all the servers; nginx and Node only where they are installed."""
    folder: Callable[[str], Path] = tmp_path_factory.mktemp
    async with contextlib.AsyncExitStack() as stack:
        origins = {"files": stack.enter_context(files()), "wsgi": stack.enter_context(wsgi())}
        origins["aiohttp"] = await stack.enter_async_context(serving(aiohttp_application()))
        with contextlib.suppress(pytest.skip.Exception):
            both = stack.enter_context(nginx(folder("nginx")))
            origins |= {"nginx-merging": both["on"], "nginx-as-is": both["off"]}
        with contextlib.suppress(pytest.skip.Exception):
            origins["node"] = stack.enter_context(node(folder("node")))
        site = Site(Proxy(folder("proxy")), origins)
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in config(site).items())
        site.proxy.configure(f"log_level: warning\n{text}")
        await _tokens(site)
        try:
            await site.proxy.start()
            yield site
        finally:
            assert 0 == await site.proxy.stop(), site.proxy.log
        assert "Traceback" not in site.proxy.log, site.proxy.log
