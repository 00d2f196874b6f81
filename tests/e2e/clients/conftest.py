"""A proxy between programs as they are: clients before it, and real servers that take one bearer token behind it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from aiohttp import web
from multidict import CIMultiDictProxy

from tests.e2e.clients.grant import Grant, token_endpoint
from tests.e2e.clients.nginx import Nginx, nginx
from tests.e2e.conftest import Gateway, Settings, running
from tests.support.processes import free_port
from tests.support.servers import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST = "site.internal"  # a name by which the server is reached where the proxy is a forward proxy


@dataclass
class Site:
    """A running proxy before nginx, and the grant by which it calls."""

    gateway: Gateway
    grant: Grant
    nginx: Nginx
    socket: Path

    @property
    def proxy_url(self) -> str:
        return self.gateway.proxy.url

    @property
    def url(self) -> str:
        """Where nginx is for a caller."""
        return f"{self.proxy_url}/t"

    @property
    def root(self) -> Path:
        """What nginx serves."""
        return self.nginx.root


@contextlib.asynccontextmanager
async def proxied(folder: Path, grant: Grant, upstream: str, settings: Settings) -> AsyncIterator[Gateway]:
    """A proxy with the prefix /t before any origin, signed in with the tokens of `grant`."""
    with token_endpoint(grant) as endpoint:
        provider = {"upstream": upstream, "token_url": endpoint.url, "grant": "manual"}
        async with running(folder, endpoint.socket, {**settings, "providers": {"test": provider}}) as gateway:
            gateway.tokens = grant.tokens
            yield gateway
    assert "not foreseen" not in gateway.proxy.log


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> AsyncIterator[Site]:
    """The proxy and the servers that all tests of a module share."""
    folder = tmp_path_factory.mktemp("site")
    grant = Grant(folder)
    socket = folder / "proxy.sock"
    routes = [
        *settings.get("routes", []),
        {"host": HOST, "credential": "test"},
        {"listen": f"unix:{socket}", "credential": "test"},
    ]
    with nginx(folder, grant) as server:
        async with proxied(folder, grant, server.url, {**settings, "routes": routes}) as gateway:
            yield Site(gateway, grant, server, socket)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The same with a token that is good, and no exchange counted."""
    shared_site.grant.reset()
    return shared_site


@dataclass
class Live:
    """A running proxy before a server that each test writes, and the grant by which it calls."""

    gateway: Gateway
    grant: Grant
    port: int

    @property
    def url(self) -> str:
        """Where that server is for a caller."""
        return f"{self.gateway.proxy.url}/t"

    @contextlib.asynccontextmanager
    async def serving(self, handler: Handler) -> AsyncIterator[list[CIMultiDictProxy[str]]]:
        """Let a handler answer all that bears the token; give the fields of each request that came, in order."""
        came: list[CIMultiDictProxy[str]] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            came.append(request.headers)
            if not self.grant.accepts(request.headers.get("Authorization", ""), request.path):
                return web.Response(status=401)
            return await handler(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with serving(app, self.port):
            yield came


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_live(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> AsyncIterator[Live]:
    """The proxy that all tests of a module share."""
    folder = tmp_path_factory.mktemp("live")
    grant, port = Grant(folder), free_port()
    async with proxied(folder, grant, f"http://127.0.0.1:{port}", settings) as gateway:
        yield Live(gateway, grant, port)


@pytest.fixture
def live(shared_live: Live) -> Live:
    """The same with a token that is good, and no exchange counted."""
    shared_live.grant.reset()
    return shared_live


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PEM file of an authority; `listener.pem` beside it is a certificate of it for 127.0.0.1, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "listener.pem")
    return folder / "ca.pem"


def tls_listener(authority: Path, port: int) -> Settings:
    """Settings for a listener on a port of its own, where callers speak TLS and need no prefix."""
    return {
        "ssl_certificate": str(authority.with_name("listener.pem")),
        "routes": [{"listen": f"127.0.0.1:{port} ssl", "credential": "test"}],
    }
