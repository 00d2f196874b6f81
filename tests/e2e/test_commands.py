"""The commands as a person types them: what they print, what they change, how they exit."""

from __future__ import annotations

import fcntl
import json
import socket
import sqlite3
import stat
from pathlib import Path

import pytest

from proxy.sandbox import Sandbox
from tests.support.processes import ROOT, Proxy, command, sandbox_config
from tests.support.vendor import Control


async def test_check_of_the_example(tmp_path: Path) -> None:
    """The example loads while nothing is set, and says which credential lacks what."""
    done = await command("check", "-c", str(ROOT / "config.yaml"), cwd=tmp_path)
    assert 0 == done.code, done.err
    assert "credentials.readycloud: warning: not configured: it lacks client_id, client_secret" in done.out
    assert "credentials.onecloud: warning: not configured: it lacks upstream, token_url, client_id" in done.out


@pytest.mark.parametrize("order", [("-c", "bad.yaml", "check"), ("check", "-c", "bad.yaml"), ("check",)])
async def test_check_of_a_bad_file(tmp_path: Path, order: tuple[str, ...]) -> None:
    """Every problem is a line, exit 2, and -c goes before or after the command, or into the environment."""
    (tmp_path / "bad.yaml").write_text("lisen: 1\nroutes:\n  - {prefix: /a, credential: b}\n")
    env = {"BEARER_PROXY_CONFIG": "bad.yaml"} if order == ("check",) else {}
    done = await command(*order, cwd=tmp_path, env=env)
    assert 2 == done.code
    assert [
        "bad.yaml:1: lisen: unknown key (did you mean 'listen'?)",
        "bad.yaml:3: routes.0.credential: there is no such credential",
    ] == done.out.splitlines()


@pytest.mark.parametrize("what", ["serve", "status", "check"])
async def test_no_configuration(tmp_path: Path, what: str) -> None:
    """A missing file is one sentence and exit 2."""
    done = await command(what, cwd=tmp_path)
    assert 2 == done.code
    assert "config.yaml:1: there is no such file" in done.out + done.err
    assert "Traceback" not in done.err


async def test_usage_errors_exit_2(tmp_path: Path) -> None:
    """An unknown command, and an unknown credential, are usage errors."""
    assert 2 == (await command("nonsense", cwd=tmp_path)).code
    (tmp_path / "config.yaml").write_text("credentials: {a: {provider: onecloud}}\n")
    done = await command("logout", "b", cwd=tmp_path)
    assert 2 == done.code
    assert "there is no credential of that name; there are: a" in done.err


async def test_schema(tmp_path: Path) -> None:
    """`schema` prints JSON Schema and needs no configuration."""
    done = await command("schema", cwd=tmp_path)
    assert 0 == done.code
    assert {"listen", "credentials", "routes", "providers"} <= set(json.loads(done.out)["properties"])


async def test_import_refresh_status_logout(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A credential's whole life by the command line, the store readable by its owner only."""
    bare_proxy.configure(sandbox_config(vendors))
    assert "never signed in" in (await bare_proxy.command("status")).out
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    assert 0o600 == stat.S_IMODE((bare_proxy.folder / "tokens.db").stat().st_mode)

    done = await bare_proxy.command("refresh", "onecloud")
    assert 0 == done.code, done.err
    assert "renewed onecloud: generation 2" in done.out

    told = json.loads((await bare_proxy.command("status", "--json")).out)["credentials"]
    one = next(entry for entry in told if entry["name"] == "onecloud")
    assert ("onecloud", "ok", 2) == (one["provider"], one["state"], one["generation"])

    assert 0 == (await bare_proxy.command("logout", "onecloud")).code
    assert "login required" in (await bare_proxy.command("status")).out
    done = await bare_proxy.command("refresh", "onecloud")
    assert 1 == done.code
    assert "it was logged out" in done.err


async def test_refresh_that_is_refused(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A refused refresh exits 1 and says why; asked again by hand, it is sent again."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    control = Control(vendors, "onecloud")
    await control.revoke()
    for count in (1, 2):
        done = await bare_proxy.command("refresh", "onecloud")
        assert 1 == done.code
        assert "the vendor refused the refresh token (invalid_grant)" in done.err
        assert count == (await control.state())["exchanges"]


@pytest.mark.parametrize("text", ["", "hello world", '{"error": "invalid_grant"}', '{"access_token": "a b"}', "{"])
async def test_import_of_something_else(bare_proxy: Proxy, vendors: Sandbox, text: str) -> None:
    """What holds no token is refused in one sentence, and the old tokens stay."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    done = await bare_proxy.command("import", "onecloud", stdin=text)
    assert 1 == done.code
    assert 1 == len(done.err.splitlines())
    assert '"generation": 1' in (await bare_proxy.command("status", "--json")).out


async def test_a_foreign_store(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A file that is not ours is left as it is: exit 1."""
    bare_proxy.configure(sandbox_config(vendors))
    store = bare_proxy.folder / "tokens.db"
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = store.read_bytes()
    for what in ("serve", "status"):
        done = await bare_proxy.command(what)
        assert 1 == done.code
        assert "is not a token store of bearer-proxy" in done.err
    assert before == store.read_bytes()


async def test_a_port_in_use(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """One sentence that names the address, exit 1."""
    bare_proxy.configure(sandbox_config(vendors))
    with socket.create_server(("127.0.0.1", bare_proxy.port)):
        done = await bare_proxy.command("serve")
    assert 1 == done.code
    assert f"cannot listen on 127.0.0.1:{bare_proxy.port}: the address is in use" in done.err
    assert "Traceback" not in done.err


async def test_a_lock_that_another_process_holds(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """`refresh` waits for a bounded time, sends nothing, and says who has to let go."""
    bare_proxy.configure(sandbox_config(vendors) + "exchange_timeout: 0.1\n")
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    with (bare_proxy.folder / "tokens.db.onecloud.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = await bare_proxy.command("refresh", "onecloud")
    assert 1 == done.code
    assert 0 == (await Control(vendors, "onecloud").state())["exchanges"]
