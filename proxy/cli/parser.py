"""The grammar of the command line: every command, its options, and which function runs it.

That function is named, not imported: a command starts in the time that its own part of the proxy takes to load.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from .. import __version__

CONFIG_VARIABLE = "BEARER_PROXY_CONFIG"

_SANDBOXES = ("readycloud", "cloud66", "onecloud", "control")  # what the sandbox listens for, in order of ports
_FIRST_PORT = 8090
_LIFETIME = 20.0  # seconds: short, so that an expiry can be watched
_LONGEST_TIMEOUT = 600.0  # seconds
_WRONG = re.compile(  # how argparse begins to say what is wrong, up to where it repeats what was given
    r"the following arguments are required: .*|unrecognized arguments|ambiguous option"
    r"|argument [^:]*: (?:expected one argument|ignored explicit argument|invalid \w+(?: value)?|a number of seconds.*)"
)
_CHOICES = re.compile(r"\(choose from [^()]*\)\Z")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit. Nothing that was given is repeated: it may be a secret."""
        wrong = _WRONG.match(message)
        told = "these arguments cannot be understood" if wrong is None else wrong[0]
        choices = _CHOICES.search(message) if told.endswith("invalid choice") else None
        super().error(f"{told} {choices[0]}" if choices else told)


def make_parser() -> argparse.ArgumentParser:
    """Give the parser. What it gives has `run`, the command's function as `module.function` of this package."""
    configured = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    configured.add_argument(
        "-c", "--config", metavar="FILE", help=f"the configuration (default: ${CONFIG_VARIABLE}, else ./config.yaml)"
    )
    parser = _Parser(
        prog="bearer-proxy",
        parents=[configured],
        description="An authenticating HTTP reverse proxy: it adds the bearer token, renews it once for everybody, "
        "and replays the request.",
    )
    parser.add_argument("--version", action="version", version=f"bearer-proxy {__version__}")
    one = argparse.ArgumentParser(add_help=False, parents=[configured])
    one.add_argument("credential", metavar="CREDENTIAL")
    command = _adder(parser)
    command("serve", "serve.serve", "run the proxy", configured)
    command("check", "check.check", "check the configuration; every problem as file:line: key: message", configured)
    _add_demo(command("demo", "demo.demo", "try it: emulated vendors, and the proxy before them"))
    _add_ports(command("sandbox", "demo.sandbox", "run the emulated vendors alone"))
    _add_login(command("login", "login.login", "sign in to a credential in a browser", one))
    _add_file(command("import", "tokens.import_tokens", "take tokens: JSON, form text or a redirect URL", one))
    command("refresh", "tokens.refresh", "renew the tokens of a credential now", one)
    command("logout", "tokens.logout", "forget the tokens of a credential", one)
    _add_json(command("status", "report.status", "tell how every credential is, and what to do next", configured))
    text = "look at store, clock, network and each credential; say what to do next"
    _add_doctor(command("doctor", "report.doctor", text, configured))
    below = _adder(command("store", None, "change how tokens are kept", configured))
    text = "encrypt all tokens with the first store_key, or decrypt them"
    _add_rekey(below("rekey", "store.rekey", text, configured))
    command("schema", "check.schema", "print the JSON Schema of config.yaml, for editors")
    return parser


def _adder(parser: argparse.ArgumentParser) -> Callable[..., argparse.ArgumentParser]:
    """Give what adds commands below `parser`: called what, run by which function, with the options of `parents`."""
    below = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: str | None, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = below.add_parser(name, help=text, description=text, parents=parents)
        made.set_defaults(run=run)
        return made

    return add


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8080, help="data plane, default 8080")
    parser.add_argument("--admin-port", type=int, default=8081, metavar="PORT", help="control plane, default 8081")
    parser.add_argument(
        "--lifetime", type=float, default=_LIFETIME, metavar="SECONDS", help=f"of access tokens, default {_LIFETIME:g}"
    )
    _add_ports(parser)


def _add_ports(parser: argparse.ArgumentParser) -> None:
    for port, name in enumerate(_SANDBOXES, _FIRST_PORT):
        parser.add_argument(f"--{name}-port", type=int, default=port, metavar="PORT", help=f"default {port}")


def _add_login(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-browser", action="store_true", help="open no browser: print the address only")
    parser.add_argument(
        "--paste", action="store_true", help="read one line from standard input: the final address, or the code"
    )


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="where they are; default: standard input")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="for each origin, in all; default 10"
    )


def _add_rekey(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decrypt", action="store_true", help="write all tokens in clear, to go on without store_key")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(f"a number of seconds, {_LONGEST_TIMEOUT:g} at most")
    return seconds
