"""Processes that are measured: started on a processor of their own, their cost read from /proc (proc(5)), ended by pid.

Each is started as the leader of a session, so that all its descendants can be told, and a Ctrl-C reaches only us.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN = 20.0  # seconds
END_WITHIN = 10.0
FILES = 65536  # what is asked for; the system may allow less
_STATE, _PARENT, _SESSION, _USER, _SYSTEM = 0, 1, 3, 11, 12  # where they are in what `_stat` gives
_TICKS = os.sysconf("SC_CLK_TCK")
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not in everybody's PATH, and nginx and haproxy are there


class NotReadyError(Exception):
    """A program did not start or did not answer."""


@dataclass(frozen=True, slots=True)
class Processors:
    """Which processor the proxy has, and which all the rest."""

    proxy: int
    rest: int

    @classmethod
    def found(cls) -> Processors:
        """Take the first two that this process may use; where there is one only, it is shared."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[min(1, len(usable) - 1)])


def program(name: str) -> str:
    """Path of a program, empty where there is none. What is installed beside this Python goes first."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), *_SYSTEM_FOLDERS]
    return shutil.which(name, path=os.pathsep.join(folders)) or ""


def allow_files() -> int:
    """Raise the limit of open files, for us and what we start; give what it is then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for soft, top in ((max(FILES, hard), max(FILES, hard)), (hard, hard)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, top))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Started:
    """A running program and its descendants."""

    def __init__(
        self, command: Sequence[str], log: Path, processor: int, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as out, on(processor):
            self._process = subprocess.Popen(
                command,
                cwd=log.parent,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait_until_ready(self, port: int, path: str, wanted: int = 200) -> None:
        """Wait until it answers with the wanted status, or raise `NotReadyError`."""
        end = time.monotonic() + READY_WITHIN
        answer = "nothing"
        while time.monotonic() < end and self._process.poll() is None:
            try:
                answer = str(status(port, path))
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if answer == str(wanted):
                return
            time.sleep(0.05)
        raise NotReadyError(f"it answers {answer}; its log ends: {self._end_of_log()}")

    def processor_seconds(self) -> float:
        """User and system time of all its processes since they started."""
        fields = (_stat(pid) for pid in self._pids())
        return sum(int(field[_USER]) + int(field[_SYSTEM]) for field in fields if field) / _TICKS

    def resident_bytes(self) -> int:
        """Memory of all its processes that is in use (Rss of smaps_rollup, which counts exactly)."""
        return sum(_rss(pid) for pid in self._pids())

    def stop(self) -> None:
        """End it: asked first, then killed, with whatever it has left behind."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_WITHIN)
        _kill(self._pids())
        self._process.wait(END_WITHIN)

    def _pids(self) -> list[int]:
        return _session(self._process.pid)

    def _end_of_log(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "(empty)"


def status(port: int, path: str) -> int:
    """Status with which a local server answers a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """End at last what was started and is not known, because an interrupt came in the very moment of its start."""
    try:
        yield
    finally:
        us = str(os.getpid())
        for pid in _all():
            fields = _stat(pid)
            if fields and fields[_PARENT] == us and fields[_SESSION] == str(pid):
                _kill(_session(pid))
                os.waitpid(pid, 0)


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _session(leader: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = ((pid, _stat(pid)) for pid in _all())
    return [pid for pid, fields in found if fields and fields[_SESSION] == str(leader) and fields[_STATE] != "Z"]


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third (state) on; none where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _rss(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def on(processor: int) -> Iterator[None]:
    """Let what is started meanwhile run on one processor only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
