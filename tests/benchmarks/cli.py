"""The command: what to measure, for whom, and where the table, the JSON and the plot go.

The table goes to standard output, progress to standard error. Exit codes: 0 fine, 1 with a fault, 2 where nothing can
be measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from . import idle, plot
from .column import Column
from .ours import OURS
from .peers import PEERS
from .process import Processors, allow_files, nothing_left, on, program
from .results import Results
from .runner import Runner
from .site import opened
from .workloads import WORKLOADS, Workload

COLUMNS: tuple[Column, ...] = (*OURS, *PEERS)
LEGEND = (
    "ours: access log (to a file) and metrics on; ours, quiet: both off; the others without access log. One worker "
    "each, alone on a processor. CPU: processor time of the proxy, user and system."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    options = _parser().parse_args(arguments)
    lacking = [name for name in ("nginx", "wrk") if not program(name)]
    if lacking:
        print(f"nothing can be measured without {' and '.join(lacking)}, not installed here", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        results = run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(results.table(), "", LEGEND, *results.notes(), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(results.document(), indent=1) + "\n")
    if options.plot:
        options.plot.write_text(plot.svg(results))
    return 1 if results.faults else 0


def run(options: argparse.Namespace) -> Results:
    """Measure in a temporary folder, of which nothing remains."""
    workloads = [workload for workload in WORKLOADS if workload.name in options.only]
    wanted = {column.name: column for column in COLUMNS if column.name in options.peers}
    results = Results(
        {name: column.label for name, column in wanted.items()}, [row for one in workloads for row in one.rows]
    )
    results.left_out = {name: reason for name, column in wanted.items() if (reason := column.missing())}
    columns = [column for name, column in wanted.items() if name not in results.left_out]
    results.versions = {column.name: column.version() for column in columns}
    processors = Processors.found()
    allow_files()
    results.remarks = _remarks(workloads, processors, options.rounds, options.seconds)
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        nothing_left(),
        on(processors.rest),
        opened(Path(folder), processors) as site,
    ):
        Runner(site, columns, options.rounds, options.seconds, results, _say).run(workloads)
    return results


def _remarks(workloads: Sequence[Workload], processors: Processors, rounds: int, seconds: int) -> list[str]:
    remarks = [
        f"Best of {rounds} rounds of {seconds} s; {platform.system()} {platform.release()} {platform.machine()}."
    ]
    if processors.proxy == processors.rest:
        remarks.append("There is one processor only, which the proxy shares with the load.")
    count = idle.connections()
    if count < idle.CONNECTIONS and any(workload.name == "idle" for workload in workloads):
        remarks.append(
            f"The system's limit of open files allows {count:,} idle connections in place of {idle.CONNECTIONS:,}."
        )
    if any(workload.size for workload in workloads):
        remarks.append("In the rows that tell how much is configured, nginx has three routes as ever.")
    return remarks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    works, names = [workload.name for workload in WORKLOADS], [column.name for column in COLUMNS]
    parser.add_argument("--only", type=_some(works), default=works, help=f"of {', '.join(works)}; with commas")
    parser.add_argument("--peers", type=_some(names), default=names, help=f"of {', '.join(names)}; with commas")
    parser.add_argument("-d", dest="seconds", type=_count, default=3, help="seconds for each figure (default: 3)")
    parser.add_argument("--rounds", type=_count, default=3, help="of which the best counts (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw GET, POST and page to it, as SVG")
    return parser


def _some(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        asked = text.split(",")
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"not known: {', '.join(unknown)}; there are {', '.join(known)}")
        return asked

    return names


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 600:
        raise argparse.ArgumentTypeError("a whole number from 1 to 600")
    return int(text)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Begin the end, and let nothing interrupt it."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
