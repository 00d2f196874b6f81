"""What nobody foresaw, in words that hold all secrets: only its kind and its place are told."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.control.endpoints import CredentialFigures
from proxy.credentials.core import CredentialCore
from proxy.credentials.exchange import TokenEndpoint
from proxy.credentials.keeper import Keeper
from proxy.credentials.orglist import OrgsEndpoint
from proxy.credentials.store import Store
from proxy.gateway.transport.sender import UpstreamSender
from proxy.metrics import Metrics
from proxy.signin.attempts import SignIn
from tests.support.processes import environment

from .conftest import REJECTED, Inside, Run, reply

PLACES: dict[str, tuple[type, str]] = {
    "token": (Keeper, "current"),
    "renewal": (Keeper, "replace"),
    "sending": (UpstreamSender, "__call__"),
    "exchange": (TokenEndpoint, "__call__"),
    "reading the store": (Store, "read"),
    "writing the store": (Store, "write"),
    "listing organizations": (OrgsEndpoint, "__call__"),
    "page": (CredentialCore, "health"),
    "figures": (CredentialFigures, "collect"),
    "count": (Metrics, "collect"),
    "sign-in": (SignIn, "returned"),
    "begin": (SignIn, "under_way"),
}
SESSION = f"Cookie: bearer_proxy_session={'s' * 43}"
PATHS = ("/", "/login/t", "/metrics", "/api/credentials", "/readyz", "/callback?code=a&state=b")


async def everything(proxy: Inside) -> None:
    """Ask for all there is, whatever comes of it."""
    secret = proxy.canaries["query"]
    for target in ("/t/api", "/o/x"):
        await proxy.call(f"GET {target}?a={secret}", f"Cookie: a={secret}")
    for path in PATHS:
        await proxy.ask(f"GET {path}", SESSION, f"X-Secret: {secret}", "Accept: text/html")
    await proxy.ask("POST /callback", body=f"code={secret}&state={secret}")


@pytest.mark.parametrize("debug", [False, True], ids=["as ever", "asyncio debug"])
@pytest.mark.parametrize("place", PLACES)
async def test_place(run: Run, canaries, monkeypatch, place, debug):
    """An accident in the midst of a request, an exchange, a page, the store: a 500, and a line without its words."""
    asyncio.get_running_loop().set_debug(debug)
    assert canaries["query"]

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError(canaries.echo())

    async with run(log_format="json" if debug else "text") as proxy:
        proxy.vendor.answers = {"/api": REJECTED, "/token": reply("503 No")}
        monkeypatch.setattr(*PLACES[place], fail)
        await everything(proxy)
        monkeypatch.undo()
        logged, answers = proxy.log, "\n".join(proxy.answers)
    assert "ValueError" in logged
    assert "Traceback" not in logged + answers
    assert "ValueError" not in answers
    assert [] == proxy.leaks()


@pytest.mark.parametrize("path", PATHS[:4])
async def test_page(run: Run, monkeypatch, path):
    """A page that fails says 500, and the log where."""

    def fail(*_: Any) -> None:
        raise ValueError

    async with run() as proxy:
        monkeypatch.setattr(CredentialCore, "health", fail)
        monkeypatch.setattr(SignIn, "under_way", fail)
        answer = await proxy.ask(f"GET {path}", SESSION)
        monkeypatch.undo()
        assert answer.startswith("HTTP/1.1 500 ")
        assert "ValueError" in proxy.log


async def test_event_loop(run: Run, canaries):
    """What asyncio itself complains of is told without its words: callbacks, tasks that nobody awaits, futures."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0

    def fail(*_: Any) -> None:
        raise ValueError(canaries.echo())

    async def fail_later() -> None:
        fail()

    async with run() as proxy:
        loop.call_soon(fail, canaries.echo())
        loop.call_exception_handler({"message": canaries.echo(), "exception": ValueError(canaries.echo())})
        lost = loop.create_task(fail_later(), name=canaries.echo())
        while not lost.done():
            await asyncio.sleep(0)
        del lost
        gc.collect()
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        future.add_done_callback(fail)
        future.set_result(None)
        await proxy.call()
        assert 3 < proxy.log.count("ValueError")
    loop.set_debug(False)
    assert [] == proxy.leaks()


ACCIDENTS = {
    "command": "report.read_health = fail\ncli.main(['status'])",
    "thread": "start()\nthread = threading.Thread(target=fail)\nthread.start()\nthread.join()",
    "end of an object": "start()\nclass Odd:\n    __del__ = fail\nOdd()",
    "log line": "start()\nlogging.getLogger('bearer_proxy').error('%d', SECRET)",
    "future": "start()\nf = concurrent.futures.Future()\nf.add_done_callback(fail)\nf.set_result(1)",
    "cause": "start()\ntry:\n    fail()\nexcept ValueError as error:\n    raise RuntimeError(SECRET) from error",
    "group": "start()\nraise ExceptionGroup(SECRET, [ValueError(SECRET)])",
    "crash": "start()\nfaulthandler.dump_traceback()\nos.abort()",
}
KINDS = {"log line": "TypeError", "cause": "RuntimeError", "group": "ExceptionGroup", "crash": "Fatal Python error"}
BEFORE = """
import concurrent.futures, faulthandler, logging, os, sys, threading
from proxy import cli
from proxy.cli import report
SECRET = os.environ["SECRET"]

def fail(*_):
    local = SECRET
    raise ValueError(local)

def start():
    cli.main(["check"])

"""


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_command(tmp_path, canaries, accident):
    """Nor is it told where nobody stands between an accident and the terminal."""
    (tmp_path / "config.yaml").write_text("listen: 127.0.0.1:8080\n")
    (tmp_path / "script.py").write_text(BEFORE + ACCIDENTS[accident])
    done = ran(tmp_path, canaries["secret"])
    told = done.stdout + done.stderr
    assert "script.py" in told, told
    assert KINDS.get(accident, "ValueError") in told
    assert [] == canaries.found(told)


def ran(folder: Path, secret: str) -> subprocess.CompletedProcess[str]:
    """Run script.py to its end, as Python runs the commands; a crash is told too."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "script.py"],
        cwd=folder,
        env=environment({"SECRET": secret}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_hooks_are_the_commands_own():
    """Whoever imports our modules keeps the hooks that there were."""
    hooks: list[Callable[..., Any]] = [sys.excepthook, sys.unraisablehook, threading.excepthook]
    assert [] == [hook for hook in hooks if hook.__module__.startswith("proxy")]
