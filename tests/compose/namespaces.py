"""Containers as an engine makes them: network namespaces on a bridge, and a read-only root of their own.

Made with util-linux and iproute2, by root, or by anybody where users may make namespaces of their own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import ROOT

_PROGRAMS = "ip", "unshare", "nsenter", "setpriv", "mount", "pivot_root"
_SYSTEM = "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"
_ROOT = os.geteuid() == 0
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_PATIENCE = 30  # seconds
_SOMEBODY = 10001  # not root


class Namespace:
    """A network of its own, held open by a process that waits, and the namespace of users that owns it."""

    def __init__(self, owner: Namespace | None = None) -> None:
        unshare = ["unshare", "--net"] if _ROOT or owner else ["unshare", "--net", "--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            [*(owner.enter(net=False) if owner else []), *unshare, "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_PATH,
        )
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            self.close()
            raise OSError("no namespace can be made")

    @property
    def pid(self) -> int:
        """The process that holds it."""
        return self._holder.pid

    def enter(self, *, net: bool = True) -> list[str]:
        """The beginning of a command line that runs in it."""
        user = [] if _ROOT else ["--user", "--preserve-credentials"]
        kinds = [*(["--net"] if net else []), *user]
        return ["nsenter", f"--target={self.pid}", *kinds] if kinds else []

    def ip(self, *commands: str) -> None:
        """Run commands of iproute2 in it."""
        for command in commands:
            subprocess.run([*self.enter(), "ip", *command.split()], env=_PATH, check=True, capture_output=True)

    def close(self) -> None:
        """Let it go."""
        self._holder.kill()
        self._holder.communicate()


@dataclass(frozen=True)
class Inside:
    """What is in a container: its mounts, and what is executed there as whom.

    `files` and `folders` lead from a path inside to one outside; folders can be written to.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(_PATH))
    files: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    tmpfs: Sequence[str] = ()
    user: int = 65534
    workdir: str = "/"

    def command(self, place: Namespace, root: Path, arguments: Sequence[str]) -> list[str]:
        """The command line that executes `arguments` as the first process of a container in `place`."""
        root.mkdir()
        pairs = [f"{name}={value}" for name, value in self.environment.items()]
        drop = ["setpriv", "--inh-caps=-all", "--no-new-privs"]
        if _ROOT:
            drop += ["--bounding-set=-all", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        else:
            drop = ["unshare", f"--map-user={self.user}", f"--map-group={self.user}", *drop]
        into = [*drop, "env", f"--chdir={self.workdir}", "-i", *pairs, *arguments]
        script = "\n".join(["set -eu", *self._mounts(root), f"exec {shlex.join(into)}"])
        new = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script]
        return [*place.enter(), *new]

    def _mounts(self, root: Path) -> Iterable[str]:
        """The shell's lines that build the root."""
        yield from ("mount --make-rprivate /", f"mount -t tmpfs -o mode=755 root {_quoted(root)}")
        for name in _SYSTEM:
            if Path(name).is_symlink():
                yield f"ln -s {_quoted(Path(name).readlink())} {_quoted(root, name)}"
            elif Path(name).exists():
                yield from _bound(root, name, Path(name))
        for code in _outermost({Path(sys.prefix), Path(sys.base_prefix), ROOT}):
            yield from _bound(root, str(code), code)
        yield from _bound(root, "/proc", Path("/proc"), write=True)
        yield from _bound(root, "/dev", Path("/dev"), write=True)
        for mount in self.tmpfs:
            path, _, options = mount.partition(":")
            if not _ROOT:  # whoever is root in our namespace of users becomes that user in the end
                options = options.replace(f"uid={self.user}", "uid=0")
            yield f"mkdir -p {_quoted(root, path)}"
            yield f"mount -t tmpfs -o {shlex.quote(options or 'mode=1777')} tmpfs {_quoted(root, path)}"
        for path, there in self.folders.items():
            yield from _bound(root, path, there, write=True)
        for path, there in self.files.items():
            yield f"mkdir -p {_quoted(root, os.path.dirname(path))}"  # noqa: PTH120 - a path inside
            yield f"touch {_quoted(root, path)}"
            yield f"mount --bind {_quoted(there)} {_quoted(root, path)}"
        # Not chroot: in one, no namespace of users can be made, as `drop` has to.
        yield f"mkdir {_quoted(root, '/old')}; cd {_quoted(root)}"
        yield from ("pivot_root . old", "umount -l /old", "rmdir /old", "mount -o remount,ro,bind /")


class Container:
    """A process that runs as the first one of a container."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        with log.open("wb") as out:
            self._engine = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=_PATH, start_new_session=True
            )

    @property
    def first(self) -> int:
        """Its process id outside."""
        children = Path(f"/proc/{self._engine.pid}/task/{self._engine.pid}/children").read_text().split()
        assert children, "it has ended"
        return int(children[0])

    def end(self, number: signal.Signals) -> int:
        """Send a signal to its first process, and give the exit code."""
        os.kill(self.first, number)
        return self._engine.wait(_PATIENCE)

    def close(self) -> None:
        """End all that is left of it."""
        if self._engine.poll() is None:
            with contextlib.suppress(OSError, AssertionError):
                os.kill(self.first, signal.SIGKILL)
            self._engine.wait(_PATIENCE)


def possible() -> bool:
    """Whether containers like these can be made here: one is made, joined to a bridge, and its user finds the code."""
    if any(shutil.which(program, path=_PATH["PATH"]) is None for program in _PROGRAMS):
        return False
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            host = Namespace()
            stack.callback(host.close)
            place = Namespace(host)
            stack.callback(place.close)
            host.ip("link add bridge type bridge", f"link add one type veth peer name other netns {place.pid}")
            inside = Inside({**_PATH, "PYTHONPATH": str(ROOT)}, {}, {}, (f"/etc/test:uid={_SOMEBODY}",), _SOMEBODY)
            imports = inside.command(place, folder / "root", [sys.executable, "-c", "import proxy, yaml"])
            subprocess.run(imports, env=_PATH, check=True, capture_output=True, timeout=_PATIENCE)
        except (OSError, subprocess.SubprocessError):
            return False
    return True


def _outermost(paths: set[Path]) -> list[Path]:
    """Of these paths those that are not inside another, or of the system."""
    others = [*paths, *map(Path, _SYSTEM)]
    return sorted(one for one in paths if not any(one != other and one.is_relative_to(other) for other in others))


def _bound(root: Path, path: str, there: Path, *, write: bool = False) -> Iterable[str]:
    yield f"mkdir -p {_quoted(root, path)}"
    yield f"mount --rbind {_quoted(there)} {_quoted(root, path)}"
    if not write:  # where a namespace of users may not say so, its root cannot write there anyway
        yield f"mount -o remount,ro,bind {_quoted(root, path)} 2>/dev/null || {'false' if _ROOT else 'true'}"


def _quoted(path: Path, inside: str = "") -> str:
    return shlex.quote(f"{path}{inside}")
