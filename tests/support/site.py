"""A proxy at which people sign in: its callback at the vendors, what it stores, and what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from proxy.sandbox import Sandbox
from tests.support.beside import PATIENCE
from tests.support.processes import Proxy, sandbox_config
from tests.support.vendor import Control

PATHS = {"readycloud": "/api/v2/orgs/", "cloud66": "/api/3/stacks.json", "onecloud": "/api/v1/chains"}


async def register(vendors: Sandbox, proxy: Proxy, path: str = "/callback") -> None:
    """Register our callback at the vendors at which people sign in."""
    for name in ("readycloud", "cloud66"):
        await Control(vendors, name).settings(redirect_uri=proxy.admin_url + path)


def stored(proxy: Proxy, name: str) -> tuple[int, str | None, str | None]:
    """Generation, access token and refresh token, as they are in the store's file."""
    path = proxy.folder / "tokens.db"
    if not path.exists():
        return 0, None, None
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT generation, access_token, refresh_token FROM credential WHERE name = ?"
        row = connection.execute(query, (name,)).fetchone()
    return (0, None, None) if row is None else (row[0], row[1], row[2])


async def status(proxy: Proxy, name: str) -> dict[str, object]:
    """How a credential is in the store, by `status --json`."""
    told = json.loads((await proxy.command("status", "--json")).out)["credentials"]
    return dict(next(one for one in told if one["name"] == name))


async def call(proxy: Proxy, name: str) -> int:
    """Call the vendor's API through the running proxy."""
    url = f"{proxy.url}/{name}{PATHS[name]}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


@dataclass
class Site:
    """A proxy that runs before emulated vendors at which its callback is registered, for all tests of a module."""

    proxy: Proxy
    vendors: Sandbox

    @property
    def url(self) -> str:
        return self.proxy.admin_url

    async def reset(self) -> None:
        """Everything as at the start at the vendors; the proxy keeps what it has."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.vendors.control_url}/reset"):
            await register(self.vendors, self.proxy)

    async def generation(self, name: str) -> int:
        """How often the tokens of a credential have changed, as far as the running proxy knows."""
        return int(str((await self.proxy.credential(name))["generation"]))

    async def bring_tokens(self, name: str) -> int:
        """Import good tokens, and give the generation that they are when the running proxy has them."""
        before = await self.generation(name)
        await self.proxy.bring_tokens(name, self.vendors.grant(name))
        await self.reaches(name, before + 1)
        return before + 1

    async def reaches(self, name: str, expected: int) -> None:
        """Wait until the tokens have changed that often, and see that it was not more often."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.generation(name)) < expected:
                await asyncio.sleep(0.02)
        assert expected == found

    async def call(self, name: str) -> int:
        """Call the vendor's API through the proxy."""
        return await call(self.proxy, name)


@asynccontextmanager
async def site(folder: Path, text: str = "", **how: Mapping[str, str]) -> AsyncIterator[Site]:
    """Run one with log_level debug; `text` and `how` go into its configuration. At the end its log has no accident."""
    async with Sandbox() as vendors:
        proxy = Proxy(folder)
        proxy.configure(sandbox_config(vendors, f"log_level: debug\n{text}", **how))
        await register(vendors, proxy)
        await proxy.start()
        try:
            yield Site(proxy, vendors)
        finally:
            assert 0 == await proxy.stop(), proxy.log
    assert "Traceback" not in proxy.log, proxy.log
    assert "unforeseen" not in proxy.log, proxy.log
