"""`bearer-proxy import` where it only prepares a test: a process of its own as ever, forked from one that is warm.

What is tested is started from nothing, by `tests.support.processes.command`.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

from proxy.cli import main

WITHIN = 30.0  # seconds
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", __name__])


def bring(config: Path, credential: str, text: str) -> tuple[int, str]:
    """Import tokens; give the exit code, and what was written to the standard error."""
    ours, theirs = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_import, args=(theirs, str(config), credential, text))
    process.start()
    theirs.close()
    with ours:
        assert ours.poll(WITHIN), "the import does not end"
        code, err = ours.recv()
    process.join(WITHIN)
    process.close()
    return code, err


def _import(answer: Connection, config: str, credential: str, text: str) -> None:
    warnings.simplefilter("error")
    sys.stdin = io.StringIO(text)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["--config", config, "import", credential])
    answer.send((code, err.getvalue()))
