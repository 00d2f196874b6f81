"""How processes end around an exchange: by every signal, with callers waiting, with the store in trouble."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, environment, sandbox_config
from tests.support.vendor import Control

CHAINS = "/onecloud/api/v1/chains"


async def get(url: str) -> tuple[int, bytes]:
    """One GET, bounded in time."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        return response.status, await response.read()


async def refresh(proxy: Proxy) -> asyncio.subprocess.Process:
    """Start `refresh onecloud` and do not wait for it."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        "refresh",
        "onecloud",
        cwd=proxy.folder,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_refresh_that_is_told_to_end(bare_proxy: Proxy, vendors: Sandbox, number: signal.Signals) -> None:
    """It ends when the tokens are safe, however often it is told."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    process = await refresh(bare_proxy)
    await control.wait("stalled", 1)
    assert process.stderr is not None
    for _ in range(3):
        process.send_signal(number)
        assert b"ending as soon as the tokens are safe\n" == await asyncio.wait_for(process.stderr.readline(), 10)
    await control.release()
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert 0 == process.returncode
    assert b"renewed onecloud: generation 2" in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_that_is_told_to_end_again_and_again(
    proxy: Proxy, vendors: Sandbox, number: signal.Signals
) -> None:
    """The exchange under way is finished and saved, and the end is in order."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(get(proxy.url + CHAINS))
    await control.wait("stalled", 1)
    assert proxy.process is not None
    for _ in range(3):
        proxy.process.send_signal(number)
    ended = asyncio.create_task(proxy.stop())
    await control.release()
    assert 200 == (await waiting)[0]
    assert 0 == await ended
    assert '"generation": 2' in (await proxy.command("status", "--json")).out


async def test_end_with_a_request_on_localhost(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """The two sockets of `localhost` end together, as soon as the last request has."""
    bare_proxy.configure(sandbox_config(vendors))
    path = bare_proxy.folder / "config.yaml"
    path.write_text(path.read_text().replace("listen: 127.0.0.1:", "listen: localhost:"))
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    await bare_proxy.start()
    control = Control(vendors, "onecloud")
    await control.fault(on="api", fault="stall", when="before")
    waiting = asyncio.create_task(get(bare_proxy.url + CHAINS))
    await control.wait("stalled", 1)
    began = time.monotonic()
    ended = asyncio.create_task(bare_proxy.stop())
    while "stopping" not in bare_proxy.log:
        await asyncio.sleep(0.01)
    await control.release()
    assert 200 == (await waiting)[0]
    assert 0 == await ended
    assert time.monotonic() - began < 10, "shutdown_timeout is 20 s, and must not be waited for"


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_store_that_goes_away(proxy: Proxy, vendors: Sandbox, how: str) -> None:
    """Nothing is sent that could not be remembered; readiness says why."""
    store = proxy.folder / "tokens.db"
    if how == "removed":
        store.unlink()
    else:
        copy = proxy.folder / "copy.db"
        with sqlite3.connect(store) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        connection.close()
        copy.rename(store)
    control = Control(vendors, "onecloud")
    await control.expire()
    status, body = await get(proxy.url + CHAINS)
    assert (503, "renewal_delayed") == (status, json.loads(body)["error"])
    assert 0 == (await control.state())["exchanges"]
    async with asyncio.timeout(10):
        while b"removed or replaced while in use" not in (await get(proxy.admin_url + "/readyz"))[1]:
            await asyncio.sleep(0.05)


async def test_new_tokens_while_the_store_is_held(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A refresh whose tokens cannot be saved at once does not end before they are."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    process = await refresh(bare_proxy)
    await control.wait("stalled", 1)
    holder = sqlite3.connect(bare_proxy.folder / "tokens.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await control.release()
    assert process.stderr is not None
    assert b"ALARM" in await asyncio.wait_for(process.stderr.readline(), 20)
    holder.execute("ROLLBACK")
    holder.close()
    await asyncio.wait_for(process.communicate(), 30)
    assert 0 == process.returncode
    assert '"generation": 2' in (await bare_proxy.command("status", "--json")).out


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can make a file for another user")
async def test_lock_made_by_the_administrator(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """It belongs to the owner of the store, whom it would shut out otherwise."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.command("logout", "readycloud")
    os.chown(bare_proxy.folder / "tokens.db", 65534, 65534)
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    assert 65534 == (bare_proxy.folder / "tokens.db.onecloud.lock").stat().st_uid


async def test_upload_under_way(proxy: Proxy) -> None:
    """A serve that is told to end reads the rest of a body that is coming, and answers it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    head = "POST /onecloud/api/v1/chains/301/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
    writer.write(head.encode() + b"{}")
    await writer.drain()
    process = proxy.process
    assert process is not None
    # The proxy has taken the request up once it has let a second, whole one through after it.
    assert 200 == (await get(proxy.url + CHAINS))[0]
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        while "stopping:" not in proxy.log:
            await asyncio.sleep(0.01)
    writer.write(b"  ")
    async with asyncio.timeout(10):
        assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
    writer.close()
    assert 0 == await asyncio.to_thread(process.wait, 10)
    proxy.process = None
