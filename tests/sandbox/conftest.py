"""A sandbox on real sockets with a clock that only tests move, and a client that knows its addresses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest

from proxy.sandbox import CLIENT_ID, CLIENT_SECRET, Sandbox


class Clock:
    """Epoch seconds that stand still until `now` is set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def place(self) -> str:
        """Where it redirects to, without query and fragment."""
        return urlsplit(str(self.headers["Location"]))._replace(query="", fragment="").geturl()

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.headers["Location"]).query, keep_blank_values=True, strict_parsing=True))

    @property
    def fragment(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.headers["Location"]).fragment, strict_parsing=True))


@dataclass
class Box:
    """The sandbox and a client for it."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    clock: Clock
    form: dict[str, str] = field(
        default_factory=lambda: {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        },
    )

    async def call(self, vendor, method, path, token=None, headers=None, **kwargs) -> Reply:
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"{self.sandbox.url(vendor)}{path}"
        return await self._send(method, url, headers=headers, allow_redirects=False, **kwargs)

    async def get(self, vendor, path, token=None, **kwargs) -> Reply:
        return await self.call(vendor, "GET", path, token, **kwargs)

    async def open(self, vendor, path, query) -> Reply:
        """The page of a sign-in."""
        return await self.get(vendor, f"{path}?{urlencode(query)}")

    async def decide(self, vendor, path, query, decision="allow") -> Reply:
        """What comes of the button on it."""
        return await self.call(vendor, "POST", f"{path}?{urlencode(query)}", data={"decision": decision})

    async def settings(self, vendor, **changes) -> None:
        assert (await self.control("PATCH", f"/{vendor}/settings", changes)).status == 200

    async def control(self, method, path, data=None) -> Reply:
        return await self._send(method, f"{self.sandbox.control_url}{path}", json=data)

    async def fault(self, vendor, **fault) -> None:
        assert (await self.control("POST", f"/{vendor}/faults", fault)).status == 201

    async def state(self, vendor) -> Any:
        return (await self.control("GET", f"/{vendor}/state")).json

    async def wait(self, vendor, key, at_least=1) -> None:
        assert (await self.control("GET", f"/{vendor}/wait?key={key}&at_least={at_least}")).status == 200

    async def journal(self, vendor) -> Any:
        return (await self.control("GET", f"/{vendor}/requests")).json

    async def renew_readycloud(self, refresh, **changes) -> Reply:
        form = {**self.form, "refresh_token": refresh, **changes}
        return await self.call("readycloud", "POST", "/api/v1/oauth2/token/", data=form)

    async def renew_onecloud(self, refresh, **changes) -> Reply:
        fields = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": refresh, **changes}
        return await self.call("onecloud", "POST", "/oauth2/token", json=fields)

    async def _send(self, method, url, **kwargs) -> Reply:
        async with self.session.request(method, url, **kwargs) as response:
            return Reply(response.status, response.headers, await response.read())


@pytest.fixture
async def box():
    clock = Clock()
    plain = {"Accept-Encoding": "identity"}
    async with (
        Sandbox(clock=clock) as sandbox,
        aiohttp.ClientSession(headers=plain, auto_decompress=False) as session,
    ):
        yield Box(sandbox, session, clock)
