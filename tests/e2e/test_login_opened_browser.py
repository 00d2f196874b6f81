"""The browser that `login` opens: which, whether at all, and what if it stays."""

from __future__ import annotations

import json
import os
import shlex
import signal

import pytest

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.support.beside import running, script, until, watched_arguments
from tests.support.person import Person, fragment_of, tokens_of
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import register


async def test_no_browser_is_opened_unasked(signing: Proxy) -> None:
    """--no-browser prints the address and starts nothing."""
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
    async with running(signing, "login", "readycloud", "--no-browser", env=env) as login:
        assert (await login.url()).startswith("http://localhost:")
        login.process.send_signal(signal.SIGTERM)
        assert 1 == (await login.done()).code
    assert not opened.exists()


async def test_the_browser_of_the_environment(signing: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """$BROWSER is started with the printed address; nothing secret is ever in the arguments of any process."""
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
    with watched_arguments() as arguments:
        async with running(signing, "login", "cloud66", env=env) as login:
            url = await login.url()
            await until(lambda: opened.exists() and bool(opened.read_text()), "a browser that was opened")
            assert url == opened.read_text()
            address = await visitor.decide(url)
            assert "Signed in" in await visitor.come_back(address)
            assert 0 == (await login.done()).code
        async with running(signing, "login", "readycloud", "--paste") as login:
            implicit = await visitor.decide(await login.url())
            login.type(implicit + "\n")
            assert 0 == (await login.done()).code
        assert 0 == (await signing.command("logout", "readycloud")).code
        assert 0 == (await signing.command("import", "readycloud", stdin=json.dumps(fragment_of(implicit)))).code
    secrets = tokens_of(address) | tokens_of(implicit) | {CLIENT_SECRET}
    assert [] == [line for line in arguments.seen for secret in secrets if secret in line]
    assert any("login cloud66" in line for line in arguments.seen), "nothing was watched"


@pytest.mark.parametrize("end", ["callback", "time", signal.SIGINT])
async def test_a_browser_that_stays(
    bare_proxy: Proxy, vendors: Sandbox, visitor: Person, end: str | signal.Signals
) -> None:
    """A browser that is not in the background holds nothing up: the sign-in ends when it is done, late or cancelled."""
    bare_proxy.configure(sandbox_config(vendors, "login_timeout: 200ms" if end == "time" else ""))
    await register(vendors, bare_proxy)
    opened = bare_proxy.folder / "opened"
    env = {"BROWSER": script(bare_proxy.folder / "browser", f"echo $$ > {shlex.quote(str(opened))}\nexec sleep 60")}
    async with running(bare_proxy, "login", "cloud66", env=env) as login:
        url = await login.url()
        await until(lambda: opened.exists() and opened.read_text().endswith("\n"), "a browser that was opened")
        try:
            if end == "callback":
                assert "Signed in" in await visitor.come_back(await visitor.decide(url))
            elif end != "time":
                login.process.send_signal(int(end))
            # Its output stays open as long as the browser has it, so `done` would wait for that.
            await until(lambda: login.process.returncode is not None, "the end", 10)
            assert (0 if end == "callback" else 1) == login.process.returncode
        finally:
            os.kill(int(opened.read_text()), signal.SIGKILL)
