"""Load from wrk, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass

from .process import program
from .site import SETTINGS, TOKEN

CONNECTIONS = 32
END_WITHIN = 30.0  # seconds beyond those of the load


class LoadError(Exception):
    """Wrk gave no result."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests answered, of them `refused` (400 and above), connections `broken`, and latencies in microseconds."""

    requests: int
    refused: int
    broken: int
    p50: float
    p99: float

    @property
    def fault(self) -> str:
        """What is wrong with it; empty where nothing is."""
        if self.refused or self.broken or not self.requests:
            return f"{self.requests} answers, {self.refused} of them errors; {self.broken} broken connections"
        return ""


def load(port: int, path: str, seconds: int, *words: str, connections: int = CONNECTIONS) -> Load:
    """Send requests for some seconds, each connection its next one when it has the answer. `words` are load.lua's."""
    command = [program("wrk"), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--script", str(SETTINGS / "load.lua"), f"http://127.0.0.1:{port}{path}", "--", *words]
    environment = {**os.environ, "BENCHMARK_TOKEN": TOKEN}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=seconds + END_WITHIN
    )
    return parse(done.stdout, done.stderr)


def parse(out: str, err: str = "") -> Load:
    """Read the line that load.lua writes last."""
    last = (out.strip().splitlines() or [""])[-1]
    try:
        return Load(**json.loads(last))
    except (ValueError, TypeError):
        said = (err or out).strip().splitlines()
        raise LoadError(f"wrk gave no result: {said[-1] if said else 'nothing'}") from None
