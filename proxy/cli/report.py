"""The commands that tell how things are and what to do next. They change nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..config import load
from ..credentials.health import Health
from ..doctor import Finding, Level, examine, read_health
from ..signin.granted import duration, expiry
from .printing import printable
from .shared import configuration

_COLUMNS = ("CREDENTIAL", "PROVIDER", "STATE", "EXPIRES", "LAST EXCHANGE", "LAST ERROR", "NEXT STEP")
_NARROWEST = 40  # columns: what is told below that is wrapped by the terminal


def status(options: argparse.Namespace) -> int:
    """Tell how every credential is."""
    config = configuration(options, about="")
    health, now = asyncio.run(read_health(config)), time.time()
    if options.json:
        print(json.dumps({"credentials": [one.as_json(now) for one in health]}, indent=2))
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table([_row(one, now) for one in health], width):
        print(line)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Look at everything that a credential needs; 1 if there is a problem."""
    config, warnings = load(options.config, os.environ)
    findings = asyncio.run(examine(config, warnings, options.timeout))
    healthy = not any(one.level is Level.PROBLEM for one in findings)
    if options.json:
        print(json.dumps({"ok": healthy, "findings": [one.as_json() for one in findings]}, indent=2))
    else:
        for one in findings:
            print(_shown(one))
    return 0 if healthy else 1


def table(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Give a line for each row below a head; where that is wider than a terminal of `width`, a block for each row."""
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in (_COLUMNS, *rows)
    ]
    if width is None or max(map(len, lines)) <= width:
        yield from lines
        return
    indent = max(map(len, _COLUMNS)) + 2
    for name, *cells in rows:
        yield name
        for title, cell in zip(_COLUMNS[1:], cells, strict=True):
            yield from textwrap.wrap(
                cell,
                max(width, _NARROWEST),
                initial_indent=f"  {title.lower()}".ljust(indent + 2),
                subsequent_indent=" " * (indent + 2),
                break_long_words=False,
                break_on_hyphens=False,
            )


def _row(health: Health, now: float) -> tuple[str, ...]:
    last, trouble = health.record.exchanged_at, health.record.trouble
    cells = (
        health.config.name,
        health.config.provider_name,
        health.described(now),
        expiry(health.record, now),
        "never" if last is None else f"{duration(now - last)} ago",
        "-" if trouble is None else f"{trouble.reason}, {duration(now - trouble.at)} ago",
        health.next_step(now) or "nothing",
    )
    return tuple(map(printable, cells))


def _shown(finding: Finding) -> Finding:
    told = [printable(text) for text in (finding.subject, finding.text, finding.next_step)]
    return replace(finding, subject=told[0], text=told[1], next_step=told[2])
