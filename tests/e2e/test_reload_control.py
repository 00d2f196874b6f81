"""SIGHUP and the control plane: its key, sign-ins that are under way, and the commands that find a running serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.e2e.conftest import Caller, Gateway, listening, running
from tests.e2e.test_reload import NEW, OLD, TAKEN, asked, changed, reloaded
from tests.support.beside import running as command
from tests.support.person import Person
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import register, stored

GONE = "this is no sign-in that is under way here"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A proxy with an admin_key."""
    with listening() as listener:
        async with running(tmp_path, listener, {"admin_key": OLD}) as gateway:
            yield gateway


async def opens(gateway: Gateway, caller: Caller, key: str) -> int:
    return (await asked(gateway, caller, "/api/credentials", b"Authorization: Bearer " + key.encode())).status


async def test_admin_key(gateway: Gateway) -> None:
    """The old one opens nothing more: connections that were opened with it end, and new ones want the new one."""
    port = gateway.proxy.admin_port
    async with gateway.caller(port) as kept, gateway.caller(port) as silent:
        assert [200, 401, 200] == [await opens(gateway, kept, key) for key in (OLD, NEW, OLD)]
        changed(gateway.proxy, admin_key=NEW)
        await reloaded(gateway.proxy)
        assert (True, True) == (await kept.ended(), await silent.ended())
    async with gateway.caller(port) as caller:
        assert [401, 200] == [await opens(gateway, caller, key) for key in (OLD, NEW)]
    assert [] == [key for key in (OLD, NEW) if key in gateway.proxy.log]


@pytest.fixture
async def site(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A proxy at which people sign in, with a wrong client secret for Cloud 66."""
    secret = {"cloud66": 'client_secret: "${file:secret}"'}
    (bare_proxy.folder / "secret").write_text("a-secret-that-is-wrong")
    bare_proxy.configure(sandbox_config(vendors).replace(f"client_secret: {CLIENT_SECRET}", secret["cloud66"]))
    await register(vendors, bare_proxy)
    await bare_proxy.start()
    return bare_proxy


async def begun(proxy: Proxy, visitor: Person) -> str:
    """Begin at the page, consent, and give the address that leads back."""
    await visitor.press(f"{proxy.admin_url}/login/cloud66", "/login/cloud66")
    return await visitor.decide(visitor.location)


async def test_sign_in_under_way(site: Proxy, visitor: Person) -> None:
    """Its code is redeemed with the secret that is in force when it comes back."""
    address = await begun(site, visitor)
    (site.folder / "secret").write_text(CLIENT_SECRET)
    await reloaded(site)
    assert "Signed in" in await visitor.come_back(address)
    assert 1 == stored(site, "cloud66")[0]


@pytest.mark.parametrize("what", ["client_id", "token_url", "credential"])
async def test_sign_in_under_way_that_nobody_could_complete(site: Proxy, visitor: Person, what: str) -> None:
    """Its code is sent nowhere once another client, another vendor or nobody would have it."""
    (site.folder / "secret").write_text(CLIENT_SECRET)
    address = await begun(site, visitor)
    config = yaml.safe_load((site.folder / "config.yaml").read_text())
    credentials, routes, providers = (config[key] for key in ("credentials", "routes", "providers"))
    if what == "client_id":
        credentials["cloud66"]["client_id"] = "another-client"
    elif what == "token_url":
        providers["cloud66"]["token_url"] = providers["onecloud"]["token_url"]
    else:
        del credentials["cloud66"]
        routes = [route for route in routes if route["credential"] != "cloud66"]
    changed(site, credentials=credentials, routes=routes, providers=providers)
    await reloaded(site)
    assert GONE in await visitor.come_back(address)
    assert (400, 0) == (visitor.status, stored(site, "cloud66")[0])
    assert "cloud66: " not in site.log.partition(TAKEN)[2]


async def test_form_of_a_page_that_was_opened_before(site: Proxy, visitor: Person) -> None:
    """It is still good."""
    (site.folder / "secret").write_text(CLIENT_SECRET)
    page = await visitor.open(f"{site.admin_url}/login/cloud66")
    await reloaded(site)
    await visitor.submit(f"{site.admin_url}/login/cloud66", page, "/login/cloud66")
    assert "Signed in" in await visitor.come_back(await visitor.decide(visitor.location))


async def test_commands_beside_it(site: Proxy, visitor: Person) -> None:
    """`login` to a credential that came by a reload finds it in the running serve, and so does `doctor`."""
    (site.folder / "secret").write_text(CLIENT_SECRET)
    config = yaml.safe_load((site.folder / "config.yaml").read_text())
    credentials = {**config["credentials"], "late": config["credentials"]["cloud66"]}
    changed(site, credentials=credentials, routes=[{"prefix": "/late", "credential": "late"}], admin_key=NEW)
    async with command(site, "login", "late", "--no-browser") as login:
        assert 1 == (await login.done()).code, "it does not know that credential yet"
        assert "does not know late yet" in login.err
    await reloaded(site)
    async with command(site, "login", "late", "--no-browser") as login:
        assert f"{site.admin_url}/login/late" == await login.url()
        page = await visitor.open(f"{site.admin_url}/login/late", headers={"Authorization": f"Bearer {NEW}"})
        assert "late" in page
        login.process.terminate()
        assert 1 == (await login.done()).code
    done = await site.command("doctor")
    assert "another program" not in done.out, done.out
    assert [] == [one for one in (NEW, CLIENT_SECRET) if one in site.log + done.out + done.err]
