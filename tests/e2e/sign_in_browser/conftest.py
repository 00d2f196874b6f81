"""A proxy on 127.0.0.1 for all tests of a module, vendors on localhost, and a real browser on the way between them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.browser import Browser
from tests.support.site import Site, site

SIGN_IN = ("readycloud", "cloud66")
TOKEN = re.compile(r"(?:rc|c66|oc)-(?:at|rt)-\w+|sandbox-secret")
CODE = re.compile(r"c66-code-\w+")
DONE = "return /^(Signed in|Not signed in|Not done|Nothing)/.test(document.querySelector('#title')?.textContent)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """What all tests of this module share."""
    async with site(tmp_path_factory.mktemp("site"), "renewal_guard: 0") as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def here(shared: Site) -> AsyncIterator[Site]:
    """The running proxy; at the end nothing secret is in its log."""
    await shared.reset()
    yield shared
    assert [] == TOKEN.findall(shared.proxy.log) + CODE.findall(shared.proxy.log)


async def ended(browser: Browser) -> str:
    """Wait for a page of ours that tells how a sign-in ended, and give its text."""
    await browser.until(DONE)
    return await browser.text()


async def begin(browser: Browser, url: str, name: str) -> None:
    """From the list of credentials to the vendor's page."""
    await browser.open(url)
    await browser.click(f"#{name} .connect")
    await browser.click("#begin")
    windows = await browser.windows()
    await browser.switch(windows[-1])
    await browser.until("return document.querySelector('#allow') !== null")


async def leaks(browser: Browser, site: Site) -> list[str]:
    """All tokens that got into an address that was requested of us, a page, the address bar or the console."""
    port = f":{site.proxy.admin_port}/"
    ours = [f"{one.method} {one.url} {one.headers}" for one in await browser.requests() if port in one.url]
    assert ours
    return TOKEN.findall("\n".join([*ours, await browser.source(), await browser.url(), *await browser.console()]))
