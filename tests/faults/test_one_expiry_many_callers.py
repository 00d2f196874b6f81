"""Many callers meet one expiry: one exchange, every answer right, every body whole."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy
from tests.support.vendor import Control

CALLERS = 300
PLACES = {
    "readycloud": "/readycloud/api/v2/orgs/{org}/orders/",
    "onecloud": "/onecloud/api/v1/chains/301/start",
}


async def org(proxy: Proxy) -> str:
    """The one organization's key."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/readycloud/api/v2/orgs/") as response:
        found = await response.json()
    return str(found["results"][0]["url"].rstrip("/").rpartition("/")[2])


@pytest.mark.parametrize("vendor", ["readycloud", "onecloud"])
async def test_300_posts_at_once(proxy: Proxy, vendors: Sandbox, vendor: str) -> None:
    """One exchange serves them all, whether the access token changes or not, and each body arrives byte for byte."""
    control = Control(vendors, vendor)
    url = proxy.url + PLACES[vendor].format(org=await org(proxy))
    before = await control.state()
    await control.expire()
    chance = random.Random(7)
    bodies = [chance.randbytes(chance.choice([1, 900, 70_000])) for _ in range(CALLERS)]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(body: bytes) -> int:
            async with session.post(url, data=body) as response:
                await response.read()
                return response.status

        statuses = await asyncio.gather(*(post(body) for body in bodies))

    after = await control.state()
    assert {200, 201, 202} >= set(statuses), Counter(statuses)
    assert before["exchanges"] + 1 == after["exchanges"]
    seen = [one for one in await control.requests() if one["method"] == "POST" and one["status"] < 300]
    assert Counter(hashlib.sha256(body).hexdigest() for body in bodies) == Counter(one["body_sha256"] for one in seen)


async def test_two_processes_on_one_store(proxy: Proxy, vendors: Sandbox) -> None:
    """Two proxies that share the store file exchange once between them."""
    control = Control(vendors, "onecloud")
    other = Proxy(proxy.folder)
    text = (proxy.folder / "config.yaml").read_text()
    ports = {f":{proxy.port}": f":{other.port}", f":{proxy.admin_port}": f":{other.admin_port}"}
    for old, new in ports.items():
        text = text.replace(old, new)
    (proxy.folder / "other.yaml").write_text(text)
    await other.start({"BEARER_PROXY_CONFIG": "other.yaml"})
    try:
        await control.expire()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def get(where: Proxy) -> int:
                async with session.get(f"{where.url}/onecloud/api/v1/chains") as response:
                    return response.status

            statuses = await asyncio.gather(*(get(where) for where in [proxy, other] * 50))
        assert {200} == set(statuses)
        assert 1 == (await control.state())["exchanges"]
    finally:
        await other.kill()
