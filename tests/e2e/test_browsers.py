"""Pages in a real browser that has the data plane within reach: whose requests get to the vendor, and whose never."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.conftest import Gateway, Settings
from tests.support.browser import Browser
from tests.support.processes import free_port
from tests.support.servers import serving
from tests.support.upstream import LIMIT, Upstream, reply

pytest_plugins = ("tests.support.browser",)

PAGE = b'<!doctype html><link rel="icon" href="data:,"><p id="there">there</p>'
HTML, JSON = b"Content-Type: text/html", b"Content-Type: application/json"

# Each asks for a path of its own name, so that the log tells that it came.
ATTEMPTS = """
const target = arguments[0], found = {};
const attempt = async (name, how) => {
    try {
        const answer = await fetch(target + "/t/" + name, how);
        found[name] = answer.type + " " + answer.status + " " + (await answer.text()).length;
    } catch (error) { found[name] = error.name; }
};
const load = (name, tag, key, make) => new Promise((resolve) => {
    const element = document.createElement(tag);
    if (make) make(element);
    element.onload = () => { found[name] = "loaded"; resolve(); };
    element.onerror = () => { found[name] = "error"; resolve(); };
    element[key] = target + "/t/" + name;
    document.body.append(element);
});
const submit = (name, method, make) => new Promise((resolve) => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = name;
    document.body.append(frame, form);
    form.method = method; form.target = name; form.action = target + "/t/" + name;
    frame.onload = () => { found[name] = "loaded"; resolve(); };
    form.submit();
});
const open = (name, made) => new Promise((resolve) => {
    made.onopen = () => { found[name] = "open"; made.close(); resolve(); };
    made.onerror = () => { found[name] = "error"; made.close(); resolve(); };
});
return (async () => {
    const text = {"Content-Type": "text/plain"}, json = {"Content-Type": "application/json"};
    await attempt("get", {mode: "no-cors"});
    await attempt("get-credentials", {mode: "no-cors", credentials: "include"});
    await attempt("get-cors", {mode: "cors"});
    await attempt("get-cors-credentials", {mode: "cors", credentials: "include"});
    await attempt("get-key", {headers: {Authorization: "Bearer x"}});
    await attempt("head", {method: "HEAD", mode: "no-cors"});
    await attempt("post", {method: "POST", mode: "no-cors", headers: text, body: '{"a": 1}'});
    await attempt("post-cors", {method: "POST", headers: text, body: '{"a": 1}', credentials: "include"});
    await attempt("post-json", {method: "POST", headers: json, body: '{"a": 1}'});
    await attempt("delete", {method: "DELETE"});
    await attempt("no-referrer", {mode: "no-cors", referrerPolicy: "no-referrer"});
    navigator.sendBeacon(target + "/t/beacon", "x");
    await load("img", "img", "src");
    await load("img-cors", "img", "src", (made) => { made.crossOrigin = "anonymous"; });
    await load("script", "script", "src");
    await load("style", "link", "href", (made) => { made.rel = "stylesheet"; });
    await load("frame", "iframe", "src");
    await load("sandboxed-frame", "iframe", "src", (made) => { made.sandbox = "allow-scripts"; });
    await submit("form-get", "get");
    await submit("form-post", "post");
    await open("websocket", new WebSocket(target.replace("http", "ws") + "/t/websocket"));
    await open("events", new EventSource(target + "/t/events"));
    return found;
})();
"""
CAME = {
    "get": "GET",
    "get-credentials": "GET",
    "get-cors": "GET",
    "get-cors-credentials": "GET",
    "get-key": "OPTIONS",
    "head": "HEAD",
    "post": "POST",
    "post-cors": "POST",
    "post-json": "OPTIONS",
    "delete": "OPTIONS",
    "no-referrer": "GET",
    "beacon": "POST",
    "img": "GET",
    "img-cors": "GET",
    "script": "GET",
    "style": "GET",
    "frame": "GET",
    "sandboxed-frame": "GET",
    "form-get": "GET",
    "form-post": "POST",
    "websocket": "GET",
    "events": "GET",
}
BLIND = ("opaque 0 0", "TypeError", "error", "loaded")  # all that a page may learn


@pytest.fixture(scope="module")
def app_port() -> int:
    """Where the allowed page is served."""
    return free_port()


@pytest.fixture(scope="module")
def port() -> int:
    """Where a route is listened for apart: an origin of its own."""
    return free_port()


@pytest.fixture(scope="module")
def settings(app_port: int, port: int) -> Settings:
    """Whoever is on this machine may call, and a page from elsewhere, or the vendor's own, may call one route each."""
    app = {"allow_origins": [f"http://app.test:{app_port}"], "methods": ["GET", "POST"]}
    own = {"allow_origins": [f"http://127.0.0.1:{port}"], "listen": f"127.0.0.1:{port}"}
    return {
        "routes": [{"prefix": "/app", "credential": "test", **app}, {"prefix": "/own", "credential": "test", **own}]
    }


@contextlib.asynccontextmanager
async def page(browser: Browser, name: str, port: int = 0) -> AsyncIterator[None]:
    """Open a page of a server of somebody's, which serves while the context is open."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    async with serving(app, port) as origin:
        await browser.open(origin.replace("127.0.0.1", name) + "/")
        yield


async def refused(gateway: Gateway, wanted: dict[str, str]) -> None:
    """Wait until the log tells that each path was asked for with that method, and refused."""
    lines = {name: re.compile(rf" {method} /t/{name}(\?\S*)? 403 ") for name, method in wanted.items()}
    async with asyncio.timeout(LIMIT):
        while missing := [name for name, line in lines.items() if not line.search(gateway.proxy.log)]:
            await asyncio.sleep(0.05)
    assert [] == missing


async def fetched(browser: Browser, url: str, **how: Any) -> Any:
    """Fetch in the page: give status, body and one field of the answer, or the error's name."""
    return await browser.script(
        """
        return fetch(arguments[0], arguments[1]).then(
            async (answer) => [answer.status, await answer.text(), answer.headers.get("X-Vendor")],
            (error) => error.name,
        );
        """,
        url,
        how,
    )


@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1"])
async def test_page_of_another_origin(gateway: Gateway, upstream: Upstream, browser: Browser, name: str) -> None:
    """Whatever it tries, from another site or another port, reaches us and nobody else, and shows it nothing."""
    async with page(browser, name):
        found = await browser.script(ATTEMPTS, gateway.proxy.url)
        assert {} == {one: outcome for one, outcome in found.items() if outcome not in BLIND}
        assert {"websocket": "error", "events": "error"} == {one: found[one] for one in ("websocket", "events")}
        await refused(gateway, CAME)
        await browser.script("location = arguments[0] + '/t/navigation';", gateway.proxy.url)
        await browser.until("return document.body.textContent.includes('foreign_origin')")
        await refused(gateway, {"navigation": "GET"})
    assert [] == upstream.requests


async def test_page_without_an_origin(gateway: Gateway, upstream: Upstream, browser: Browser) -> None:
    """A sandboxed frame and a document that came from nowhere are nobody's: their origin is null."""
    code = """
        const [target, inner] = arguments, frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts allow-forms";
        frame.srcdoc = inner.replaceAll("TARGET", target);
        document.body.append(frame);
    """
    inner = """<script>
        const how = {method: "POST", mode: "no-cors", body: "x"};
        fetch("TARGET/t/null-post", how); fetch("TARGET/t/null-get", {mode: "no-cors"}); fetch("TARGET/t/null-cors");
        new WebSocket("TARGET/t/null-websocket".replace("http", "ws"));
    </script>"""
    wanted = {"null-post": "POST", "null-get": "GET", "null-cors": "GET", "null-websocket": "GET"}
    async with page(browser, "evil.test"):
        await browser.script(code, gateway.proxy.url, inner)
        await refused(gateway, wanted)
    assert [] == upstream.requests


async def test_name_that_leads_here(gateway: Gateway, upstream: Upstream, browser: Browser) -> None:
    """DNS rebinding: by another name that has our address a page gets nothing, though it is its own origin."""
    await browser.open(f"http://evil.test:{gateway.proxy.port}/t/rebound")
    assert "host_not_allowed" in await browser.text()
    for how in ({}, {"method": "POST", "body": "x"}, {"headers": {"Authorization": "Bearer x"}}):
        status, body, _ = await fetched(browser, "/t/rebound", **how)
        assert (403, True) == (status, "host_not_allowed" in body)
    assert [] == upstream.requests


async def test_page_that_may(gateway: Gateway, upstream: Upstream, browser: Browser, app_port: int) -> None:
    """It reads answers, their fields and errors, after a preflight too, which never gets to the vendor."""
    url = f"{gateway.proxy.url}/app"
    upstream.script(reply(200, b"X-Vendor: 1"), reply(201, b"X-Vendor: 2"), reply(404, body=b"nothing here"))
    async with page(browser, "app.test", app_port):
        json = {"headers": {"Content-Type": "application/json", "X-Own": "1"}, "body": '{"a": 1}'}
        assert [200, "ok", "1"] == await fetched(browser, f"{url}/a")
        assert [201, "ok", "2"] == await fetched(browser, f"{url}/b", method="POST", **json)
        assert [404, "nothing here", None] == await fetched(browser, f"{url}/c")
        status, body, _ = await fetched(browser, f"{url}/oauth")
        assert (403, True) == (status, "forbidden_path" in body)
        assert [b"GET /a", b"POST /b", b"GET /c"] == [one.line.rpartition(b" ")[0] for one in upstream.requests]
        assert b'{"a": 1}' == upstream.requests[1].body
        assert "TypeError" == await fetched(browser, f"{url}/d", method="DELETE")
        assert "TypeError" == await fetched(browser, f"{gateway.proxy.url}/t/other-route")
        assert 3 == len(upstream.requests)
        assert "TypeError" == await fetched(browser, f"{url}/e", credentials="include")  # it may not read that


@pytest.mark.parametrize("name", ["app.test", "evil.test", "sub.app.test", "127.0.0.1"])
async def test_page_that_may_not(gateway: Gateway, upstream: Upstream, browser: Browser, name: str) -> None:
    """The same server on another port, and any other, is another origin."""
    async with page(browser, name):
        for how in ({}, {"method": "POST", "body": "x"}, {"headers": {"X-Own": "1"}}):
            assert "TypeError" == await fetched(browser, f"{gateway.proxy.url}/app/a", **how)
        assert [0, "", None] == await fetched(browser, f"{gateway.proxy.url}/app/a", mode="no-cors")
    assert [] == upstream.requests


OWN = """<!doctype html><link rel="icon" href="data:,"><p id="there">there</p><img src="img"><script>
    const how = {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"};
    fetch("data").then(() => fetch("data", how)).then(() => { document.body.id = "done"; });
</script>"""


async def test_page_of_a_vendor(gateway: Gateway, upstream: Upstream, browser: Browser) -> None:
    """A person may open it, but nothing of it runs, and nothing that it names is loaded: all vendors are one origin."""
    upstream.script(reply(200, HTML, body=OWN.encode()))
    await browser.open(f"{gateway.proxy.url}/t/page")
    assert "there" == await browser.text("#there")
    async with asyncio.timeout(LIMIT):
        while not re.search(r" GET /t/img 403 ", gateway.proxy.log):
            await asyncio.sleep(0.05)
    assert [b"/page"] == [one.target for one in upstream.requests]


async def test_page_of_a_vendor_that_may(gateway: Gateway, upstream: Upstream, browser: Browser, port: int) -> None:
    """It asks as our own origin where its route allows that origin."""
    upstream.script(reply(200, HTML, body=OWN.encode()))
    await browser.open(f"http://127.0.0.1:{port}/own/page")
    await browser.until("return document.body.id === 'done'")
    lines = sorted(one.line.rpartition(b" ")[0] for one in upstream.requests)
    assert [b"GET /data", b"GET /img", b"GET /page", b"POST /data"] == lines
