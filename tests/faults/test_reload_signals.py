"""SIGHUP at odd times: before serve is up, while it ends, and where the terminal goes away that it was started from."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence

import pytest

from proxy.sandbox import Sandbox
from tests.e2e.test_reload import TAKEN, changed, reloaded
from tests.faults.test_ends import CHAINS, get
from tests.support.beside import until
from tests.support.processes import Proxy, environment, sandbox_config
from tests.support.vendor import Control


async def test_signal_before_serve_is_up(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """It does not end what is still reading its configuration, and is heeded as soon as that runs."""
    bare_proxy.configure(sandbox_config(vendors))
    config = bare_proxy.folder / "config.yaml"
    text = config.read_text()
    config.unlink()
    os.mkfifo(config)
    with (bare_proxy.folder / "serve.log").open("ab") as log:
        command = [sys.executable, "-m", "proxy", "serve"]
        bare_proxy.process = subprocess.Popen(command, cwd=bare_proxy.folder, env=environment(), stdout=log, stderr=log)
    with await asyncio.to_thread(config.open, "w") as stream:  # serve has opened it to read
        bare_proxy.process.send_signal(signal.SIGHUP)
        stream.write(text)
    await until(lambda: "not taken over" in bare_proxy.log, "the answer to the signal")  # a pipe is read once only
    assert "this is no regular file" in bare_proxy.log
    config.unlink()
    config.write_text(text)
    await reloaded(bare_proxy)


async def test_signals_while_it_ends(proxy: Proxy, vendors: Sandbox) -> None:
    """They change nothing: the exchange under way is saved, and the end is in order."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(get(proxy.url + CHAINS))
    await control.wait("stalled", 1)
    process = proxy.process
    assert process is not None
    process.send_signal(signal.SIGHUP)
    ended = asyncio.create_task(proxy.stop())
    await until(lambda: "stopping:" in proxy.log, "the beginning of the end")
    read = proxy.log.count(TAKEN)
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    await control.release()
    assert (200, 0) == ((await waiting)[0], await ended)
    assert read == proxy.log.count(TAKEN)
    assert '"generation": 2' in (await proxy.command("status", "--json")).out


@contextlib.asynccontextmanager
async def at_terminal(proxy: Proxy, program: Sequence[str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run serve, its log in a file, as the leader of a terminal's session; give it and our end of the terminal."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    with (proxy.folder / "serve.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *program,
            sys.executable,
            "-m",
            "proxy",
            "serve",
            cwd=proxy.folder,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(name, os.O_RDWR)),  # makes it the controlling terminal
        )
    os.close(theirs)
    try:
        await until(lambda: "control plane on" in proxy.log or process.returncode is not None, "that it is up")
        yield process, ours
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_terminal_that_goes_away(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A signal reloads while the terminal is there; when it goes away, serve ends in order."""
    bare_proxy.configure(sandbox_config(vendors))
    async with at_terminal(bare_proxy, ()) as (process, ours):
        process.send_signal(signal.SIGHUP)
        await until(lambda: TAKEN in bare_proxy.log, "a reload")
        os.close(ours)
        assert 0 == await asyncio.wait_for(process.wait(), 20)
    assert (1, True) == (bare_proxy.log.count(TAKEN), "stopping:" in bare_proxy.log)


async def test_nohup(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Serve outlives its terminal, as was asked for, and still heeds the signal."""
    bare_proxy.configure(sandbox_config(vendors))
    async with at_terminal(bare_proxy, ("nohup",)) as (process, ours):
        os.close(ours)
        await until(lambda: bare_proxy.log.count(TAKEN) == 1, "the terminal's own signal")
        process.send_signal(signal.SIGHUP)
        await until(lambda: bare_proxy.log.count(TAKEN) == 2, "another")
        process.terminate()
        assert 0 == await asyncio.wait_for(process.wait(), 20)


@pytest.mark.parametrize("times", [1, 5])
async def test_signals_in_a_session_without_terminal(bare_proxy: Proxy, vendors: Sandbox, times: int) -> None:
    """As a service has none, they reload, each time anew."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.start()
    for number in range(times):
        changed(bare_proxy, hosts=[f"name{number}"])
        await reloaded(bare_proxy)
    assert times == bare_proxy.log.count(TAKEN)
