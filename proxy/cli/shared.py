"""What the commands share: the configuration as options name it, and signals heard in place of ending."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..config import Config, load
from ..errors import ConfigError

T = TypeVar("T")


def stop_event() -> asyncio.Event:
    """Give an event that SIGTERM, SIGINT and SIGHUP set."""
    stop = asyncio.Event()
    on_signals(stop.set)
    return stop


def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a change of tokens to its end, whatever signals say: cut off, it might cost the grant (T3)."""

    async def run() -> T:
        on_signals(lambda: print("ending as soon as the tokens are safe", file=sys.stderr))
        return await work

    return asyncio.run(run())


def on_signals(handler: Callable[[], None]) -> None:
    """Call `handler`, in place of ending, at each signal that asks for an end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, handler)


def configuration(options: argparse.Namespace, about: str | None = None) -> Config:
    """Load the configuration; its warnings, all or those about one credential, go to standard error."""
    config, warnings = load(options.config, os.environ)
    for name in config.secret_variables:  # what this process starts, such as a browser, gets none of them
        os.environ.pop(name, None)
    for warning in warnings:
        if about is None or warning.key == f"credentials.{about}":
            print(warning, file=sys.stderr)
    return config


def named(options: argparse.Namespace) -> tuple[Config, str]:
    """Give the configuration, and the name of the credential that the command is about."""
    name = options.credential
    config = configuration(options, about=name)
    if name not in config.credentials:
        known = ", ".join(config.credentials) or "none"
        raise ConfigError([f"{config.path}: there is no credential of that name; there are: {known}"])
    return config, name
