"""What is measured, as data: each workload gives the figures of one or two rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import events, idle, transfer
from .column import Running, Size
from .site import Site
from .wrk import Load, LoadError, load

GIB = 1 << 30
Figures = dict[str, float]  # by the key of the row


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `added`: from each figure that of the way without a proxy is taken off."""

    key: str
    label: str
    unit: str
    added: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """`measure` gives its rows' figures for a running proxy, in some seconds.

    `direct` measures the same without a proxy. `fresh`: each measurement has a proxy newly started. `size`: what ours
    has configured; nginx stays as it is, and the other peers are not asked.
    """

    name: str
    rows: tuple[Row, ...]
    measure: Callable[[Running, int], Figures]
    direct: Callable[[Site, int], Figures] | None = None
    fresh: bool = False
    size: Size | None = None


def cost(running: Running, seconds: int, *, row: str, prefix: str = "", file: str = "x", word: str = "") -> Figures:
    """Give the processor time of a request, in microseconds."""
    path, words = f"{prefix or running.prefix}/{file}", word.split()
    _good(load(running.port, path, 1, *words))
    before = running.started.processor_seconds()
    done = _good(load(running.port, path, seconds, *words))
    return {row: (running.started.processor_seconds() - before) / done.requests * 1e6}


def moved(running: Running, seconds: int, *, row: str, move: Callable[[Running, float], int]) -> Figures:
    """Give the processor time of moving a GiB, in seconds."""
    before = running.started.processor_seconds()
    size = move(running, seconds)
    return {row: (running.started.processor_seconds() - before) / size * GIB}


def latency(running: Running, seconds: int) -> Figures:
    """Time from request to answer of a lone caller, in microseconds."""
    done = _good(load(running.port, f"{running.prefix}/kib", seconds, connections=1))
    return {"latency-p50": done.p50, "latency-p99": done.p99}


def latency_direct(site: Site, seconds: int) -> Figures:
    """Give the same of the upstream itself."""
    done = _good(load(site.plain, "/kib", seconds, "direct", connections=1))
    return {"latency-p50": done.p50, "latency-p99": done.p99}


def sse(running: Running, seconds: int) -> Figures:
    """Time of an event from the upstream to the caller, in microseconds."""
    took = events.latencies(running, seconds)
    return {"sse-p50": events.percentile(took, 50), "sse-p99": events.percentile(took, 99)}


def memory(running: Running, seconds: int) -> Figures:
    """Memory of an idle connection, in KiB."""
    return {"idle": idle.bytes_per_connection(running) / 1024}


def _good(done: Load) -> Load:
    if done.fault:
        raise LoadError(done.fault)
    return done


def _sized(routes: int, credentials: int) -> Workload:
    name = f"routes-{routes}" if credentials == 1 else f"credentials-{credentials}"
    plural = "s" if credentials > 1 else ""
    label = f"GET, {routes:,} route{'s' if routes > 1 else ''}, {credentials} credential{plural}"
    measure = partial(cost, row=name)
    return Workload(name, (Row(name, label, "CPU µs"),), measure, size=Size(routes, credentials))


WORKLOADS = (
    Workload("get", (Row("get", "GET, 338 B", "CPU µs"),), partial(cost, row="get")),
    Workload("post", (Row("post", "POST, 4 KiB", "CPU µs"),), partial(cost, row="post", word="post")),
    Workload("page", (Row("page", "GET, page of 64 KiB", "CPU µs"),), partial(cost, row="page", file="page")),
    Workload("tls", (Row("tls", "GET, 338 B, TLS upstream", "CPU µs"),), partial(cost, row="tls", prefix="/tls")),
    Workload(
        "download",
        (Row("download", "download of 64 MiB", "CPU s/GiB"),),
        partial(moved, row="download", move=transfer.downloads),
    ),
    Workload(
        "upload", (Row("upload", "upload of 64 MiB", "CPU s/GiB"),), partial(moved, row="upload", move=transfer.uploads)
    ),
    Workload(
        "latency",
        (
            Row("latency-p50", "1 KiB, lone caller: added p50", "µs", added=True),
            Row("latency-p99", "1 KiB, lone caller: added p99", "µs", added=True),
        ),
        latency,
        direct=latency_direct,
    ),
    Workload(
        "sse", (Row("sse-p50", "server-sent event: p50", "µs"), Row("sse-p99", "server-sent event: p99", "µs")), sse
    ),
    Workload("idle", (Row("idle", "idle connection", "KiB"),), memory, fresh=True),
    _sized(1, 1),
    _sized(100, 1),
    _sized(1000, 1),
    _sized(100, 100),
)
