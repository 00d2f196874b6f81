"""Signing in with a real browser, on our pages and the vendors'."""

from __future__ import annotations

import pytest

from tests.support.browser import Browser
from tests.support.person import query_of
from tests.support.processes import localhost
from tests.support.site import Site
from tests.support.vendor import Control

from .conftest import CODE, SIGN_IN, TOKEN, begin, ended, leaks

pytest_plugins = ("tests.support.browser",)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("begun_at", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", SIGN_IN)
async def test_a_sign_in(here: Site, browser: Browser, name: str, begun_at: str) -> None:
    """Connect, Allow, signed in, at whichever of our names; nothing is left in address bar, history and console."""
    before = await here.generation(name)
    await begin(browser, here.url.replace("127.0.0.1", begun_at) + "/", name)
    assert "http://localhost:" in await browser.url()
    await browser.click("#allow")
    assert f"Signed in to {name}" in await ended(browser)
    assert f"{here.url}/callback" == await browser.url()
    assert "" == await browser.script("return location.hash + location.search")
    assert before + 1 == await here.generation(name)
    assert 200 == await here.call(name)
    assert [] == await leaks(browser, here)
    assert [] == [line for line in await browser.console() if here.url in line]  # the vendor's icon is missing
    visited = await browser.visited()
    assert f"{here.url}/callback" == visited[-1]
    assert [] == [url for url in visited if TOKEN.search(url) or CODE.search(url)]


async def test_the_fragment_was_there(here: Site, browser: Browser) -> None:
    """The browser did come back with the tokens behind the #, and sent them in a body and in no address."""
    await begin(browser, here.url + "/", "readycloud")
    await browser.click("#allow")
    await ended(browser)
    asked = [one for one in await browser.requests() if "/callback" in one.url]
    assert [("GET", True), ("POST", False)] == [(one.method, "access_token" in one.fragment) for one in asked]
    assert [] == [one.url for one in asked if TOKEN.search(one.url)]
    assert {"state"} == query_of(asked[0].url).keys()


@pytest.mark.parametrize("name", SIGN_IN)
async def test_denied(here: Site, browser: Browser, name: str) -> None:
    """Deny leads to a sentence that says what it means; nothing has changed."""
    before = await here.generation(name)
    await begin(browser, here.url + "/", name)
    await browser.click("#deny")
    assert "consent was denied at the vendor: nothing has changed" in await ended(browser)
    assert f"{here.url}/callback" == await browser.url()
    assert before == await here.generation(name)


async def test_reload_and_back(here: Site, browser: Browser) -> None:
    """Reloading the last page, or coming back to it, neither signs in again nor breaks what was done."""
    before = await here.generation("cloud66")
    await begin(browser, here.url + "/", "cloud66")
    await browser.click("#allow")
    await ended(browser)
    await browser.script("location.reload()")
    await browser.until("return document.querySelector('#title').textContent === 'Nothing to take over'")
    assert before + 1 == await here.generation("cloud66")
    await browser.click("a")
    await browser.until("return document.querySelector('#cloud66') !== null")


async def test_the_paste_form(here: Site, browser: Browser) -> None:
    """Where the vendor leaves the person on a page of its own, its address is pasted, unseen."""
    await Control(here.vendors, "readycloud").settings(redirect_uri="")
    before = await here.generation("readycloud")
    await begin(browser, here.url + "/", "readycloud")
    await browser.click("#allow")
    await browser.until("return document.querySelector('#copy') !== null")
    address = await browser.url()
    assert "/api/v1/oauth2/auth_code?state=" in address
    assert TOKEN.search(address)
    await browser.switch((await browser.windows())[0])
    await browser.fill("[name=pasted]", address)
    assert "password" == await browser.script("return document.querySelector('[name=pasted]').type")
    await browser.click("#paste")
    assert "Signed in to readycloud" in await ended(browser)
    assert before + 1 == await here.generation("readycloud")
    assert [] == await leaks(browser, here)


async def test_buttons(here: Site, browser: Browser) -> None:
    """Cancel, Renew now and Log out do what they say, by forms that our own pages gave."""
    before = await here.bring_tokens("onecloud")
    await browser.open(here.url + "/")
    await browser.click("#onecloud .renew")
    await here.reaches("onecloud", before + 1)
    await browser.click("#onecloud .logout")
    await here.reaches("onecloud", before + 2)
    await browser.until("return document.querySelector('#onecloud').textContent.includes('it was logged out')")
    await browser.open(f"{here.url}/login/cloud66")
    await browser.click("#begin")
    await browser.until("return document.querySelector('#allow') !== null")
    vendor = await browser.url()
    await browser.open(f"{here.url}/login/cloud66")
    await browser.click("#cancel")
    await browser.until("return document.querySelector('#onecloud') !== null")
    await browser.open(vendor)
    await browser.click("#allow")
    assert "this is no sign-in that is under way here" in await ended(browser)


async def test_a_login_page_by_another_name(here: Site, browser: Browser) -> None:
    """Two sign-ins in one browser, one begun at each name, both come to their end."""
    before = await here.generation("cloud66")
    await begin(browser, localhost(here.url) + "/", "cloud66")
    first = await browser.url()
    await begin(browser, here.url + "/", "cloud66")
    await browser.click("#allow")
    assert "Signed in" in await ended(browser)
    await browser.open(first)
    await browser.click("#allow")
    assert "Signed in" in await ended(browser)
    assert before + 2 == await here.generation("cloud66")
