"""The command as a user runs it: short, for ours and nginx. Not timed: what a figure is, is not looked at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.benchmarks.cli import main
from tests.benchmarks.process import nothing_left, program
from tests.benchmarks.results import Results, digits
from tests.support.processes import ROOT

WITHIN = 90.0  # seconds, on a machine that is busy with other tests


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    for name in ("wrk", "nginx"):
        if not program(name):
            pytest.skip(f"{name} is not installed")


@asynccontextmanager
async def command(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it for a second's measurement, with its temporary files in `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks", "-d", "1", "--rounds", "1", *arguments),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()  # so that it ends what it has started
        await asyncio.wait_for(process.communicate(), WITHIN)


def left(folder: Path) -> list[str]:
    """Files in the folder, and processes that name it or stay in it."""
    found = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_text(errors="replace")
                if str(folder) in words or folder in (process / "cwd").readlink().parents:
                    found.append(words)
    return found


async def test_a_short_run(tmp_path: Path) -> None:
    """Table, JSON and plot have ours and nginx with a ratio, every answer was a 2xx, and nothing is left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    figures, chart = tmp_path / "figures.json", tmp_path / "chart.svg"
    arguments = ("--only", "get", "--peers", "ours,nginx", "--json", str(figures), "--plot", str(chart))
    async with command(temporary, *arguments) as process:
        out, err = await asyncio.wait_for(process.communicate(), WITHIN)
    found = json.loads(figures.read_text())
    assert ([], {}) == (found["faults"], found["left_out"])
    assert 0 == process.returncode, err.decode()
    (row,) = found["rows"]
    assert row["values"]["ours"] / row["values"]["nginx"] == row["ratios"]["ours"] > 0
    assert f"({digits(row['ratios']['ours'])})" in out.decode()
    assert {"ours", "nginx"} == set(found["columns"])
    assert chart.read_text().startswith("<svg ")
    assert [] == left(temporary)


async def test_the_workloads_of_our_own(tmp_path: Path) -> None:
    """Those that wrk does not drive give a figure above zero through nginx, and no fault."""
    figures = tmp_path / "figures.json"
    arguments = ("--only", "download,upload,sse,idle", "--peers", "nginx", "--json", str(figures))
    async with command(tmp_path, *arguments) as process:
        _, err = await asyncio.wait_for(process.communicate(), WITHIN)
    assert 0 == process.returncode, err.decode()
    rows = {row["key"]: row["values"]["nginx"] for row in json.loads(figures.read_text())["rows"]}
    assert {"download", "upload", "sse-p50", "sse-p99", "idle"} == {key for key, value in rows.items() if value > 0}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_end_that_is_asked_for(tmp_path: Path, number: signal.Signals) -> None:
    """It ends with 130, its processes are gone, and so is its folder."""
    async with command(tmp_path, "--peers", "nginx,ours") as process:
        assert process.stderr is not None
        for label in ("ours", "nginx"):
            assert f"started: {label}\n" == (await asyncio.wait_for(process.stderr.readline(), WITHIN)).decode()
        assert 3 <= len(left(tmp_path))
        process.send_signal(number)
        out, err = await asyncio.wait_for(process.communicate(), WITHIN)
    assert (130, b"") == (process.returncode, out)
    assert err.decode().endswith("interrupted\n")
    assert [] == left(tmp_path)


def test_a_process_that_nobody_knows() -> None:
    """It is ended with all that it has started, at the end of the run."""
    with nothing_left():
        words = ["sh", "-c", "sleep 600 & echo $!; wait"]
        lost = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert lost.stdout is not None
        ends = [os.pidfd_open(pid) for pid in (lost.pid, int(lost.stdout.readline()))]  # readable when it has ended
    assert [True, True] == [bool(select.select([end], [], [], 10)[0]) for end in ends]
    for end in ends:
        os.close(end)
    lost.stdout.close()
    lost.wait()


def test_no_wrk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It exits with 2 and names what is not there."""
    monkeypatch.setattr("tests.benchmarks.cli.program", lambda name: "" if name == "wrk" else name)
    assert 2 == main([])
    assert "nothing can be measured without wrk, not installed here\n" == capsys.readouterr().err


def test_a_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed below the table, and the exit code is 1."""
    results = Results({}, [], faults=["tls, ours: refused"])
    monkeypatch.setattr("tests.benchmarks.cli.run", lambda options: results)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    assert 1 == main([])
    assert "\nFault: tls, ours: refused.\n" in capsys.readouterr().out


def test_an_unknown_workload(capsys: pytest.CaptureFixture[str]) -> None:
    """It exits with 2 and says which there are."""
    with pytest.raises(SystemExit) as ended:
        main(["--only", "get,put"])
    assert 2 == ended.value.code
    assert "not known: put; there are get, post" in capsys.readouterr().err
