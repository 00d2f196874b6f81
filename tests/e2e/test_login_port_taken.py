"""`login` where the callback's port is taken: by a serve of ours, which does it, or by a stranger."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time

import pytest
from aiohttp import web

from proxy.sandbox import Sandbox
from tests.support.beside import running, script, until
from tests.support.person import Person
from tests.support.processes import Proxy, sandbox_config
from tests.support.servers import serving
from tests.support.site import call


@pytest.mark.parametrize("vendor", ["readycloud", "cloud66"])
async def test_a_running_serve_takes_the_sign_in(
    signing: Proxy, vendors: Sandbox, visitor: Person, vendor: str
) -> None:
    """Where serve holds the callback's port, its page is opened, and `login` ends when that sign-in is done."""
    await signing.start()
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
    async with running(signing, "login", vendor, env=env) as login:
        page = await login.url()
        assert f"{signing.admin_url}/login/{vendor}" == page
        await until(lambda: opened.exists() and bool(opened.read_text()), "a browser that was opened")
        assert page == opened.read_text()
        await visitor.press(page, f"/login/{vendor}")
        assert 303 == visitor.status
        assert "Signed in" in await visitor.come_back(await visitor.decide(visitor.location))
        done = await login.done(5)
    assert 0 == done.code, done.err
    assert f"signed in to {vendor}: an access token" in done.out
    assert 200 == await call(signing, vendor)


async def test_a_paste_beside_a_running_serve(signing: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """Where serve holds the port, --paste works as ever, and serve has the tokens within a second."""
    await signing.start()
    async with running(signing, "login", "readycloud", "--no-browser", "--paste") as login:
        login.type(await visitor.decide(await login.url()) + "\n")
        assert 0 == (await login.done()).code
    await _within_a_second(signing, "readycloud", 200)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, read, and never answer."""
    await reader.read()
    writer.close()


FOREIGN = {
    "another server": lambda: web.Response(text="{}", content_type="application/json"),
    "one that says it is ours": lambda: web.Response(
        text="[]", content_type="application/json", headers={"Server": "bearer-proxy"}
    ),
    "an older one of ours": lambda: web.Response(
        text='{"credentials": [{}]}', content_type="application/json", headers={"Server": "bearer-proxy"}
    ),
}


@pytest.mark.parametrize("what", [*FOREIGN, "silent"])
async def test_a_foreign_program_on_the_port(signing: Proxy, what: str) -> None:
    """Whatever it is, that is one clear sentence, and no browser opens before."""
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f"touch {shlex.quote(str(opened))}")}

    async def answer(_: web.Request) -> web.Response:
        return FOREIGN[what]()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    if what == "silent":
        server = await asyncio.start_server(silent, "127.0.0.1", signing.admin_port)
        async with server, running(signing, "login", "cloud66", env=env) as login:
            done = await login.done()
    else:
        async with serving(app, signing.admin_port), running(signing, "login", "cloud66", env=env) as login:
            done = await login.done()
    assert (1, 1) == (done.code, len(done.err.splitlines())), done.err
    assert "sign in with --paste" in done.err
    assert f"127.0.0.1:{signing.admin_port}" in done.err
    assert "" == done.out
    assert not opened.exists()


@pytest.mark.parametrize("other", ["another store", "an older configuration"])
async def test_a_serve_of_another_configuration(
    signing: Proxy, vendors: Sandbox, other: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A serve that would not store the sign-in where this command looks: a clear sentence, and no browser opens."""
    text = sandbox_config(vendors)
    expected = "it is no bearer-proxy on this store. Or sign in with --paste"
    if other == "an older configuration":
        text = re.sub(r"\bcloud66: \{provider", "before: {provider", text).replace("al: cloud66", "al: before")
        text += f'store: "sqlite:{signing.folder / "tokens.db"}"\n'
        expected = "does not know cloud66 yet: restart it, or sign in with --paste"
    stranger = Proxy(tmp_path_factory.mktemp("other"), admin_port=signing.admin_port)
    stranger.configure(text)
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f"touch {shlex.quote(str(opened))}")}
    try:
        await stranger.start()
        async with running(signing, "login", "cloud66", env=env) as login:
            done = await login.done()
    finally:
        assert 0 == await stranger.stop()
    assert (1, 1) == (done.code, len(done.err.splitlines())), done.err
    assert expected in done.err
    assert not opened.exists()


async def _within_a_second(proxy: Proxy, name: str, expected: int) -> None:
    """A request through the running proxy gets that answer, within a second from now."""
    end = time.monotonic() + 1
    found = 0
    while time.monotonic() < end:
        found = await call(proxy, name)
        if found == expected:
            return
        await asyncio.sleep(0.02)
    assert expected == found, "a second was not enough"


@pytest.mark.parametrize("vendor", ["readycloud", "onecloud"])
async def test_what_other_processes_store(signing: Proxy, vendors: Sandbox, visitor: Person, vendor: str) -> None:
    """A running serve has the tokens of `login` and `import` within a second, and forgets them as fast."""
    await signing.start()
    assert 503 == await call(signing, vendor)
    if vendor == "readycloud":
        async with running(signing, "login", vendor, "--no-browser", "--paste") as login:
            login.type(await visitor.decide(await login.url()) + "\n")
            assert 0 == (await login.done()).code
    else:
        assert 0 == (await signing.command("login", vendor, stdin=json.dumps(vendors.grant(vendor)))).code
    await _within_a_second(signing, vendor, 200)
    assert 0 == (await signing.command("logout", vendor)).code
    await _within_a_second(signing, vendor, 503)
    await signing.bring_tokens(vendor, vendors.grant(vendor))
    await _within_a_second(signing, vendor, 200)
