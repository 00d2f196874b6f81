"""SIGHUP around an exchange, at start-up and at the end: no token is lost, and none is sent twice."""

from __future__ import annotations

import asyncio

import aiohttp

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.e2e.test_reload import reloaded
from tests.support.beside import until
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import stored
from tests.support.vendor import Control

CHAINS = "/onecloud/api/v1/chains"
ORGS = "/readycloud/api/v2/orgs/"
WRONG = "wrong-client-secret"


async def get(url: str) -> int:
    """One GET, bounded in time."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        return response.status


async def stalled(proxy: Proxy, vendors: Sandbox) -> tuple[Control, asyncio.Task[int]]:
    """A request whose exchange the vendor has made, and not answered yet."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(get(proxy.url + CHAINS))
    await control.wait("stalled", 1)
    return control, waiting


async def without(proxy: Proxy, name: str) -> str:
    """Reload without a credential; give the configuration of before."""
    path = proxy.folder / "config.yaml"
    text = path.read_text()
    path.write_text(
        "".join(
            line
            for line in text.splitlines(keepends=True)
            if f"{name}, client_id" not in line and f"credential: {name}" not in line
        )
    )
    await reloaded(proxy)
    return text


async def test_exchange_under_way(proxy: Proxy, vendors: Sandbox) -> None:
    """It is finished and saved, whatever has changed of its credential meanwhile."""
    control, waiting = await stalled(proxy, vendors)
    path = proxy.folder / "config.yaml"
    path.write_text(path.read_text().replace("provider: onecloud,", "provider: onecloud, scopes: [all],"))
    await reloaded(proxy)
    await control.release()
    assert 200 == await waiting
    assert (1, 2) == ((await control.state())["exchanges"], stored(proxy, "onecloud")[0])
    assert 200 == await get(proxy.url + CHAINS)


async def test_credential_that_goes_during_its_exchange(proxy: Proxy, vendors: Sandbox) -> None:
    """Its tokens are saved, and there when it is named again."""
    control, waiting = await stalled(proxy, vendors)
    text = await without(proxy, "onecloud")
    assert 404 == await get(proxy.url + CHAINS)
    await control.release()
    assert 200 == await waiting
    await until(lambda: stored(proxy, "onecloud")[0] == 2, "the new tokens in the store")
    (proxy.folder / "config.yaml").write_text(text)
    await reloaded(proxy)
    assert 200 == await get(proxy.url + CHAINS)
    assert (1, 2) == ((await control.state())["exchanges"], (await proxy.credential("onecloud"))["generation"])


async def test_credential_that_goes_and_comes_during_its_exchange(proxy: Proxy, vendors: Sandbox) -> None:
    """Who needs a token waits for that exchange, and makes no other."""
    control, waiting = await stalled(proxy, vendors)
    text = await without(proxy, "onecloud")
    (proxy.folder / "config.yaml").write_text(text)
    await reloaded(proxy)
    others = [asyncio.create_task(get(proxy.url + CHAINS)) for _ in range(3)]
    await control.wait("rejected", 4)
    await control.release()
    assert [200] * 4 == [await waiting, *await asyncio.gather(*others)]
    assert (1, 2) == ((await control.state())["exchanges"], stored(proxy, "onecloud")[0])


async def test_end_while_a_credential_that_is_gone_makes_its_exchange(proxy: Proxy, vendors: Sandbox) -> None:
    """The end waits for it, though its caller has hung up."""
    control, waiting = await stalled(proxy, vendors)
    waiting.cancel()
    await without(proxy, "onecloud")
    ended = asyncio.create_task(proxy.stop())
    await until(lambda: "stopping:" in proxy.log, "the beginning of the end")
    await control.release()
    assert 0 == await ended
    assert (1, 2) == ((await control.state())["exchanges"], stored(proxy, "onecloud")[0])


async def test_secret_that_is_put_right(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A client that was refused is tried with its new secret at the next request; the refresh token counts once."""
    proxy, secret = bare_proxy, bare_proxy.folder / "secret"
    secret.write_text(f"{WRONG}\n")
    text = sandbox_config(vendors)
    proxy.configure(text.replace(f"client_secret: {CLIENT_SECRET}", 'client_secret: "${file:secret}"'))
    await proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await proxy.start()
    control = Control(vendors, "readycloud")
    await control.expire()
    assert [401, 401] == [await get(proxy.url + ORGS) for _ in range(2)]
    told = await proxy.credential("readycloud")
    assert ("login required", "check client_id and client_secret of readycloud") == (told["state"], told["next_step"])
    await reloaded(proxy)
    assert 401 == await get(proxy.url + ORGS)
    assert (1, 1, 0) == await token_requests(control), "nothing has changed"
    secret.write_text(CLIENT_SECRET)
    await reloaded(proxy)
    assert [200, 200] == [await get(proxy.url + ORGS) for _ in range(2)]
    assert (2, 1, 1) == await token_requests(control)
    assert 2 == stored(proxy, "readycloud")[0]
    assert [] == [one for one in (WRONG, CLIENT_SECRET) if one in proxy.log]


async def test_secret_that_is_put_right_during_an_exchange(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """That exchange is refused for the old one, and this says nothing of the new one: who waits gets an answer."""
    proxy, secret = bare_proxy, bare_proxy.folder / "secret"
    secret.write_text(f"{WRONG}\n")
    proxy.configure(sandbox_config(vendors).replace(CLIENT_SECRET, '"${file:secret}"'))
    await proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await proxy.start()
    control = Control(vendors, "readycloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(get(proxy.url + ORGS))
    await control.wait("stalled", 1)
    secret.write_text(CLIENT_SECRET)
    await reloaded(proxy)
    await control.release()
    assert 200 == await waiting
    assert (2, 1, 1) == await token_requests(control)


async def token_requests(control: Control) -> tuple[int, int, int]:
    """How many there were at the token endpoint, how many of them were refused, and how many brought tokens."""
    state = await control.state()
    return state["exchanges"], state["refused"], state["rotations"]
