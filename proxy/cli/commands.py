"""The commands that work on a configuration. Each takes the parsed options and gives an exit code."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .. import app, logs
from ..config import Config, load
from ..config import schema as config_schema
from ..credentials.answers import read_lifetime, read_pasted
from ..credentials.core import open_core
from ..credentials.health import Health, State
from ..credentials.record import Origin, Tokens
from ..errors import ConfigError, TokenFormatError

T = TypeVar("T")
Command = Callable[[argparse.Namespace], int]

_LONGEST_PASTE = 1 << 20  # characters
_LONGEST_LINE = 4095  # characters: a terminal cuts a line there, and says nothing


def serve(options: argparse.Namespace) -> int:
    """Run both planes until a signal asks for the end."""
    config = _config(options)
    logs.configure(config.log_format, config.log_level)

    async def run() -> None:
        stop = stop_event()
        async with app.running(config):
            await stop.wait()

    asyncio.run(run())
    return 0


def stop_event() -> asyncio.Event:
    """Give an event that SIGTERM, SIGINT and SIGHUP set."""
    stop = asyncio.Event()
    _on_signals(stop.set)
    return stop


def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a change of tokens to its end, whatever signals say: cut off, it might cost the grant (T3)."""

    async def run() -> T:
        _on_signals(lambda: print("ending as soon as the tokens are safe", file=sys.stderr))
        return await work

    return asyncio.run(run())


def _on_signals(handler: Callable[[], None]) -> None:
    """Call `handler`, in place of ending, at each signal that asks for an end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, handler)


def check(options: argparse.Namespace) -> int:
    """Print every problem; 2 if one is an error."""
    try:
        config, warnings = load(options.config, os.environ)
    except ConfigError as error:
        print(error)
        return error.exit_code
    for warning in warnings:
        print(warning)
    if not config.routes:
        print(f"{options.config}: there are no routes: every request will be answered 404")
    ready = sum(not credential.missing for credential in config.credentials.values())
    total, routes = len(config.credentials), len(config.routes)
    print(f"{options.config}: no errors; routes: {routes}; credentials: {total}, of which configured: {ready}")
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema of config.yaml."""
    print(json.dumps(config_schema(), indent=2))
    return 0


def import_tokens(options: argparse.Namespace) -> int:
    """Store tokens that a person has, and tell what was understood."""
    config, name = _named(options)
    tokens = _ask() if sys.stdin.isatty() else read_pasted(sys.stdin.read(_LONGEST_PASTE))

    async def put() -> None:
        async with open_core(config) as core:
            await core.put(name, tokens, Origin.IMPORT)

    to_the_end(put())
    held = ", ".join(
        word
        for word, token in (("an access token", tokens.access_token), ("a refresh token", tokens.refresh_token))
        if token is not None
    )
    expiry = (
        "its lifetime is not known" if tokens.expires_in is None else f"it expires in {_duration(tokens.expires_in)}"
    )
    print(f"imported for {name}: {held}; {expiry}")
    asked, granted = set(config.credentials[name].scopes), set(re.split(r"[\s,]+", tokens.scope)) - {""}
    if asked and granted and asked != granted:
        lacking, more = " ".join(sorted(asked - granted)), " ".join(sorted(granted - asked))
        print(
            f"its scopes are not those of the configuration: lacking: {lacking or '-'}; more: {more or '-'}",
            file=sys.stderr,
        )
    if tokens.refresh_token is None and config.credentials[name].provider.renew == "refresh_token":
        print("there is no refresh token in it: when this one expires, a person has to sign in again", file=sys.stderr)
    return 0


def refresh(options: argparse.Namespace) -> int:
    """Make one exchange now, whatever an earlier one came to."""
    config, name = _named(options)

    async def run() -> tuple[int, Health]:
        async with open_core(config) as core:
            keeper = core.keeper(name)
            before = keeper.health().record.generation
            return before, await keeper.refresh()

    before, health = to_the_end(run())
    now = time.time()
    if health.record.generation > before and health.record.trouble is None:
        print(f"renewed {name}: generation {health.record.generation}; {_expires(health, now)}")
        return 0
    state, reason = health.state(now)
    print(f"{name} is not renewed: {state}{f' ({reason})' if reason else ''}", file=sys.stderr)
    return 1


def logout(options: argparse.Namespace) -> int:
    """Forget the tokens. The vendor is not told."""
    config, name = _named(options)

    async def run() -> bool:
        async with open_core(config) as core:
            record = core.keeper(name).health().record
            await core.forget(name)
            return record.access_token is not None or record.refresh_token is not None

    if not to_the_end(run()):
        print(f"there were no tokens of {name}")
        return 0
    print(f"the tokens of {name} are forgotten here; the vendor still knows them until they expire or you revoke them")
    return 0


def status(options: argparse.Namespace) -> int:
    """Tell how every credential is."""
    config = _config(options, about="")

    async def run() -> list[Health]:
        async with open_core(config) as core:
            return await core.health_beside_others()

    health, now = asyncio.run(run()), time.time()
    if options.json:
        print(
            json.dumps(
                {"credentials": [one.as_json(now) | {"provider": one.config.provider_name} for one in health]}, indent=2
            )
        )
        return 0
    rows = [("CREDENTIAL", "PROVIDER", "STATE", "EXPIRES", "LAST EXCHANGE", "NEXT STEP")]
    notes = []
    for one in health:
        state, reason = one.state(now)
        last = one.record.exchanged_at
        ago = "never" if last is None else f"{_duration(now - last)} ago"
        rows.append(
            (one.config.name, one.config.provider_name, state, _expires(one, now), ago, one.next_step(now) or "nothing")
        )
        if reason and state is not State.NOT_CONFIGURED:
            notes.append(f"{one.config.name}: {reason}")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for note in notes:
        print(note)
    return 0


def _config(options: argparse.Namespace, about: str | None = None) -> Config:
    """Load the configuration; its warnings, all or those about one credential, go to standard error."""
    config, warnings = load(options.config, os.environ)
    for warning in warnings:
        if about is None or warning.key == f"credentials.{about}":
            print(warning, file=sys.stderr)
    return config


def _named(options: argparse.Namespace) -> tuple[Config, str]:
    """Give the configuration, and the name of the credential that the command is about."""
    name = options.credential
    config = _config(options, about=name)
    if name not in config.credentials:
        known = ", ".join(config.credentials) or "none"
        raise ConfigError([f"{config.path}: there is no credential {name!r}; there are: {known}"])
    return config, name


def _ask() -> Tokens:
    """Ask for tokens without echo."""
    text = _ask_line("Access token, or the whole answer or address (not shown): ")
    while text.startswith("{") and not text.endswith("}"):
        text += "\n" + (_ask_line("") or "}")
    if not text or text.startswith(("{", "http")) or "=" in text.rstrip("="):
        return read_pasted(text)
    refresh_token = _ask_line("Refresh token (not shown, empty for none): ")
    lifetime = input("Lifetime in seconds (empty if unknown): ").strip()
    if lifetime and read_lifetime(lifetime) is None:
        raise TokenFormatError("a lifetime is a number of seconds")
    # Through the same reader as everything pasted, which knows what a token may hold.
    return read_pasted(json.dumps({"access_token": text, "refresh_token": refresh_token, "expires_in": lifetime}))


def _ask_line(question: str) -> str:
    line = getpass.getpass(question)
    if len(line) >= _LONGEST_LINE:
        raise TokenFormatError("this is longer than a terminal takes in one line: give it from a file, with <")
    return line.strip()


def _expires(health: Health, now: float) -> str:
    at = health.record.expires_at
    if health.record.access_token is None:
        return "-"
    if at is None:
        return "unknown"
    return f"in {_duration(at - now)}" if at > now else f"{_duration(now - at)} ago"


def _duration(seconds: float) -> str:
    """Write a duration for a person, in its largest unit that says enough."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
