"""The commands that bring, renew and forget tokens. Secrets come by standard input, never as arguments."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from ..credentials.core import open_core
from ..credentials.health import Health
from ..credentials.record import Origin, Tokens
from ..errors import TokenFormatError
from ..signin.granted import expiry, granted
from ..signin.pasted import as_answer, read_pasted
from .printing import printable
from .shared import named, to_the_end
from .terminal import ask, at_terminal, whole


def import_tokens(options: argparse.Namespace) -> int:
    """Store tokens that a person has, and tell what was understood."""
    config, name = named(options)
    tokens = _given(getattr(options, "file", None))

    async def put() -> None:
        async with open_core(config) as core:
            await core.put(name, tokens, Origin.IMPORT)

    to_the_end(put())
    told = granted(config.credentials[name], tokens)
    print(f"imported for {name}: {told.held}")
    for warning in told.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def refresh(options: argparse.Namespace) -> int:
    """Make one exchange now, whatever an earlier one came to."""
    config, name = named(options)

    async def run() -> tuple[int, Health]:
        async with open_core(config) as core:
            keeper = core.keeper(name)
            before = keeper.health().record.generation
            return before, await keeper.refresh()

    before, health = to_the_end(run())
    now = time.time()
    if health.record.generation > before and health.record.trouble is None:
        print(f"renewed {name}: generation {health.record.generation}; {expiry(health.record, now)}")
        return 0
    state, reason = health.state(now)
    print(f"{name} is not renewed: {state}{f' ({printable(reason)})' if reason else ''}", file=sys.stderr)
    return 1


def logout(options: argparse.Namespace) -> int:
    """Forget the tokens. The vendor is not told."""
    config, name = named(options)

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


def _given(file: Path | None) -> Tokens:
    """Read tokens from a file, from standard input, or by asking."""
    if file is not None and str(file) != "-":
        try:
            with file.open(encoding="utf-8") as opened:
                return read_pasted(whole(opened))
        except (OSError, UnicodeDecodeError) as error:
            if not os.path.lexists(file):  # its name may be the token itself
                raise TokenFormatError(
                    "there is no file of that name: tokens are given on standard input, or in a file"
                ) from None
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise TokenFormatError(f"{file} cannot be read: {reason}") from None
    return _asked() if at_terminal() else read_pasted(whole(sys.stdin))


def _asked() -> Tokens:
    """Ask for tokens without echo."""
    text = ask("Access token, or the whole answer or address (not shown): ")
    while text.startswith("{") and not text.endswith("}"):
        text += "\n" + (ask("") or "}")
    if not text or text.startswith(("{", "http")) or "=" in text.rstrip("="):
        return read_pasted(text)
    refresh_token = ask("Refresh token (not shown, empty for none): ")
    lifetime = input("Lifetime in seconds (empty if unknown): ").strip()
    return read_pasted(as_answer(text, refresh_token, lifetime))
