"""The control plane's pages where an admin_key is wanted."""

from __future__ import annotations

import base64
import re

import pytest

from proxy.sandbox import Sandbox
from tests.support.beside import running
from tests.support.person import person
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import register, site

from .conftest import SIGN_IN


async def test_beyond_loopback(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """As in a container: the pages want the admin_key, Basic or Bearer; health and the callback do not."""
    key = "correct horse battery staple"
    bare_proxy.configure(sandbox_config(vendors, f"admin_key: {key}"))
    path = bare_proxy.folder / "config.yaml"
    path.write_text(path.read_text().replace("admin: 127.0.0.1:", "admin: 0.0.0.0:"))
    await register(vendors, bare_proxy)
    await bare_proxy.start()
    basic = base64.b64encode(f"admin:{key}".encode()).decode()
    async with person() as nobody:
        for page in ("/", "/login/cloud66", "/api/credentials", "/nowhere"):
            assert "admin_key" in await nobody.open(bare_proxy.admin_url + page)
            assert (401, True) == (nobody.status, "Basic" in nobody.headers["WWW-Authenticate"])
        for wrong in ("Basic " + basic[:-4], "Bearer x", f"Digest {key}", "Basic ü", "Bearer", f"Basic {key}"):
            await nobody.open(bare_proxy.admin_url + "/", headers={"Authorization": wrong})
            assert 401 == nobody.status, wrong
        for page in ("/healthz", "/callback"):
            await nobody.open(bare_proxy.admin_url + page)
            assert 200 == nobody.status
        await nobody.open(bare_proxy.admin_url + "/", headers={"Authorization": f"Bearer {key}"})
        assert 200 == nobody.status
    async with person(headers={"Authorization": f"Basic {basic}"}) as operator:
        for name in SIGN_IN:
            await operator.press(f"{bare_proxy.admin_url}/login/{name}", f"/login/{name}")
            address = operator.location
            async with person() as at_vendor:
                address = await at_vendor.decide(address)
            assert "Signed in" in await operator.come_back(address)
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        assert f"{bare_proxy.admin_url}/login/cloud66" == await login.url()
        login.process.terminate()
        assert 1 == (await login.done()).code
    assert key not in bare_proxy.log


async def test_callback_without_the_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The vendor's redirect bears no key: the browser that began the sign-in completes it by its cookie alone."""
    key = "an-admin-key"
    async with site(tmp_path_factory.mktemp("key"), f"admin_key: {key}") as keyed, person() as visitor:
        how = {"Authorization": f"Bearer {key}"}
        page = await visitor.open(f"{keyed.url}/login/readycloud", headers=how)
        token = re.findall(r'name="csrf_token" value="(\w+)"', page)[0]
        await visitor.post(f"{keyed.url}/login/readycloud", {"csrf_token": token}, headers={**how, "Origin": keyed.url})
        assert "Signed in" in await visitor.come_back(await visitor.decide(visitor.location))
