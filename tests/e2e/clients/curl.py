"""curl, and what it tells of each transfer in its own words (`--write-out '%{json}'`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.clients.programs import WITHIN, run


@dataclass(frozen=True)
class Curled:
    """How curl ended, what it wrote, and its report on each transfer in order."""

    code: int
    out: bytes
    transfers: list[dict[str, Any]]

    @property
    def status(self) -> int:
        """The status of the last transfer."""
        return int(self.transfers[-1]["http_code"])


def curl(cwd: Path, *arguments: str, stdin: bytes = b"") -> Curled:
    """Run curl in a folder, with the same report after each `--next` too."""
    common = ["-sS", "--max-time", str(int(WITHIN) - 2), "-w", "%{stderr}\n%{json}\n"]
    again = [text for one in arguments for text in ((one, *common) if one == "--next" else (one,))]
    done = run(["curl", *common, *again], cwd, stdin=stdin)
    lines = [line for line in done.err.splitlines() if line.startswith("{")]
    return Curled(done.code, done.out, [json.loads(line) for line in lines])
