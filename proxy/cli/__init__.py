"""The command line. Exit codes: 0 fine, 1 failed, 2 usage or configuration error.

Secrets come by standard input or the configuration, never as arguments: those are in a process list and a history.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .. import logs
from ..errors import BearerProxyError, ConfigError
from .parser import CONFIG_VARIABLE, make_parser
from .printing import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    options = make_parser().parse_args(arguments)
    _leave_no_core()
    logs.configure("text", "warning")  # before anything is logged: a library's words may hold what was sent
    logs.tell_accidents()
    options.config = Path(getattr(options, "config", None) or os.environ.get(CONFIG_VARIABLE) or "config.yaml")
    try:
        module, _, function = options.run.partition(".")
        return int(getattr(import_module(f".{module}", __package__), function)(options))
    except BearerProxyError as error:
        for line in error.problems if isinstance(error, ConfigError) else (error,):
            print(printable(str(line)), file=sys.stderr)
        return error.exit_code
    except EOFError:
        print("nothing was given", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _leave_no_core() -> None:
    """See that a crash leaves no core dump, which would hold tokens. Where a program takes them, 1 means none."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0 if hard == 0 else 1, hard))
