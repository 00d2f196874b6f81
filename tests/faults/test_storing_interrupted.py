"""`import` and `login` that end before their tokens are stored store all of them, or nothing."""

from __future__ import annotations

import asyncio
import fcntl
import json
import signal
import sys
import termios
from pathlib import Path

import pytest

from proxy.sandbox import Sandbox
from tests.support.beside import running
from tests.support.person import fragment_of, person
from tests.support.processes import Proxy
from tests.support.site import stored

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize("number", SIGNALS)
async def test_import_before_its_input_has_ended(signing: Proxy, vendors: Sandbox, number: signal.Signals) -> None:
    """Half of a token answer is nothing: the old tokens stand."""
    await signing.bring_tokens("onecloud", vendors.grant("onecloud"))
    before = stored(signing, "onecloud")
    text = json.dumps(vendors.grant("onecloud"))
    async with running(signing, "import", "onecloud") as command:
        command.type(text[: len(text) // 2])
        async with asyncio.timeout(10):
            while "wait" not in await asyncio.to_thread(_waiting, command.process.pid):
                await asyncio.sleep(0.01)
        command.process.send_signal(number)
        done = await command.done(5)
    assert 0 != done.code
    assert "Traceback" not in done.err
    assert before == stored(signing, "onecloud")


def _waiting(pid: int) -> str:
    """`waiting` if the process is asleep in a read of its standard input."""
    try:
        number, descriptor = Path(f"/proc/{pid}/syscall").read_text().split()[:2]
    except (OSError, ValueError):
        return ""
    return "waiting" if (number, descriptor) == ("0", "0x0") else ""


@pytest.mark.parametrize(
    ("number", "command"),
    [(signal.SIGTERM, "import"), (signal.SIGKILL, "import"), (signal.SIGINT, "login"), (signal.SIGKILL, "login")],
)
async def test_while_another_process_holds_the_lock(
    signing: Proxy, vendors: Sandbox, number: signal.Signals, command: str
) -> None:
    """Told to end, it waits for the lock and stores whole; killed, it has stored nothing."""
    name = "onecloud" if command == "import" else "readycloud"
    await signing.bring_tokens(name, vendors.grant(name))
    before = stored(signing, name)
    arguments = () if command == "import" else ("--no-browser", "--paste")
    with (signing.folder / f"tokens.db.{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with running(signing, command, name, *arguments) as run:
            if command == "import":
                tokens = {key: str(value) for key, value in vendors.grant(name).items()}
                run.type(json.dumps(tokens) + "\n")
                assert run.process.stdin is not None
                run.process.stdin.close()
            else:
                async with person() as visitor:
                    address = await visitor.decide(await run.url())
                tokens = fragment_of(address)
                run.type(address + "\n")
            async with asyncio.timeout(10):
                while not _has_open(run.process.pid, "tokens.db") or _unread(run.process.pid):
                    await asyncio.sleep(0.01)
            run.process.send_signal(number)
            if number is signal.SIGKILL:
                assert -number == (await run.done(5)).code
                assert before == stored(signing, name)
                return
            if command == "import":
                async with asyncio.timeout(10):
                    while "ending as soon as the tokens are safe" not in run.err:
                        await asyncio.sleep(0.01)
            assert before == stored(signing, name)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert 0 == (await run.done()).code, run.err
    assert (before[0] + 1, tokens["access_token"], tokens["refresh_token"]) == stored(signing, name)


def _has_open(pid: int, ending: str) -> bool:
    """Whether the process has a file open whose name ends so."""
    try:
        return any(str(one.readlink()).endswith(ending) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _unread(pid: int) -> int:
    """How many bytes the process has not yet taken from its standard input."""
    with open(f"/proc/{pid}/fd/0", "rb", buffering=0) as pipe:  # noqa: PTH123 - a file of the system's
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
