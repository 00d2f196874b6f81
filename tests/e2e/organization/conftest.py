"""A proxy with a route `/orders` to an organization's orders, and what reaches the vendor of its callers' requests."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, sandbox_config
from tests.support.vendor import Control

LIST = "/api/v2/orgs/"
ORG, OTHER = "7kQ2f", "9~x.B"
ORDERS = f"/api/v2/orgs/{ORG}/orders/"
ME = "/readycloud/api/v2/orgs/@me/orders/"


def config(vendors: Sandbox) -> str:
    """The usual configuration, and a route `/orders` to an organization's orders."""
    upstream = vendors.url("readycloud") + "/api/v2/orgs/{org_pk}/orders"
    route = f'  - {{prefix: /orders, credential: readycloud, upstream: "{upstream}"}}'
    return sandbox_config(vendors, f"{route}\nshutdown_timeout: 1s\nrenewal_guard: 0\n")


async def start(proxy: Proxy, vendors: Sandbox, text: str) -> None:
    """Start it with this configuration, signed in to ReadyCloud."""
    proxy.configure(text)
    await proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await proxy.start()


@pytest.fixture
async def proxy(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A running proxy, signed in to ReadyCloud."""
    await start(bare_proxy, vendors, config(vendors))
    return bare_proxy


@pytest.fixture
def control(vendors: Sandbox) -> Control:
    return Control(vendors, "readycloud")


async def get(proxy: Proxy, target: str, method: str = "GET") -> tuple[int, Any, Any]:
    """One request, its target byte for byte; the status, the fields, and the body, read if it is JSON."""
    url = URL.build(scheme="http", host="127.0.0.1", port=proxy.port, path=target, encoded=True)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        session.request(method, url, allow_redirects=False) as response,
    ):
        body = await response.read()
        return response.status, response.headers, json.loads(body) if "json" in response.content_type else body


async def targets(control: Control) -> list[str]:
    """What reached the vendor, in order."""
    return [seen["target"] for seen in await control.requests()]
