"""Pages of other origins that mean harm, in the browser in which a person signs in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.browser import Browser
from tests.support.person import query_of
from tests.support.servers import serving
from tests.support.site import Site
from tests.support.vendor import Control

from .conftest import begin

pytest_plugins = ("tests.support.browser",)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def evil(here: Site) -> AsyncIterator[str]:
    """The origin of a page that means harm, on a site of its own."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text='<link rel="icon" href="data:,"><p id="evil">', content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with serving(app) as origin:
        yield origin.replace("127.0.0.1", "evil.test")


HARM = {
    "a form": """
        const form = document.createElement("form");
        form.method = "post"; form.action = TARGET + "/login/cloud66";
        document.body.append(form); form.submit();
    """,
    "a form to the callback": """
        const form = document.createElement("form");
        form.method = "post"; form.action = TARGET + "/callback";
        for (const [name, value] of [["state", STATE], ["access_token", "evil"], ["code", "evil"]]) {
            const field = document.createElement("input");
            field.name = name; field.value = value; form.append(field);
        }
        document.body.append(form); form.submit();
    """,
    "a log-out form": """
        const form = document.createElement("form");
        form.method = "post"; form.action = TARGET + "/logout/cloud66";
        document.body.append(form); form.submit();
    """,
    "a navigation to the callback": "location = TARGET + '/callback?code=evil&state=' + STATE;",
    "a fragment": "location = TARGET + '/callback?state=' + STATE + '#access_token=evil&token_type=bearer';",
    "a navigation to the callback without state": "location = TARGET + '/callback?code=evil';",
    "a navigation to the page": "location = TARGET + '/login/cloud66';",
    "a window": "window.open(TARGET + '/callback?state=' + STATE + '#access_token=evil');",
}


@pytest.mark.parametrize(
    ("how", "state"),
    [*((how, "stolen") for how in HARM), ("a fragment", "made up"), ("a navigation to the callback", "made up")],
)
async def test_a_hostile_page_goes_there(here: Site, browser: Browser, evil: str, how: str, state: str) -> None:
    """Another origin that sends the browser to us starts no sign-in and completes none.

    A stolen state is one that another browser has begun: this one has no cookie for it.
    """
    before = await here.bring_tokens("cloud66")
    await begin(browser, here.url + "/", "cloud66")
    stolen = query_of(await browser.url())["state"]
    await asyncio.to_thread(browser.fresh)  # it keeps nothing of that: it is another browser now
    await browser.open(here.url + "/")  # with a session of its own
    await browser.open(evil + "/")
    await browser.until("return location.origin === arguments[0]", evil)  # what follows is that page's doing
    windows = len(await browser.windows())
    code = HARM[how].replace("TARGET", repr(here.url)).replace("STATE", repr(stolen if state == "stolen" else "x" * 43))
    await browser.script(code)
    if how == "a window":
        async with asyncio.timeout(10):
            while len(await browser.windows()) == windows:
                await asyncio.sleep(0.02)
        await browser.switch((await browser.windows())[-1])
    await browser.until(
        "return location.port === arguments[0] && document.readyState === 'complete'", str(here.proxy.admin_port)
    )
    if "callback" in how or how in ("a fragment", "a window"):
        await browser.until("return !document.body.textContent.includes('Signing in …')")
    said = await browser.text()
    assert "Signed in" not in said
    assert "evil" not in said
    if "form" in how or "page" in how:
        assert "a page of another origin may not do this" in said
    assert before == await here.generation("cloud66")
    assert 200 == await here.call("cloud66")
    state_there = await Control(here.vendors, "cloud66").state()
    assert (0, 0) == (state_there["exchanges"], state_there["authorizations"])


async def test_a_hostile_page_fetches(here: Site, browser: Browser, evil: str) -> None:
    """It reads none of our answers, frames none of our pages, and its requests change nothing."""
    before = await here.bring_tokens("cloud66")
    await browser.open(here.url + "/")
    await browser.open(evil + "/")
    outcome = await browser.script(
        """
        const target = arguments[0], found = {};
        const attempt = async (name, url, how) => {
            try {
                const answer = await fetch(target + url, how);
                found[name] = answer.type + " " + answer.status + " " + (await answer.text()).length;
            } catch (error) { found[name] = error.name; }
        };
        const load = (name, tag, url) => new Promise((resolve) => {
            const element = document.createElement(tag);
            element.onload = () => {
                found[name] = "loaded " + (element.contentDocument ? "readable" : "opaque");
                resolve();
            };
            element.onerror = () => { found[name] = "error"; resolve(); };
            element.src = target + url; document.body.append(element);
        });
        return (async () => {
            const simple = {method: "POST", credentials: "include", mode: "no-cors",
                headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: "state=x&access_token=evil"};
            await attempt("page", "/", {credentials: "include"});
            await attempt("json", "/api/credentials", {credentials: "include"});
            await attempt("csrf", "/login/cloud66", {credentials: "include", mode: "no-cors"});
            await attempt("begin", "/login/cloud66", simple);
            await attempt("callback", "/callback", simple);
            await attempt("logout", "/logout/cloud66", simple);
            const json = {"Content-Type": "application/json"};
            await attempt("preflighted", "/callback", {...simple, mode: "cors", headers: json});
            await load("image", "img", "/callback?code=evil&state=x");
            await load("script", "script", "/api/credentials");
            await load("frame", "iframe", "/login/cloud66");
            return found;
        })();
        """,
        here.url,
    )
    assert "loaded opaque" == outcome.pop("frame"), "a frame with an error in it loads too"
    assert {
        "page": "TypeError",
        "json": "TypeError",
        "csrf": "TypeError",  # Cross-Origin-Resource-Policy
        "begin": "TypeError",
        "callback": "TypeError",
        "logout": "TypeError",
        "preflighted": "TypeError",
        "image": "error",
        "script": "error",
    } == outcome
    blocked = "\n".join(await browser.console())
    assert "frame-ancestors" in blocked or "X-Frame-Options" in blocked or "refused to connect" in blocked, blocked
    assert before == await here.generation("cloud66")
    assert 0 == (await Control(here.vendors, "cloud66").state())["authorizations"]


async def test_a_name_that_leads_here(here: Site, browser: Browser) -> None:
    """DNS rebinding: a page by another name whose address is ours gets no page of ours."""
    await browser.open(f"http://rebound.test:{here.proxy.admin_port}/")
    assert "this is not a name of bearer-proxy's control plane" in await browser.text()
    assert [] == await browser.cookies()
