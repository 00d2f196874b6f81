"""Signing in with a real browser: vendors on localhost, the proxy on 127.0.0.1, pages that mean harm elsewhere."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.browser import Browser
from tests.support.processes import Proxy, localhost, sandbox_config
from tests.support.signing import Site, query_of, register, running, script, serving, site, until
from tests.support.vendor import Control

pytest_plugins = ("tests.support.browser",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

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


@pytest_asyncio.fixture(loop_scope="module")
async def evil(here: Site) -> AsyncIterator[str]:
    """The origin of a page that means harm, on a site of its own."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text='<link rel="icon" href="data:,"><p id="evil">', content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with serving(app) as origin:
        yield origin.replace("127.0.0.1", "evil.test")


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


async def test_the_key_in_the_address(browser: Browser, here: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As in a container: all addresses, an admin_key, the key given as people do, and the callback without it."""
    proxy = Proxy(tmp_path_factory.mktemp("container"))
    proxy.configure(sandbox_config(here.vendors, "admin_key: open-sesame"))
    path = proxy.folder / "config.yaml"
    path.write_text(path.read_text().replace("admin: 127.0.0.1:", "admin: 0.0.0.0:"))
    await register(here.vendors, proxy)
    await proxy.start()
    try:
        await browser.open(proxy.admin_url.replace("//", "//admin:open-sesame@") + "/")
        for name in SIGN_IN:
            await browser.open(proxy.admin_url + "/")
            await browser.click(f"#{name} .connect")
            await browser.click("#begin")
            await browser.switch((await browser.windows())[-1])
            await browser.click("#allow")
            assert f"Signed in to {name}" in await ended(browser)
        assert "open-sesame" not in proxy.log
    finally:
        assert 0 == await proxy.stop(), proxy.log


@pytest.mark.parametrize("name", SIGN_IN)
async def test_from_the_command_line(
    here: Site, browser: Browser, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From a client_id to a working route: check, login in a browser, serve, call - in a small part of two minutes."""
    proxy = Proxy(tmp_path_factory.mktemp("newcomer"))
    proxy.configure(sandbox_config(here.vendors))
    await register(here.vendors, proxy)
    async with asyncio.timeout(30):
        assert 0 == (await proxy.command("check")).code
        opened = proxy.folder / "opened"
        env = {"BROWSER": script(proxy.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
        async with running(proxy, "login", name, env=env) as login:
            await until(lambda: opened.exists() and bool(opened.read_text()), "a browser that was opened")
            await browser.open(opened.read_text())
            await browser.click("#allow")
            assert f"Signed in to {name}" in await ended(browser)
            assert f"{proxy.admin_url}/callback" == await browser.url()
            assert "Then you may close this page." in await browser.text() or "You may close" in await browser.text()
            done = await login.done()
        assert 0 == done.code, done.err
        assert [] == await leaks(browser, Site(proxy, here.vendors))
        assert [] == TOKEN.findall(done.out + done.err)
        await proxy.start()
        assert 200 == await Site(proxy, here.vendors).call(name)
        assert 0 == await proxy.stop()


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
