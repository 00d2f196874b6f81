"""A running process and what it leaves behind: arguments, files, crash; and what the commands beside it print."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from cryptography.fernet import Fernet

from proxy.sandbox import Sandbox
from tests.support.beside import running, script, until
from tests.support.canaries import Canaries
from tests.support.person import query_of
from tests.support.processes import Done, Proxy, command, sandbox_config
from tests.support.site import register

from .conftest import REJECTED, Vendor, reply

VARIABLES = {"ADMIN_KEY": "admin-key", "CLIENT_KEY": "client-key", "STORE_KEY": "store-key"}
COMMANDS = (
    ("check",),
    ("status",),
    ("status", "--json"),
    ("doctor", "--timeout", "3"),
    ("doctor", "--json", "--timeout", "3"),
    ("refresh", "t"),
)
SPOOLED = 200_000  # bytes of a body that does not stay in memory


class Seeded:
    """A proxy in a process of its own, seeded wherever a secret may be, and all that it and its commands have told."""

    def __init__(self, folder: Path, canaries: Canaries, vendor: Vendor, *, encrypts: bool) -> None:
        self.proxy = Proxy(folder)
        self.canaries = canaries
        self.vendor = vendor
        self.told: list[str] = []
        canaries.add("store-key", Fernet.generate_key().decode())
        self.env = {variable: canaries[name] for variable, name in VARIABLES.items()}
        for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
            self.env[variable] = f"http://me:{canaries['proxy-password']}@127.0.0.1:{vendor.port}"
        authority = trustme.CA()
        pem = authority.issue_cert("localhost")
        pem.private_key_and_cert_chain_pem.write_to_path(str(folder / "tls.pem"))
        canaries.add("tls-key", (folder / "tls.pem").read_text().splitlines()[1])
        (folder / "secret").write_text(canaries["client-secret"])
        settings = self._settings(encrypts=encrypts)
        self.proxy.configure("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))

    def _settings(self, *, encrypts: bool) -> dict[str, object]:
        url = f"http://127.0.0.1:{self.vendor.port}"
        provider = {"upstream": url, "token_url": f"{url}/token", "authorize_url": f"{url}/page"}
        return {
            "log_level": "debug",
            "log_format": "json" if encrypts else "text",
            "admin_key": "${ADMIN_KEY}",
            "clients": {"erp": {"key": ["${CLIENT_KEY}"]}},
            "store_key": "${STORE_KEY}" if encrypts else "",
            "ssl_certificate": "tls.pem",
            "renewal_guard": 0,
            "lingering_timeout": "100ms",
            "providers": {"v": provider},
            "credentials": {"t": {"provider": "v", "client_id": "id", "client_secret": "${file:secret}"}},
            "routes": [{"prefix": "/t", "credential": "t"}],
        }

    async def run(self, *arguments: str, stdin: str = "") -> Done:
        """Run a command, and keep what it prints."""
        done = await command(*arguments, stdin=stdin, cwd=self.proxy.folder, env=self.env)
        self.told.append(done.out + done.err)
        return done

    def files(self) -> dict[str, list[str]]:
        """The secrets that files hold which the proxy has made, by name."""
        given = ("config.yaml", "tls.pem", "secret")
        paths = [path for path in self.proxy.folder.rglob("*") if path.is_file() and path.name not in given]
        found = {path.name: self.canaries.found(path.read_bytes()) for path in paths}
        return {name: leaks for name, leaks in found.items() if leaks}


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor that rejects, and refuses in words that tell all."""
    vendor = Vendor()
    await vendor.start()
    yield vendor
    await vendor.stop()


@pytest.fixture
def cores() -> Iterator[None]:
    """Core files as large as may be."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.parametrize("encrypts", [True, False], ids=["encrypted", "in clear"])
async def test_whole_life(tmp_path, canaries, vendor, encrypts):
    """Import, serving, a body on disk, commands beside it: tokens are in the store only, with a store_key nowhere."""
    seeded = Seeded(tmp_path, canaries, vendor, encrypts=encrypts)
    proxy = seeded.proxy
    tokens = {key: canaries[key] for key in ("access_token", "refresh_token")}
    assert 0 == (await seeded.run("import", "t", stdin=json.dumps(tokens))).code
    assert 1 == (await seeded.run("import", "t", stdin=f"{canaries['pasted']} b")).code
    refusal = f'{{"error": "{canaries.echo()}", "error_description": "{canaries.echo()}"}}'
    vendor.answers = {"/api": REJECTED, "/token": reply("400 No", body=refusal), "/stalls": b""}
    await proxy.start(seeded.env)
    assert proxy.process is not None
    key = {"Authorization": f"Bearer {canaries['client-key']}", "Cookie": f"a={canaries['cookie']}"}
    async with (
        aiohttp.ClientSession(headers=key) as session,
        session.get(f"{proxy.url}/t/api?a={canaries['query']}") as got,
    ):
        seeded.told.append(f"{got.headers} {await got.text()}")
    body = (canaries["body"] * SPOOLED)[:SPOOLED]
    async with aiohttp.ClientSession(headers=key) as session:
        posted = asyncio.create_task(session.post(f"{proxy.url}/t/stalls", data=body))
        await vendor.asked(3)
        while_it_runs = seeded.files()
        assert proxy.process.pid
        for name in ("cmdline", "comm", "limits", "status"):
            seeded.told.append(Path(f"/proc/{proxy.process.pid}/{name}").read_text())
        commands = await asyncio.gather(*(seeded.run(*one) for one in COMMANDS))
        if encrypts:
            assert 0 == (await seeded.run("store", "rekey")).code
        posted.cancel()
        await asyncio.gather(posted, return_exceptions=True)
    assert [0, 0, 0] == [done.code for done in commands[:3]]
    assert 0 == await proxy.stop()
    told = "\n".join(seeded.told)
    assert [] == canaries.found(told + proxy.log)
    assert "exchange for t: refused" in proxy.log
    kept = {} if encrypts else {"tokens.db"}
    assert set(kept) == {name.removesuffix("-wal").removesuffix("-shm") for name in while_it_runs | seeded.files()}


async def test_crash(tmp_path, canaries, vendor, cores):
    """A crash in the midst of a request leaves no core file, and tells where it was without any value."""
    seeded = Seeded(tmp_path, canaries, vendor, encrypts=True)
    vendor.answers = {"/api": b""}
    tokens = {key: canaries[key] for key in ("access_token", "refresh_token")}
    await seeded.run("import", "t", stdin=json.dumps(tokens))
    await seeded.proxy.start({**seeded.env, "PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1"})
    process = seeded.proxy.process
    assert process is not None
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] in ("0", "1")
    key = {"Authorization": f"Bearer {canaries['client-key']}"}
    async with aiohttp.ClientSession(headers=key) as session:
        called = asyncio.create_task(session.get(f"{seeded.proxy.url}/t/api?a={canaries['query']}"))
        await vendor.asked(1)
        process.send_signal(signal.SIGABRT)
        assert -signal.SIGABRT == await asyncio.to_thread(process.wait, 30)
        await asyncio.gather(called, return_exceptions=True)
    assert "Fatal Python error: Aborted" in seeded.proxy.log
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith("core")]
    assert {} == seeded.files()


@pytest.mark.parametrize("what", ["check", "serve", "status", "doctor"])
async def test_configuration_that_is_refused(tmp_path, canaries, what):
    """No command shows a secret of a configuration that cannot be used."""
    secret, more = canaries["password"], canaries["key-of-a-mistake"]
    text = {
        "admin_key": [more],
        "clients": {"erp": {"kye": more}},
        "store_key": more,
        "providers": {"v": {"upstream": f"https://me:{secret}@x.example", "token_url": f"https://:{secret}@x.example"}},
        "credentials": {"t": {"provider": "v", "client_secret": {more: more}, "access_token": more}},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(text))
    done = await command(what, cwd=tmp_path)
    assert 2 == done.code
    assert "config.yaml:1: " in done.out + done.err
    assert [] == canaries.found(done.out + done.err)


async def test_browser_of_a_sign_in(bare_proxy: Proxy, vendors: Sandbox, canaries):
    """The browser that `login` starts gets no variable that holds a secret of the configuration."""
    seen = bare_proxy.folder / "seen"
    env = {
        "BROWSER": script(bare_proxy.folder / "browser", f"env > {seen}.part && mv {seen}.part {seen}"),
        "CLIENT_SECRET": canaries["client-secret"],
        "ADMIN_KEY": canaries["admin-key"],
        "HARMLESS": "passed on",
    }
    text = sandbox_config(vendors, "admin_key: ${ADMIN_KEY}").replace("sandbox-secret", "${CLIENT_SECRET}")
    bare_proxy.configure(text)
    await register(vendors, bare_proxy)
    async with running(bare_proxy, "login", "cloud66", env=env) as login:
        address = await login.url()
        canaries.add("state", query_of(address)["state"])
        await until(seen.exists, "the browser's environment")
    environment = seen.read_text()
    assert "HARMLESS=passed on" in environment
    assert "PATH=" in environment
    assert [] == canaries.found(environment)
