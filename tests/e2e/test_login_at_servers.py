"""`bearer-proxy login` at authorization servers that others wrote, with a person played by requests or in Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import requests

from tests.servers.running import AUTHLIB, PASSWORD, REDIRECT_URI, TOOLKIT, USER, Kind, Server, config, consent, serving
from tests.support.browser import Browser
from tests.support.processes import Proxy, environment, free_port

pytest_plugins = ("tests.support.browser",)

KINDS = pytest.mark.parametrize("kind", [TOOLKIT, AUTHLIB], ids=["django-oauth-toolkit", "authlib"])
WAYS = pytest.mark.parametrize("way", ["basic", "body"])
PATIENCE = 20.0  # seconds


@pytest.fixture
def kind() -> Kind:
    """Which server a test runs against, unless it is parametrized."""
    return TOOLKIT


@pytest.fixture
def server(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running authorization server that has issued nothing yet."""
    with serving(kind, tmp_path_factory.mktemp("server")) as server:
        yield server


@contextlib.asynccontextmanager
async def login(proxy: Proxy, name: str) -> AsyncIterator[tuple[str, Process]]:
    """Run `login NAME --no-browser`; give the address it prints, and the process, which waits for the callback."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "login", name, "--no-browser"),
        cwd=proxy.folder,
        env=environment(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while not (line := (await process.stdout.readline()).decode()).startswith("http"):
                assert line, (await process.communicate())[1].decode()
        yield line.rstrip("\n"), process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def end(process: Process) -> tuple[int | None, str]:
    """Wait until a command is over; give its exit code and what it had left to say."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, (out + err).decode()


async def greeting(proxy: Proxy, client: str) -> tuple[int, bytes]:
    """Call the API through the proxy."""
    url = proxy.url + f"/{client}/api/hello"
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        return response.status, await response.read()


def configured(proxy: Proxy, server: Server, client: str) -> str:
    """Configure the proxy for one client; give the redirect URI, on a port of its own."""
    redirect_uri = REDIRECT_URI.replace("127.0.0.1", f"127.0.0.1:{free_port()}")
    proxy.configure(config(server, client, redirect_uri=redirect_uri, renewal_guard=0))
    return redirect_uri


@KINDS
@WAYS
async def test_login_at_a_server(bare_proxy: Proxy, server: Server, way: str) -> None:
    """A person signs in and agrees; from then on requests bear the person's token, across an expiry too."""
    client = f"person-{way}"
    redirect_uri = configured(bare_proxy, server, client)
    async with login(bare_proxy, client) as (url, process):
        assert url.startswith(server.url + server.kind.authorize_path)
        location = await asyncio.to_thread(consent, url)
        assert location.startswith(redirect_uri + "?")
        answer = await asyncio.to_thread(requests.get, location, timeout=PATIENCE)
        assert 200 == answer.status_code, answer.text
        code, said = await end(process)
    assert 0 == code, said
    assert f"signed in to {client}: " in said
    assert {200: 1} == server.answers("authorization_code")
    await bare_proxy.start()
    for rotations in ({}, {200: 1}):
        status, body = await greeting(bare_proxy, client)
        assert (200, True) == (status, b"ada" in body)
        assert rotations == server.answers("refresh_token")
        server.expire()


@KINDS
async def test_login_at_a_server_while_serving(bare_proxy: Proxy, server: Server) -> None:
    """A running proxy takes up what `login` brought."""
    client = "person-body"
    configured(bare_proxy, server, client)
    await bare_proxy.start()
    assert 503 == (await greeting(bare_proxy, client))[0]
    async with login(bare_proxy, client) as (url, process):
        location = await asyncio.to_thread(consent, url)
        assert 200 == (await asyncio.to_thread(requests.get, location, timeout=PATIENCE)).status_code
        code, said = await end(process)
    assert 0 == code, said
    limit = time.monotonic() + 10
    while (await greeting(bare_proxy, client))[0] != 200:
        assert time.monotonic() < limit
        await asyncio.sleep(0.05)


@KINDS
async def test_login_at_a_server_where_the_person_refuses(bare_proxy: Proxy, server: Server) -> None:
    """A refusal ends the command with 1 and says so; no token is asked for."""
    client = "person-basic"
    configured(bare_proxy, server, client)
    async with login(bare_proxy, client) as (url, process):
        location = await asyncio.to_thread(lambda: consent(url, agree=False))
        assert "error=access_denied" in location
        await asyncio.to_thread(requests.get, location, timeout=PATIENCE)
        code, said = await end(process)
    assert 1 == code, said
    assert "denied" in said
    assert {} == server.answers("authorization_code")


async def test_login_at_a_server_in_a_browser(bare_proxy: Proxy, server: Server, browser: Browser) -> None:
    """In a real browser all forms and redirects work, and no token is in any address."""
    client = "person-basic"
    redirect_uri = configured(bare_proxy, server, client)
    async with login(bare_proxy, client) as (url, process):
        await browser.open(url)
        await browser.fill("[name=username]", USER)
        await browser.fill("[name=password]", PASSWORD)
        await browser.click("[type=submit]")
        await browser.click("[name=allow]")
        await browser.until("return location.href.startsWith(arguments[0]) && document.body !== null", redirect_uri)
        code, said = await end(process)
    assert 0 == code, said
    assert f"signed in to {client}: " in said
    addresses = " ".join(f"{asked.url} {asked.headers.get('Referer')}" for asked in await browser.requests())
    assert "code=" in addresses
    assert "token=" not in addresses
    assert {200: 1} == server.answers("authorization_code")
