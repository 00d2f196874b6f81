"""The grammar of the command line, held against what it names."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from proxy.cli.parser import make_parser
from proxy.sandbox import VENDORS

WITHOUT = {  # what a command does not wait for, because it has no use for it
    "check": {"aiohttp", "proxy.credentials", "proxy.gateway", "proxy.sandbox"},
    "schema": {"aiohttp", "proxy.credentials", "proxy.gateway", "proxy.sandbox"},
    "status": {"aiohttp.web", "proxy.gateway", "proxy.control", "proxy.sandbox"},
    "serve": {"proxy.sandbox", "proxy.doctor", "webbrowser"},
}


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all commands that can be run."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for made in action.choices.values():
            yield from commands(made)


@pytest.mark.parametrize("parser", [*commands(make_parser())], ids=lambda parser: parser.prog)
def test_what_runs_a_command(parser: argparse.ArgumentParser) -> None:
    """It is there, and says what it does."""
    module, _, function = parser.get_default("run").partition(".")
    assert getattr(import_module(f"proxy.cli.{module}"), function).__doc__


@pytest.mark.parametrize("name", ["demo", "sandbox"])
def test_ports_of_the_sandbox(name: str) -> None:
    """Each vendor has one, one after the other, and what controls them has the next."""
    options = vars(make_parser().parse_args([name]))
    told = {key: value for key, value in options.items() if key.endswith("_port") and key != "admin_port"}
    assert {f"{vendor}_port": 8090 + at for at, vendor in enumerate((*VENDORS, "control"))} == told


@pytest.mark.parametrize("command", WITHOUT)
def test_what_a_command_does_without(command: str) -> None:
    """It starts without what it has no use for."""
    program = (
        "import importlib, json, sys; from proxy.cli.parser import make_parser;"
        "importlib.import_module('proxy.cli.' + make_parser().parse_args([sys.argv[1]]).run.partition('.')[0]);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program, command], capture_output=True, check=True).stdout
    assert set() == WITHOUT[command] & {*json.loads(loaded)}
