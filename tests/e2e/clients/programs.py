"""Programs of others, run as their users run them: with no settings of this machine, and never for ever."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

WITHIN = 20.0  # seconds that any of them may take


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


def program(name: str) -> str:
    """The path of a program, wherever servers are kept too; without it the test is skipped."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which no proxy is set and no settings of a user are found."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    alone = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    return {**kept, **alone, **(extra or {})}


def run(
    arguments: Sequence[str | Path], cwd: Path, *, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end in the folder `cwd`, which is its home too."""
    done = subprocess.run(
        [program(str(arguments[0])), *map(str, arguments[1:])],
        cwd=cwd,
        env=environment(cwd, env),
        input=stdin,
        capture_output=True,
        timeout=WITHIN,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
