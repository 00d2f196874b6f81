"""The browser that tests drive does what they count on: fragments, sites, logs, and nothing left over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.support.browser import Browser

pytest_plugins = ("tests.support.browser",)

LANDED = """<!DOCTYPE html><title>Landed</title><link rel="icon" href="data:,"><p id="hash"></p>
<form action="/said" method="post"><input name="word" value="old"><button>Say</button></form>
<a id="other" href="/said" target="_blank">other window</a>
<script>
document.querySelector("#hash").textContent = location.hash;
console.warn("landed at " + location.pathname);
</script>"""


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a site on 127.0.0.1, which is several sites by several names."""

    async def start(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.1:{request.url.port}/landed?given=1#access_token=in-the-fragment")

    async def landed(_: web.Request) -> web.Response:
        response = web.Response(text=LANDED, content_type="text/html")
        response.set_cookie("session", "of-a-test", httponly=True)
        return response

    async def said(request: web.Request) -> web.Response:
        word = str((await request.post()).get("word", "nothing"))
        return web.Response(
            text=f'<link rel="icon" href="data:,"><p id="said">{request.host} {word}', content_type="text/html"
        )

    app = web.Application()
    app.router.add_get("/start", start)
    app.router.add_get("/landed", landed)
    app.router.add_route("*", "/said", said)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_fragment_across_sites(browser: Browser, port: int) -> None:
    """A redirect from one site to another hands over a fragment, which scripts see and no server does."""
    before = await browser.history()
    await browser.open(f"http://localhost:{port}/start")
    assert f"http://127.0.0.1:{port}/landed?given=1#access_token=in-the-fragment" == await browser.url()
    assert "#access_token=in-the-fragment" == await browser.script("return location.hash")
    assert "#access_token=in-the-fragment" == await browser.text("#hash")
    assert before + 1 == await browser.history()
    paths = [request.url.partition(str(port))[2] for request in await browser.requests()]
    assert ["/start", "/landed?given=1"] == paths
    assert any("landed at /landed" in line for line in await browser.console())


async def test_a_form_and_another_window(browser: Browser, port: int) -> None:
    """Fields are filled, buttons pressed and windows changed; a name below .test leads here."""
    await browser.open(f"http://shop.test:{port}/landed")
    await browser.click("#other")
    first, other = await browser.windows()
    await browser.switch(other)
    await browser.until("return document.body.textContent.includes('nothing')")
    await browser.switch(first)
    assert 0 == await browser.count("#nowhere")
    await browser.fill("[name=word]", "neues Wört")
    await browser.click("button")
    assert f"shop.test:{port} neues Wört" == await browser.text("#said")
    assert "neues" in await browser.source()
    assert "POST" in {request.method for request in await browser.requests()}


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_nothing_is_left_over(browser: Browser, port: int, turn: str) -> None:
    """Each test finds one tab, and no cookie, no storage and no log of the test before it."""
    assert 1 == len(await browser.windows())
    assert ([], []) == (await browser.console(), await browser.requests())
    await browser.open(f"http://localhost:{port}/said")
    assert [] == await browser.cookies()
    assert 0 == await browser.script("return localStorage.length + sessionStorage.length")
    await browser.open(f"http://localhost:{port}/landed")
    assert ["session"] == [cookie["name"] for cookie in await browser.cookies()]
    await browser.script("localStorage.setItem('a', '1'); sessionStorage.setItem('b', '2')")


async def test_the_world_outside(browser: Browser) -> None:
    """No other machine is reached, and that is known at once."""
    begun = time.monotonic()
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        await browser.open("http://example.com/")
    assert time.monotonic() - begun < 5
