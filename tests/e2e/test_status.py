"""`status` beside a running proxy and without one."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import struct
import sys
import termios
from fcntl import ioctl

import aiohttp

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, environment, sandbox_config
from tests.support.vendor import Control

COLUMNS = ["CREDENTIAL", "PROVIDER", "STATE", "EXPIRES", "LAST EXCHANGE", "LAST ERROR", "NEXT STEP"]


async def test_before_the_first_sign_in(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A line for each credential, and no store is made for being asked."""
    bare_proxy.configure(sandbox_config(vendors))
    done = await bare_proxy.command("status")
    assert 0 == done.code, done.err
    head, *lines = done.out.splitlines()
    assert COLUMNS == [part.strip() for part in head.split("  ") if part]
    assert 3 == len(lines)
    assert all("never signed in" in line and "run: bearer-proxy " in line for line in lines)
    assert not (bare_proxy.folder / "tokens.db").exists()


async def test_beside_a_running_proxy(proxy: Proxy, vendors: Sandbox) -> None:
    """It tells what the control plane tells, the provider among it."""
    await Control(vendors, "readycloud").revoke()
    async with aiohttp.ClientSession() as session:
        for path in ("/readycloud/api/v2/orgs/", "/onecloud/api/v1/chains"):
            async with session.get(proxy.url + path) as response:
                await response.read()
        async with session.get(proxy.admin_url + "/api/credentials") as response:
            served = (await response.json())["credentials"]
    told = json.loads((await proxy.command("status", "--json")).out)["credentials"]
    passing = {"expires_in": 0}
    assert [one | passing for one in served] == [one | passing for one in told]
    assert ["readycloud", "cloud66", "onecloud"] == [one["provider"] for one in told]
    lines = (await proxy.command("status")).out.splitlines()
    assert 4 == len(lines)
    assert "login required (the vendor refused the refresh token" in lines[1]
    assert "ok" in lines[3]


async def test_while_a_renewal_is_under_way(proxy: Proxy, vendors: Sandbox) -> None:
    """The mark that is on disk meanwhile is not taken for a crash."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="before")
    await control.expire()
    async with aiohttp.ClientSession() as session:

        async def call() -> int:
            async with session.get(f"{proxy.url}/onecloud/api/v1/chains") as response:
                await response.read()
                return response.status

        request = asyncio.create_task(call())
        await control.wait("stalled", 1)
        told = json.loads((await proxy.command("status", "--json")).out)["credentials"]
        await control.release()
        async with asyncio.timeout(15):
            assert 200 == await request
    assert ["ok", "ok", "renewing"] == [one["state"] for one in told]


async def test_on_a_narrow_terminal(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Each credential is a block there, on a wide one a line."""
    bare_proxy.configure(sandbox_config(vendors))
    narrow, wide = [(await on_a_terminal(bare_proxy, width)).splitlines() for width in (60, 240)]
    assert 4 == len(wide)
    assert ["readycloud", "  provider       readycloud", "  state          never signed in"] == narrow[:3]
    assert max(map(len, narrow)) <= 60


async def on_a_terminal(proxy: Proxy, width: int) -> str:
    """Run `status` on a terminal of so many columns, and give what stands on it."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    env = {name: value for name, value in environment().items() if name not in ("COLUMNS", "LINES")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "status", cwd=proxy.folder, env=env, stdout=theirs
    )
    os.close(theirs)

    def read() -> bytes:
        screen = b""
        try:
            while piece := os.read(ours, 4096):
                screen += piece
        except OSError:  # how Linux tells that the other end is closed
            pass
        return screen

    async with asyncio.timeout(20):
        screen = await asyncio.to_thread(read)
        assert 0 == await process.wait()
    os.close(ours)
    return screen.decode()
