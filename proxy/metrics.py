"""What is counted, as plain numbers while requests go by, and as Prometheus's metric families when they are read.

A request costs a few additions: no locks, no objects made. Labels are the configuration's names and words of ours, and
what a caller chose is one of few known values: an unknown route is the route "", an odd method is `other`. Whoever
reads may do so in another thread: each figure is then right, though not all are of the very same moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from . import __version__

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
OTHER = "other"
_STATUSES = range(100, 600)
_LE = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")


@dataclass(frozen=True, slots=True)
class Levels:
    """How much there is at this moment, and what the gateway has counted by itself.

    `callers` and `upstream` are open connections, the idle ones among them told apart; `pending` are requests that
    wait for a connection to an upstream.
    """

    callers: int = 0
    callers_idle: int = 0
    upstream: int = 0
    upstream_idle: int = 0
    in_flight: int = 0
    pending: int = 0
    spool_bytes: int = 0
    log_lines_lost: int = 0


class _Route:
    """The figures of one route."""

    __slots__ = ("buckets", "credential", "name", "received", "requests", "seconds", "sent")

    def __init__(self, name: str, credential: str, before: _Route | None = None) -> None:
        """Begin at 0; what is told by the route alone goes on from `before`."""
        self.name = name
        self.credential = credential
        self.requests: dict[tuple[str, int], int] = {}
        self.buckets: list[int] = [0] * len(_LE) if before is None else before.buckets
        self.seconds: float = 0.0 if before is None else before.seconds
        self.sent: int = 0 if before is None else before.sent
        self.received: int = 0 if before is None else before.received


class Metrics(Collector):
    """Counts requests on `routes`, pairs of a route's name and its credential's. `levels` is asked when it is read."""

    def __init__(self, routes: Iterable[tuple[str, str]], levels: Callable[[], Levels] = Levels) -> None:
        self.levels = levels
        self._nowhere = _Route("", "")
        self._routes: dict[str, _Route] = {}
        self.add_routes(routes)

    def add_routes(self, routes: Iterable[tuple[str, str]]) -> None:
        """Count requests on further routes. Where a route's credential has changed, its requests count from 0 again."""
        for name, credential in routes:
            before = self._routes.get(name)
            if before is None or before.credential != credential:
                self._routes[name] = _Route(name, credential, before)

    def request(self, route: str, method: str, status: int, seconds: float, sent: int, received: int) -> None:
        """Count a request that is over. `sent` and `received` are bytes of bodies, to the caller and from it."""
        figures = self._routes.get(route) or self._nowhere
        requests = figures.requests
        key = method, status
        if key in requests:
            requests[key] += 1
        else:
            _count_new(requests, method, status)
        figures.buckets[bisect_left(BOUNDS, seconds)] += 1
        figures.seconds += seconds
        figures.sent += sent
        figures.received += received

    def collect(self) -> Iterator[Metric]:
        """Give the families."""
        routes = [self._nowhere, *self._routes.values()]
        yield _requests(routes)
        yield _seconds(routes)
        yield from _bytes(routes)
        yield from _levels(self.levels())
        build = GaugeMetricFamily("bearer_proxy_build_info", "Which version runs.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build


def _count_new(requests: dict[tuple[str, int], int], method: str, status: int) -> None:
    """Count a request of which there was none alike, or which goes under other labels than its own."""
    key = method if method in METHODS else OTHER, status if status in _STATUSES else 0
    requests[key] = requests.get(key, 0) + 1


def _requests(routes: list[_Route]) -> Metric:
    labels = ("route", "credential", "method", "code")
    family = CounterMetricFamily(
        "bearer_proxy_requests", "Requests answered, 499 where the caller hung up.", labels=labels
    )
    for route in routes:
        for (method, status), count in list(route.requests.items()):
            family.add_metric((route.name, route.credential, method, str(status) if status else OTHER), count)
    return family


def _seconds(routes: list[_Route]) -> Metric:
    family = HistogramMetricFamily(
        "bearer_proxy_request_seconds", "From a request's head to its answer's last byte.", labels=("route",)
    )
    for route in routes:
        family.add_metric((route.name,), list(zip(_LE, accumulate(route.buckets), strict=True)), route.seconds)
    return family


def _bytes(routes: list[_Route]) -> Iterator[Metric]:
    sent = CounterMetricFamily("bearer_proxy_sent_bytes", "Bytes of bodies that went to callers.", labels=("route",))
    received = CounterMetricFamily(
        "bearer_proxy_received_bytes", "Bytes of bodies that came from callers.", labels=("route",)
    )
    for route in routes:
        sent.add_metric((route.name,), route.sent)
        received.add_metric((route.name,), route.received)
    yield sent
    yield received


def _levels(levels: Levels) -> Iterator[Metric]:
    connections = GaugeMetricFamily("bearer_proxy_connections", "Open connections.", labels=("side", "state"))
    for side, total, idle in (
        ("caller", levels.callers, levels.callers_idle),
        ("upstream", levels.upstream, levels.upstream_idle),
    ):
        connections.add_metric((side, "active"), max(total - idle, 0))
        connections.add_metric((side, "idle"), idle)
    yield connections
    yield GaugeMetricFamily("bearer_proxy_requests_in_flight", "Requests that are not over yet.", levels.in_flight)
    yield GaugeMetricFamily(
        "bearer_proxy_requests_pending", "Requests that wait for a connection to an upstream.", levels.pending
    )
    yield GaugeMetricFamily("bearer_proxy_spool_bytes", "Bytes of request bodies kept on disk.", levels.spool_bytes)
    yield CounterMetricFamily(
        "bearer_proxy_log_lines_lost", "Lines of the access log that could not be written.", levels.log_lines_lost
    )
