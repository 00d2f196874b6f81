"""/metrics and the access log of a running proxy: what an operator reads after a day's events, and no secret in it."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, sandbox_config
from tests.support.upstream import Upstream, reply
from tests.support.vendor import Control

from .conftest import Gateway

QUERY, CALLERS, PATH = "canary-query-value", "canary-callers-token", "canary-path"


async def scrape(proxy: Proxy) -> str:
    """What /metrics says now."""
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.admin_url}/metrics") as response:
        assert 200 == response.status
        return await response.text()


def total(text: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    families = text_string_to_metric_families(text)
    samples = [one for family in families for one in family.samples if one.name == f"bearer_proxy_{name}"]
    assert samples, name
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


async def status(session: aiohttp.ClientSession, url: str, method: str = "GET") -> int:
    """Ask for something, read it to its end, and give the status."""
    async with session.request(method, url) as response:
        await response.read()
        return response.status


async def test_a_day(proxy: Proxy, vendors: Sandbox) -> None:
    """Answers, renewals, replays, refusals and requests to nowhere are all told, under names of the configuration."""
    chains, orgs = f"{proxy.url}/onecloud/api/v1/chains?a={QUERY}", f"{proxy.url}/readycloud/api/v2/orgs/"
    headers = {"Authorization": f"Bearer {CALLERS}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        assert [200, 200, 200] == [await status(session, url) for url in (chains, chains, orgs)]
        await Control(vendors, "onecloud").expire()
        assert 200 == await status(session, chains)
        await Control(vendors, "readycloud").revoke()
        assert 401 == await status(session, orgs)
        assert 404 == await status(session, f"{proxy.url}/{PATH}")
        assert 404 == await status(session, f"{proxy.url}/{PATH}", "PROPFIND")
        text = await scrape(proxy)
    ours = {"route": "/onecloud", "credential": "onecloud", "method": "GET"}
    assert 3 == total(text, "requests_total", **ours, code="200")
    assert 1 == total(text, "requests_total", route="/readycloud", code="401")
    assert 1 == total(text, "requests_total", route="", credential="", method="GET", code="404")
    assert 1 == total(text, "requests_total", route="", method="other", code="404")
    assert 3 == total(text, "request_seconds_count", route="/onecloud")
    assert 0 < total(text, "sent_bytes_total", route="/onecloud")
    assert 1 == total(text, "replays_total", credential="onecloud", outcome="accepted")
    assert 1 == total(text, "exchanges_total", credential="onecloud")
    assert 1 == total(text, "exchanges_total", credential="readycloud", outcome="refused")
    assert 1 == total(text, "credential_state", credential="readycloud", state="login required")
    assert 1 == total(text, "credential_state", credential="onecloud", state="ok")
    assert 0 < total(text, "token_expiry_timestamp_seconds", credential="onecloud")
    canaries = [QUERY, CALLERS, PATH, "sandbox-secret", "PROPFIND", "127.0.0.1"]
    sent = [one for name in ("onecloud", "readycloud") for one in await Control(vendors, name).requests()]
    canaries += [value.split(" ")[-1] for one in sent for name, value in one["headers"] if name == "Authorization"]
    assert 7 < len(canaries)
    assert [] == [canary for canary in canaries if canary in text]


async def test_levels(gateway: Gateway, upstream: Upstream) -> None:
    """What is under way is told while it is, and connections that wait are idle."""
    gate = asyncio.Event()
    upstream.script([gate, *reply()], reply())
    async with gateway.caller() as caller, gateway.caller() as other:
        await other.send(gateway.head("GET /t/x HTTP/1.1"))
        await upstream.request(0)
        await caller.send(gateway.head("GET /t/x HTTP/1.1"))
        assert 200 == (await caller.answer()).status
        text = await scrape(gateway.proxy)
        assert 1 == total(text, "requests_in_flight")
        assert [1, 1, 1, 1] == [
            total(text, "connections", side=side, state=state)
            for side in ("caller", "upstream")
            for state in ("active", "idle")
        ]
        gate.set()
        assert 200 == (await other.answer()).status
        text = await scrape(gateway.proxy)
        assert (0, 2) == (total(text, "requests_in_flight"), total(text, "connections", side="caller", state="idle"))


async def test_bodies(gateway: Gateway, upstream: Upstream) -> None:
    """Bytes of both directions are added up."""
    before = await scrape(gateway.proxy)
    upstream.script(reply(body=b"x" * 338))
    assert 200 == (await gateway.post("/t/x", b"y" * 1000)).status
    after = await scrape(gateway.proxy)
    names = ("sent_bytes_total", "received_bytes_total")
    assert [338, 1000] == [total(after, name, route="/t") - total(before, name, route="/t") for name in names]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_access_log(bare_proxy: Proxy, vendors: Sandbox, log_format: str) -> None:
    """Every request has its line, the last one before the end too, and each line stands in its order."""
    bare_proxy.configure(sandbox_config(vendors) + f"log_format: {log_format}\n")
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    await bare_proxy.start()
    async with aiohttp.ClientSession() as session:
        for number in range(300):
            assert 404 == await status(session, f"{bare_proxy.url}/{number}?a={QUERY}")
        await Control(vendors, "onecloud").expire()
        assert 200 == await status(session, f"{bare_proxy.url}/onecloud/api/v1/chains")
    assert 0 == await bare_proxy.stop()
    lines = bare_proxy.log.splitlines()
    numbers = [int(found[1]) for line in lines if (found := re.search(r"GET /(\d+)\?a 404", line))]
    assert [*range(300)] == numbers
    order = [index for word in ("GET /299", "exchange for onecloud", "GET /onecloud", "stopping")
             for index, line in enumerate(lines) if word in line]  # fmt: skip
    assert (4, sorted(order)) == (len(order), order)
    assert QUERY not in bare_proxy.log


async def test_access_log_switched_off(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """No request has a line; the rest of the log is as ever."""
    bare_proxy.configure(sandbox_config(vendors) + "access_log: off\n")
    await bare_proxy.start()
    async with aiohttp.ClientSession() as session:
        assert 404 == await status(session, f"{bare_proxy.url}/{PATH}")
    assert 0 == await bare_proxy.stop()
    assert PATH not in bare_proxy.log
    assert "stopping" in bare_proxy.log
