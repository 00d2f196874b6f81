"""Measures workloads for proxies: round by round, in turns, so that what disturbs the machine disturbs them all.

A proxy is started once, but for those workloads that want their own. One that does not start is left out; one that does
a workload wrong has no figure there, and its fault is kept.
"""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from .column import Column, Running, Size
from .process import NotReadyError
from .results import BASE, DIRECT, Results
from .site import Site
from .transfer import TransferError
from .workloads import Figures, Workload
from .wrk import LoadError

FAULTS = (NotReadyError, LoadError, TransferError, OSError, http.client.HTTPException, subprocess.SubprocessError)


@dataclass(frozen=True, slots=True)
class Runner:
    """One run on a site. What comes of it goes into `results`; `say` is told of each figure as it comes."""

    site: Site
    columns: Sequence[Column]
    rounds: int
    seconds: int
    results: Results
    say: Callable[[str], None]

    def run(self, workloads: Iterable[Workload]) -> None:
        """Start all proxies, measure all, and stop them."""
        with ExitStack() as stack:
            shared = dict(self._start_all(stack))
            for workload in workloads:
                with ExitStack() as own:
                    self._measure(workload, self._asked(workload, shared, own))

    def _start_all(self, stack: ExitStack) -> Iterator[tuple[Column, Running]]:
        for column in self.columns:
            try:
                running = stack.enter_context(started(column, self.site))
            except FAULTS as error:
                self.results.left_out[column.name] = str(error)
                self.say(f"left out: {column.label}: {error}")
                continue
            self.say(f"started: {column.label}")
            yield column, running

    def _asked(self, workload: Workload, shared: Mapping[Column, Running], own: ExitStack) -> Mapping[Column, Running]:
        """Give the proxies that a workload is for; where it is about a size, those that have it are started."""
        if workload.size is None:
            return shared
        asked = {}
        for column, running in shared.items():
            if column.sizes:
                with self._kept(workload, column.name):
                    asked[column] = own.enter_context(started(column, self.site, workload.size))
            elif column.name == BASE:
                asked[column] = running
        return asked

    def _measure(self, workload: Workload, proxies: Mapping[Column, Running]) -> None:
        for _ in range(self.rounds):
            if workload.direct is not None:
                with self._kept(workload, DIRECT):
                    self._take(workload, DIRECT, workload.direct(self.site, self.seconds))
            for column, running in proxies.items():
                with self._kept(workload, column.name), ExitStack() as fresh:
                    proxy = fresh.enter_context(started(column, self.site)) if workload.fresh else running
                    self._take(workload, column.name, workload.measure(proxy, self.seconds))

    def _take(self, workload: Workload, column: str, figures: Figures) -> None:
        self.results.add(column, figures)
        self.say(f"{workload.name}: {column}: " + ", ".join(f"{value:.2f}" for value in figures.values()))

    @contextmanager
    def _kept(self, workload: Workload, column: str) -> Iterator[None]:
        """Make a fault of what goes wrong inside."""
        try:
            yield
        except FAULTS as error:
            self.results.faults.append(f"{workload.name}, {column}: {error or type(error).__name__}")
            self.say(f"fault: {self.results.faults[-1]}")


@contextmanager
def started(column: Column, site: Site, size: Size | None = None) -> Iterator[Running]:
    """Have a proxy run meanwhile."""
    running = column.start(site, size)
    try:
        yield running
    finally:
        running.started.stop()
