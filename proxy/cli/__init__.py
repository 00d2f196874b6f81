"""The command line. Exit codes: 0 fine, 1 failed, 2 usage or configuration error.

Secrets come by standard input or the configuration, never as arguments: those are in a process list and a history.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..errors import BearerProxyError
from . import commands, demo

CONFIG_VARIABLE = "BEARER_PROXY_CONFIG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    options = _parser().parse_args(arguments)
    options.config = Path(getattr(options, "config", None) or os.environ.get(CONFIG_VARIABLE) or "config.yaml")
    try:
        return int(options.run(options))
    except BearerProxyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument(
        "-c", "--config", metavar="FILE", help=f"the configuration (default: ${CONFIG_VARIABLE}, else ./config.yaml)"
    )
    parser = argparse.ArgumentParser(
        prog="bearer-proxy",
        parents=[shared],
        description="An authenticating HTTP reverse proxy: it adds the bearer token, renews it once for everybody, "
        "and replays the request.",
    )
    parser.add_argument("--version", action="version", version=f"bearer-proxy {__version__}")
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser

    def command(name: str, run: commands.Command, text: str, *, configured: bool = True) -> argparse.ArgumentParser:
        made = add(name, help=text, description=text, parents=[shared] if configured else [])
        made.set_defaults(run=run)
        return made

    command("serve", commands.serve, "run the proxy")
    command("check", commands.check, "check the configuration; every problem as file:line: key: message")
    demo.add_options(
        command("demo", demo.demo, "try it: emulated vendors, and the proxy before them", configured=False)
    )
    demo.add_ports(command("sandbox", demo.sandbox, "run the emulated vendors alone", configured=False))
    for name, run, text in (
        ("import", commands.import_tokens, "take tokens from standard input: JSON, form text or a redirect URL"),
        ("refresh", commands.refresh, "renew the tokens of a credential now"),
        ("logout", commands.logout, "forget the tokens of a credential"),
    ):
        command(name, run, text).add_argument("credential", metavar="CREDENTIAL")
    status = command("status", commands.status, "tell how every credential is, and what to do next")
    status.add_argument("--json", action="store_true", help="as JSON")
    command("schema", commands.schema, "print the JSON Schema of config.yaml, for editors", configured=False)
    return parser
