"""What the runner does with proxies that fail, and what it measures for whom. No program is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.benchmarks.column import Running, Size
from tests.benchmarks.process import NotReadyError
from tests.benchmarks.results import Results
from tests.benchmarks.runner import Runner
from tests.benchmarks.workloads import Figures, Row, Workload
from tests.benchmarks.wrk import LoadError

ROW = Row("get", "GET", "CPU µs")
SITE: Any = object()


@dataclass(eq=False)
class FakeProxy:
    """Is a column, and what it starts."""

    name: str
    sizes: bool = False
    fault: Exception | None = None
    started: list[Size | None] = field(default_factory=list)
    stopped: int = 0

    @property
    def label(self) -> str:
        return self.name.upper()

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return "1"

    def start(self, site: object, size: Size | None) -> Running:
        if self.fault is not None:
            raise self.fault
        self.started.append(size)
        proxy: Any = self
        return Running(SITE, proxy, len(self.started))

    def stop(self) -> None:
        self.stopped += 1


def run(columns: Sequence[FakeProxy], *workloads: Workload, rounds: int = 1) -> Results:
    """Have the runner measure; what it says is not kept."""
    results = Results({column.name: column.label for column in columns}, [row for one in workloads for row in one.rows])
    Runner(SITE, columns, rounds, 1, results, lambda text: None).run(workloads)
    return results


def workload(measure: Any, **more: Any) -> Workload:
    return Workload("get", (ROW,), measure, **more)


def test_a_proxy_that_does_not_start() -> None:
    """It is left out with the reason, and the others are measured."""
    results = run(
        [FakeProxy("a", fault=NotReadyError("no such luck")), FakeProxy("b")],
        workload(lambda running, seconds: {"get": 5.0}),
    )
    assert {"a": "no such luck"} == results.left_out
    assert {"b": {"get": 5.0}} == results.best


def test_a_proxy_that_answers_with_errors() -> None:
    """It has no figure, the fault is told, and the others are measured."""

    def measure(running: Running, seconds: int) -> Figures:
        if running.port == 2:
            raise LoadError("9 answers, 9 of them errors")
        return {"get": 5.0}

    bad = FakeProxy("bad", started=[None])
    results = run([bad, FakeProxy("good")], workload(measure))
    assert ["get, bad: 9 answers, 9 of them errors"] == results.faults
    assert {"good": {"get": 5.0}} == results.best


def test_an_interrupt_while_measuring() -> None:
    """All proxies are stopped."""

    def measure(running: Running, seconds: int) -> Figures:
        raise KeyboardInterrupt

    columns = [FakeProxy("a"), FakeProxy("b")]
    with pytest.raises(KeyboardInterrupt):
        run(columns, workload(measure, fresh=True))
    assert [(2, 2), (1, 1)] == [(len(column.started), column.stopped) for column in columns]


def test_several_rounds() -> None:
    """Proxies take turns and are started once, and the least figure counts."""
    figures = iter([5.0, 7.0, 4.0, 8.0])
    columns = [FakeProxy("a"), FakeProxy("b")]
    results = run(columns, workload(lambda running, seconds: {"get": next(figures)}), rounds=2)
    assert {"a": {"get": 4.0}, "b": {"get": 7.0}} == results.best
    assert [1, 1] == [len(column.started) for column in columns]


def test_a_workload_that_wants_fresh_proxies() -> None:
    """Each measurement has one of its own, which is stopped after it."""
    proxy = FakeProxy("a")
    ports: list[int] = []

    def measure(running: Running, seconds: int) -> Figures:
        ports.append(running.port)
        assert proxy.stopped == running.port - 2
        return {"get": 1.0}

    run([proxy], workload(measure, fresh=True), rounds=2)
    assert [2, 3] == ports
    assert 3 == proxy.stopped


def test_a_workload_about_a_size() -> None:
    """Ours is started in that size, nginx is asked as it is, other peers are not asked."""
    ours, nginx, envoy = FakeProxy("ours", sizes=True), FakeProxy("nginx"), FakeProxy("envoy")
    size = Size(100, 1)
    results = run([ours, nginx, envoy], workload(lambda running, seconds: {"get": 1.0}, size=size), rounds=2)
    assert {"ours", "nginx"} == set(results.best)
    assert ([None, size], [None], [None]) == (ours.started, nginx.started, envoy.started)
    assert (2, 1, 1) == (ours.stopped, nginx.stopped, envoy.stopped)


def test_a_workload_with_a_way_without_a_proxy() -> None:
    """It is measured in each round too."""
    ways = iter([30.0, 20.0])
    measured = workload(lambda running, seconds: {"get": 50.0}, direct=lambda site, seconds: {"get": next(ways)})
    assert 20.0 == run([FakeProxy("a")], measured, rounds=2).best["direct"]["get"]
