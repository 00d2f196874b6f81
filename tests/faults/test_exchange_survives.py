"""What breaks around an exchange: callers who hang up, processes that die, answers that are lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy
from tests.support.resets import reset
from tests.support.vendor import Control

CHAINS = "/onecloud/api/v1/chains"
ORGS = "/readycloud/api/v2/orgs/"


async def get(proxy: Proxy, path: str) -> tuple[int, dict[str, str], Any]:
    """One GET through the proxy, bounded in time."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(proxy.url + path) as response:
        body = await response.read()
        assert response.content_type.endswith("json") or not body
        return response.status, dict(response.headers), await response.json(content_type=None) if body else None


async def kill_during_exchange(proxy: Proxy, control: Control, path: str, *, when: str) -> None:
    """Kill -9 the proxy before or after the vendor has acted on the refresh token, and start it again."""
    await control.fault(on="token", fault="stall", when=when)
    await control.expire()
    waiting = asyncio.create_task(get(proxy, path))
    await control.wait("stalled", 1)
    await proxy.kill()
    with pytest.raises(aiohttp.ClientError):
        await waiting
    await proxy.start()


async def test_the_caller_who_set_it_off_hangs_up(proxy: Proxy, vendors: Sandbox) -> None:
    """The exchange completes, is saved, and serves the others."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"GET {CHAINS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await control.wait("stalled", 1)
    other = asyncio.create_task(get(proxy, CHAINS))
    await control.wait("rejected", 2)
    reset(writer)
    await control.release()
    status, _, _ = await other
    assert 200 == status
    assert 2 == (await proxy.credential("onecloud"))["generation"]
    assert 1 == (await control.state())["exchanges"]
    await proxy.kill()
    await proxy.start()
    assert 200 == (await get(proxy, CHAINS))[0]
    assert 1 == (await control.state())["exchanges"]


async def test_all_callers_hang_up_and_sigterm_comes(proxy: Proxy, vendors: Sandbox) -> None:
    """An exchange that nobody waits for any more is waited for by shutdown, and saved."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    writers = []
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"GET {CHAINS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        writers.append(writer)
    await control.wait("rejected", 5)
    await control.wait("stalled", 1)
    for writer in writers:
        reset(writer)
    await asyncio.to_thread(_until, lambda: proxy.log.count("caller_hung_up") == 5)
    ended = asyncio.create_task(proxy.stop())
    await asyncio.to_thread(_until, lambda: "stopping" in proxy.log)
    await control.release()
    assert 0 == await ended
    await proxy.start()
    assert 200 == (await get(proxy, CHAINS))[0]
    assert 1 == (await control.state())["exchanges"]


@pytest.mark.parametrize(("vendor", "path"), [("onecloud", CHAINS), ("readycloud", ORGS)])
async def test_killed_before_the_vendor_has_the_refresh_token(
    proxy: Proxy, vendors: Sandbox, vendor: str, path: str
) -> None:
    """After the restart the credential is uncertain, the old refresh token is sent again, and it works."""
    control = Control(vendors, vendor)
    await kill_during_exchange(proxy, control, path, when="before")
    assert "uncertain" == (await proxy.credential(vendor))["state"]
    assert 200 == (await get(proxy, path))[0]
    assert "ok" == (await proxy.credential(vendor))["state"]


async def test_killed_after_the_vendor_has_rotated(proxy: Proxy, vendors: Sandbox) -> None:
    """After the restart the vendor refuses the old refresh token: login required, and why is told."""
    control = Control(vendors, "onecloud")
    await kill_during_exchange(proxy, control, CHAINS, when="after")
    assert "uncertain" == (await proxy.credential("onecloud"))["state"]
    status, headers, body = await get(proxy, CHAINS)
    assert 401 == status
    assert {"message": "Unauthorized"} == body
    assert 'details="login required for onecloud: a renewal was cut off at' in headers["Proxy-Status"]
    told = await proxy.credential("onecloud")
    assert "login required" == told["state"]
    exchanges = (await control.state())["exchanges"]
    assert 401 == (await get(proxy, CHAINS))[0]
    assert exchanges == (await control.state())["exchanges"], "a refused grant is not asked for again"


async def test_killed_after_rotation_where_the_access_token_stays(proxy: Proxy, vendors: Sandbox) -> None:
    """ReadyCloud's unchanged access token goes on working after the crash, and no refresh token is sent for it."""
    control = Control(vendors, "readycloud")
    await kill_during_exchange(proxy, control, ORGS, when="after")
    assert 200 == (await get(proxy, ORGS))[0]
    assert "uncertain" == (await proxy.credential("readycloud"))["state"]
    assert 1 == (await control.state())["exchanges"]


@pytest.mark.parametrize("fault", ["drop", "truncate", "garbage"])
async def test_a_lost_answer(proxy: Proxy, vendors: Sandbox, fault: str) -> None:
    """The vendor rotated and its answer was lost: uncertain, told as 503 at once, and not hammered."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault=fault, when="after")
    await control.expire()
    status, headers, body = await get(proxy, CHAINS)
    assert 503 == status
    assert "renewal_delayed" == body["error"]
    assert int(headers["Retry-After"]) >= 1
    assert "uncertain" == (await proxy.credential("onecloud"))["state"]
    for _ in range(20):
        assert 503 == (await get(proxy, CHAINS))[0]
    assert (await control.state())["exchanges"] <= 2


async def test_a_lost_answer_that_the_vendor_did_not_act_on(proxy: Proxy, vendors: Sandbox) -> None:
    """The old refresh token is sent again after the back-off, and the grant lives."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="drop", when="before")
    await control.expire()
    status, headers, _ = await get(proxy, CHAINS)
    assert 503 == status
    async with asyncio.timeout(15):
        while status == 503:
            await asyncio.sleep(0.2)
            status, headers, _ = await get(proxy, CHAINS)
    assert 200 == status, headers
    assert 2 == (await control.state())["exchanges"]


async def test_sigterm_during_an_exchange(proxy: Proxy, vendors: Sandbox) -> None:
    """Shutdown waits for the exchange, saves what it brings, and ends with 0."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(get(proxy, CHAINS))
    await control.wait("stalled", 1)
    ended = asyncio.create_task(proxy.stop())
    await asyncio.to_thread(_until, lambda: "stopping" in proxy.log)
    await control.release()
    assert 0 == await ended
    assert 200 == (await waiting)[0]
    await proxy.start()
    assert 200 == (await get(proxy, CHAINS))[0]
    assert 1 == (await control.state())["exchanges"]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
