"""The main job with clients as they are: no credentials in, answers out, expiries unseen."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
import requests
from readycloud import ReadyCloud

from proxy.sandbox import VENDORS, Sandbox
from tests.conftest import need
from tests.support.processes import Proxy
from tests.support.vendor import Control

PATHS = {
    "readycloud": "/readycloud/api/v2/orgs/",
    "cloud66": "/cloud66/api/3/stacks.json",
    "onecloud": "/onecloud/api/v1/chains",
}


async def curl(*arguments: str) -> tuple[int, str]:
    """Run the real curl; give the status and the body."""
    process = await asyncio.create_subprocess_exec(
        need("curl"), "-sS", "--max-time", "20", "-w", "\n%{http_code}", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


@pytest.mark.parametrize("vendor", VENDORS)
async def test_curl_without_credentials(proxy: Proxy, vendor: str) -> None:
    """Every vendor answers a request that bears no token."""
    status, body = await curl(proxy.url + PATHS[vendor])
    assert 200 == status
    assert json.loads(body)


@pytest.mark.parametrize("vendor", ["readycloud", "onecloud"])
async def test_curl_after_an_expiry(proxy: Proxy, vendors: Sandbox, vendor: str) -> None:
    """A caller does not notice that the token expired."""
    await Control(vendors, vendor).expire()
    status, _ = await curl(proxy.url + PATHS[vendor])
    assert 200 == status
    assert 1 == (await Control(vendors, vendor).state())["exchanges"]


async def test_requests_with_a_dummy_token_of_its_own(proxy: Proxy, vendors: Sandbox) -> None:
    """A token that a legacy tool sends never reaches the vendor, by header or by query."""
    answer = await asyncio.to_thread(
        requests.get,
        proxy.url + PATHS["readycloud"],
        params={"bearer_token": "dummy", "limit": "1"},
        headers={"Authorization": "Bearer dummy"},
        timeout=20,
    )
    assert 200 == answer.status_code
    (seen,) = await Control(vendors, "readycloud").requests()
    assert "/api/v2/orgs/?limit=1" == seen["target"]
    assert "dummy" not in json.dumps(seen)


async def test_the_vendors_own_client_lists_orders_across_an_expiry(proxy: Proxy, vendors: Sandbox) -> None:
    """The `readycloud` package from PyPI reads every page, though the token expires between two of them."""
    control = Control(vendors, "readycloud")

    def client(org: str | None = None) -> Any:
        return ReadyCloud(token="x", host=proxy.url + "/readycloud", org_id=org)

    orgs = await asyncio.to_thread(client().get_organizations)
    org = orgs["results"][0]["url"].rstrip("/").rpartition("/")[2]
    orders: list[Any] = []
    total = 1
    while len(orders) < total:
        page = await asyncio.to_thread(client(org).get_orders, limit=10, offset=len(orders))
        assert page["ok"], page
        total = page["count"]
        orders += page["results"]
        if len(orders) == 20:
            await control.expire()
    assert total > 20
    assert total == len({json.dumps(order, sort_keys=True) for order in orders})
    assert 1 == (await control.state())["exchanges"]


async def test_the_vendors_own_client_writes_after_an_expiry(proxy: Proxy, vendors: Sandbox) -> None:
    """A POST is replayed with its body whole, and applied once."""
    control = Control(vendors, "readycloud")
    client = ReadyCloud(token="x", host=proxy.url + "/readycloud", org_id="")
    orgs = await asyncio.to_thread(client.get_organizations)
    client.org_id = orgs["results"][0]["url"].rstrip("/").rpartition("/")[2]
    before = await asyncio.to_thread(client.get_orders)
    await control.expire()
    made = await asyncio.to_thread(client.create_order, {"primary_id": "A-1", "source": "test"})
    after = await asyncio.to_thread(client.get_orders)
    assert made["ok"], made
    assert before["count"] + 1 == after["count"]


async def test_python_without_anything_installed(proxy: Proxy) -> None:
    """The standard library's client works too."""
    code = f"import urllib.request as u; print(u.urlopen('{proxy.url}{PATHS['cloud66']}', timeout=20).status)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert "200" == out.decode().strip()
