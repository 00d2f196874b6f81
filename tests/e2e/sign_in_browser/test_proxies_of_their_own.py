"""Signing in with a real browser at proxies that are set up for it: as in a container, and from the command line."""

from __future__ import annotations

import asyncio
import shlex

import pytest

from proxy.sandbox import Sandbox
from tests.support.beside import running, script, until
from tests.support.browser import Browser
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import Site, register

from .conftest import SIGN_IN, TOKEN, ended, leaks

pytest_plugins = ("tests.support.browser",)


async def test_the_key_in_the_address(browser: Browser, bare_proxy: Proxy, vendors: Sandbox) -> None:
    """As in a container: all addresses, an admin_key, the key given as people do, and the callback without it."""
    bare_proxy.configure(sandbox_config(vendors, "admin_key: open-sesame"))
    path = bare_proxy.folder / "config.yaml"
    path.write_text(path.read_text().replace("admin: 127.0.0.1:", "admin: 0.0.0.0:"))
    await register(vendors, bare_proxy)
    await bare_proxy.start()
    await browser.open(bare_proxy.admin_url.replace("//", "//admin:open-sesame@") + "/")
    for name in SIGN_IN:
        await browser.open(bare_proxy.admin_url + "/")
        await browser.click(f"#{name} .connect")
        await browser.click("#begin")
        await browser.switch((await browser.windows())[-1])
        await browser.click("#allow")
        assert f"Signed in to {name}" in await ended(browser)
    assert "open-sesame" not in bare_proxy.log


@pytest.mark.parametrize("name", SIGN_IN)
async def test_from_the_command_line(bare_proxy: Proxy, vendors: Sandbox, browser: Browser, name: str) -> None:
    """From a client_id to a working route: check, login in a browser, serve, call - in a small part of two minutes."""
    bare_proxy.configure(sandbox_config(vendors))
    await register(vendors, bare_proxy)
    async with asyncio.timeout(30):
        assert 0 == (await bare_proxy.command("check")).code
        opened = bare_proxy.folder / "opened"
        env = {"BROWSER": script(bare_proxy.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
        async with running(bare_proxy, "login", name, env=env) as login:
            await until(lambda: opened.exists() and bool(opened.read_text()), "a browser that was opened")
            await browser.open(opened.read_text())
            await browser.click("#allow")
            assert f"Signed in to {name}" in await ended(browser)
            assert f"{bare_proxy.admin_url}/callback" == await browser.url()
            assert "Then you may close this page." in await browser.text() or "You may close" in await browser.text()
            done = await login.done()
        assert 0 == done.code, done.err
        assert [] == await leaks(browser, Site(bare_proxy, vendors))
        assert [] == TOKEN.findall(done.out + done.err)
        await bare_proxy.start()
        assert 200 == await Site(bare_proxy, vendors).call(name)
        assert 0 == await bare_proxy.stop()
