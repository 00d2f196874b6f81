"""Secrets that come from the environment: whom this process starts gets none, and a reload still finds them."""

from __future__ import annotations

from pathlib import Path

from proxy.sandbox import CLIENT_ID, CLIENT_SECRET, Sandbox
from tests.e2e.conftest import Gateway, listening, running
from tests.e2e.test_reload import asked, changed, reloaded
from tests.support.beside import running as command
from tests.support.beside import script, until
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import register
from tests.support.upstream import Upstream

KEPT = ("HOME", "PATH", "A_PLAIN_VARIABLE", "CLIENT_ID_VARIABLE")
TAKEN_OUT = {"CLIENT_SECRET_VARIABLE": CLIENT_SECRET, "ERP_KEY": "key-of-erp-0123456789", "ADMIN_KEY": "key-of-admin"}


async def test_environment_of_a_browser(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """`login` starts it without the variables that hold secrets of the configuration, and with all others."""
    text = sandbox_config(vendors, 'clients: {erp: {key: "${ERP_KEY}"}}\nadmin_key: "pre${ADMIN_KEY}"')
    text = text.replace(f"client_secret: {CLIENT_SECRET}", 'client_secret: "${CLIENT_SECRET_VARIABLE}"')
    bare_proxy.configure(text.replace(f"client_id: {CLIENT_ID}", 'client_id: "${CLIENT_ID_VARIABLE:-x}"'))
    await register(vendors, bare_proxy)
    seen = bare_proxy.folder / "seen"
    browser = script(bare_proxy.folder / "browser", f"env > {seen}.part; mv {seen}.part {seen}")
    others = {"A_PLAIN_VARIABLE": "plain", "CLIENT_ID_VARIABLE": CLIENT_ID, "HOME": str(bare_proxy.folder)}
    async with command(bare_proxy, "login", "cloud66", env={"BROWSER": browser, **others, **TAKEN_OUT}) as login:
        await login.url()
        await until(seen.exists, "what the browser was started with")
        login.process.terminate()
        await login.done()
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert (set(KEPT), set()) == (names & set(KEPT), names & set(TAKEN_OUT))
    assert [] == [value for value in TAKEN_OUT.values() if value in seen.read_text()]


async def test_variables_after_a_reload(tmp_path: Path) -> None:
    """They mean what they meant at the start, those too that nothing named then."""
    first, later = "first-key-0123456789", "later-key-0123456789"
    with listening() as listener:
        async with running(tmp_path, listener, {}) as gateway, Upstream(gateway.tokens).serving(listener):
            proxy = gateway.proxy
            assert 0 == await proxy.stop()
            changed(proxy, clients={"one": {"key": "${FIRST_KEY}"}}, anonymous="none")
            await proxy.start({"FIRST_KEY": first, "LATER_KEY": later})
            assert [200, 401] == [await opens(gateway, key) for key in (first, later)]
            for _ in range(2):
                changed(proxy, clients={"one": {"key": "${FIRST_KEY}"}, "two": {"key": "${LATER_KEY}"}})
                await reloaded(proxy)
                assert [200, 200] == [await opens(gateway, key) for key in (first, later)]
            assert [] == [key for key in (first, later) if key in proxy.log]


async def opens(gateway: Gateway, key: str) -> int:
    async with gateway.caller() as caller:
        return (await asked(gateway, caller, "/t/", b"Authorization: Bearer " + key.encode())).status
