"""WebSocket over TLS, at a listener with a certificate that an authority of the clients' own vouches for."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.clients.conftest import Live, tls_listener
from tests.e2e.clients.nginx import BLOB
from tests.e2e.clients.test_websocket import echo
from tests.e2e.conftest import Settings
from tests.support.processes import free_port
from tests.support.upstream import LIMIT

PORT = free_port()
URL = f"https://127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def settings(authority: Path) -> Settings:
    """A listener with TLS."""
    return tls_listener(authority, PORT)


@pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
async def test_messages(live: Live, authority: Path, expired: bool) -> None:
    """Messages pass both ways through a tunnel that is encrypted on the caller's side, and it closes in order."""
    if expired:
        live.grant.expire()
    trusted = ssl.create_default_context(cafile=str(authority))
    async with asyncio.timeout(LIMIT), live.serving(echo), aiohttp.ClientSession() as session:
        async with session.ws_connect(URL, ssl=trusted) as client:
            assert "hello" == await client.receive_str()
            await client.send_bytes(BLOB)
            assert BLOB == await client.receive_bytes()
        assert 1000 == client.close_code
    assert int(expired) == live.grant.exchanges
