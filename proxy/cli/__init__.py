"""The command line. Exit codes: 0 fine, 1 failed, 2 usage or configuration error.

Secrets come by standard input or the configuration, never as arguments: those are in a process list and a history.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import __version__, logs
from ..errors import BearerProxyError
from . import demo, login, report, serve, store, tokens
from .shared import Command

CONFIG_VARIABLE = "BEARER_PROXY_CONFIG"

Adder = Callable[..., argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    options = _parser().parse_args(arguments)
    _leave_no_core()
    logs.configure("text", "warning")  # before anything is logged: a library's words may hold what was sent
    logs.tell_accidents()
    options.config = Path(getattr(options, "config", None) or os.environ.get(CONFIG_VARIABLE) or "config.yaml")
    try:
        return int(options.run(options))
    except BearerProxyError as error:
        print(error, file=sys.stderr)
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

    def command(
        name: str, run: Command, text: str, *, configured: bool = True, under: Adder = add
    ) -> argparse.ArgumentParser:
        made = under(name, help=text, description=text, parents=[shared] if configured else [])
        made.set_defaults(run=run)
        return made

    command("serve", serve.serve, "run the proxy")
    command("check", serve.check, "check the configuration; every problem as file:line: key: message")
    demo.add_options(
        command("demo", demo.demo, "try it: emulated vendors, and the proxy before them", configured=False)
    )
    demo.add_ports(command("sandbox", demo.sandbox, "run the emulated vendors alone", configured=False))
    about = {
        name: command(name, run, text)
        for name, run, text in (
            ("login", login.login, "sign in to a credential in a browser"),
            ("import", tokens.import_tokens, "take tokens: JSON, form text or a redirect URL"),
            ("refresh", tokens.refresh, "renew the tokens of a credential now"),
            ("logout", tokens.logout, "forget the tokens of a credential"),
        )
    }
    for made in about.values():
        made.add_argument("credential", metavar="CREDENTIAL")
    login.add_options(about["login"])
    tokens.add_file(about["import"])
    report.add_json(command("status", report.status, "tell how every credential is, and what to do next"))
    report.add_doctor_options(
        command("doctor", report.doctor, "look at store, clock, network and each credential; say what to do next")
    )
    text = "change how tokens are kept"
    below = add("store", help=text, description=text, parents=[shared]).add_subparsers(metavar="COMMAND", required=True)
    store.add_rekey_options(
        command(
            "rekey", store.rekey, "encrypt all tokens with the first store_key, or decrypt them", under=below.add_parser
        )
    )
    command("schema", serve.schema, "print the JSON Schema of config.yaml, for editors", configured=False)
    return parser
