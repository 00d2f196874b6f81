"""`demo` and `sandbox` as a newcomer uses them: what they print is pasted, and does what is said beside it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.sandbox import VENDORS
from tests.conftest import need
from tests.support.beside import running as running_on
from tests.support.person import person
from tests.support.processes import Proxy, command, environment, free_port


class Running:
    """A command that runs until it is told to stop, and all that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    async def until(self, text: str) -> str:
        """Read on until `text` was printed; give all that was printed."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while text not in self.printed:
                line = await self._process.stdout.readline()
                assert line, self.printed
                self.printed += line.decode()
        return self.printed

    async def interrupt(self) -> int:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(self._process.communicate(), 20)
        self.printed += out.decode()
        return self._process.returncode or 0


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    """Start a command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        cwd=folder,
        env=environment({"PYTHONUNBUFFERED": "1"}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def ports(*names: str) -> list[str]:
    """Options that put a command on free ports."""
    return [word for name in names for word in (f"--{name}", str(free_port()))]


SANDBOX_PORTS = ("readycloud-port", "cloud66-port", "onecloud-port", "control-port")


async def paste(line: str) -> str:
    """Run a printed curl line, as pasted, and give what it printed."""
    need("curl")
    process = await asyncio.create_subprocess_shell(
        line.replace("curl ", "curl -sS --max-time 10 ", 1), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert 0 == process.returncode, line
    return out.decode()


async def test_demo(tmp_path: Path) -> None:
    """Every printed line works in its order, the page too; one can sign in anew, and Ctrl-C ends it with 0."""
    options = ports("port", "admin-port", *SANDBOX_PORTS)
    async with running(tmp_path, "demo", "--lifetime", "600", *options) as demo:
        printed = await demo.until("Ctrl-C")
        orgs, stacks, chains, expire, again, expire_66, stacks_again = re.findall(r"curl .*", printed)
        assert 1 == json.loads(await paste(orgs))["count"]
        assert json.loads(await paste(stacks))["response"]
        assert json.loads(await paste(chains))["data"]
        await paste(expire)
        assert "200 OK" in await paste(again)
        assert "replayed=True" in await demo.until("replayed=True")
        await paste(expire_66)
        refused = await paste(stacks_again)
        assert "401 Unauthorized" in refused
        assert "login required for cloud66" in refused
        (page,) = re.findall(r"^  (http://127\.0\.0\.1:\d+/)$", printed, re.MULTILINE)
        async with person() as visitor:
            assert set(VENDORS) == set(re.findall(r'href="/login/(\w+)"', await visitor.open(page)))
            for name in ("readycloud", "cloud66"):
                await visitor.press(f"{page}login/{name}", f"/login/{name}")
                assert f"Signed in to {name}" in await visitor.come_back(await visitor.decide(visitor.location))
        assert json.loads(await paste(stacks))["response"], "the sign-in mended it"
        assert 0 == await demo.interrupt()
    assert "Traceback" not in demo.printed
    assert [] == list(tmp_path.iterdir())


async def test_demo_renews_ahead_of_time(tmp_path: Path) -> None:
    """Its short-lived tokens are renewed while nobody calls."""
    options = ports("port", "admin-port", *SANDBOX_PORTS)
    async with running(tmp_path, "demo", "--lifetime", "1", *options) as demo:
        await demo.until("exchange for onecloud: granted credential=onecloud outcome=granted generation=3")
        assert 0 == await demo.interrupt()


async def test_sandbox(tmp_path: Path) -> None:
    """It prints where the vendors are and how one signs in, or has tokens without that."""
    async with running(tmp_path, "sandbox", *ports(*SANDBOX_PORTS)) as sandbox:
        printed = await sandbox.until("Ctrl-C")
        grant, expire = re.findall(r"curl .*", printed)
        tokens = await paste(grant.partition("|")[0])
        assert {"access_token", "refresh_token"} <= set(json.loads(tokens))
        (tmp_path / "config.yaml").write_text(printed.partition("them:\n")[2].partition("\nSign in")[0])
        assert 0 == (await command("import", "readycloud", stdin=tokens, cwd=tmp_path)).code
        done = await command("refresh", "readycloud", cwd=tmp_path)
        assert "renewed readycloud: generation 2" in done.out, done.err
        assert "" == await paste(expire)
        (login,) = re.findall(r"bearer-proxy (login \w+)$", printed, re.MULTILINE)
        proxy = Proxy(tmp_path)
        async with running_on(proxy, *login.split(), "--no-browser", "--paste") as signing_in, person() as visitor:
            signing_in.type(await visitor.decide(await signing_in.url()) + "\n")
            assert 0 == (await signing_in.done()).code, signing_in.err
        assert 0 == await sandbox.interrupt()


@pytest.mark.parametrize("what", ["demo", "sandbox"])
async def test_a_port_in_use(tmp_path: Path, what: str) -> None:
    """One sentence, exit 1."""
    port = str(free_port())
    options = [word for name in SANDBOX_PORTS for word in (f"--{name}", port)]
    done = await command(what, *options, cwd=tmp_path)
    assert (1, 1) == (done.code, len(done.err.splitlines()))
    assert f"cannot listen on port {port}: it is in use" in done.err
