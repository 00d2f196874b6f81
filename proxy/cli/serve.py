"""The command that runs the proxy, as configured."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from .. import app, logs
from ..config import Config, Problem, load
from ..errors import BearerProxyError, ConfigError
from .shared import configuration, stop_event

LOG = logging.getLogger("bearer_proxy")


def serve(options: argparse.Namespace) -> int:
    """Run both planes until a signal asks for the end. SIGHUP reads the configuration again.

    But where the terminal goes away that it was started from, SIGHUP means the end, unless `nohup` started it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it waits until it is heard
    environ = dict(os.environ)
    config = configuration(options)
    logs.configure(config.log_format, config.log_level)
    had_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    async def run() -> None:
        stop, again = stop_event(), asyncio.Event()

        def hung_up() -> None:
            (stop if had_terminal and not _has_terminal() else again).set()

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        async with app.running(config) as proxy:
            reloading = asyncio.create_task(_reload_when(again, proxy, options.config, environ), name="reload")
            await stop.wait()
            reloading.cancel()
            await asyncio.wait([reloading])

    app.run(run())
    return 0


async def _reload_when(again: asyncio.Event, proxy: app.Running, path: Path, environ: Mapping[str, str]) -> None:
    """Read the configuration at each `again`, with the environment of the start. A bad one changes nothing."""
    while True:
        await again.wait()
        again.clear()
        try:
            config, warnings = await asyncio.to_thread(_load_again, path, environ)
            for warning in warnings:
                LOG.warning("%s", warning)
            await proxy.reload(config)
        except ConfigError as error:
            for problem in error.problems:
                LOG.log(logging.WARNING if getattr(problem, "warning", False) else logging.ERROR, "%s", problem)
            LOG.error("the configuration was not taken over: all goes on as before")
        except BearerProxyError as error:
            LOG.error("the configuration was not taken over: %s; all goes on as before", error)
        except Exception as error:  # noqa: BLE001 - the next SIGHUP is to be heard, whatever this is
            LOG.error("reading the configuration again failed unforeseen: %s", type(error).__name__)


def _load_again(path: Path, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """Load as at the start. Raises `ConfigError`, for a pipe too: it is at its end, or there is nobody who writes."""
    with contextlib.suppress(OSError):  # which `load` tells
        if path.exists() and not path.is_file():
            raise ConfigError([f"{path}: this is no regular file, and can be read once only"])
    return load(path, environ)


def _has_terminal() -> bool:
    """Tell whether this process has a controlling terminal, which has not gone away."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
