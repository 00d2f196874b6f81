"""What is counted of requests, how it is told, and that no caller can add to the labels."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from proxy import __version__
from proxy.metrics import BOUNDS, Levels, Metrics

ROUTES = [("/a", "acme"), ("orders", "acme"), ("/b", "other")]
CANARY = "canary-of-a-caller"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def told(metrics: Metrics) -> Samples:
    """Give every sample as Prometheus reads it, by its name and labels."""
    registry = CollectorRegistry()
    registry.register(metrics)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"bearer_proxy_{name}", frozenset(labels.items())))


def labels(samples: Samples, label: str) -> set[str]:
    """Give every value that a label has anywhere."""
    return {text for _, pairs in samples for name, text in pairs if name == label}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(ROUTES)


def test_requests(metrics):
    """They are counted by route, the route's credential, method and status."""
    for route, method, status in (
        ("/a", "GET", 200),
        ("/a", "GET", 200),
        ("/a", "POST", 200),
        ("/b", "GET", 200),
        ("orders", "GET", 499),
    ):
        metrics.request(route, method, status, 0.1, 0, 0)
    samples = told(metrics)
    expected = {
        ("/a", "acme", "GET", "200"): 2,
        ("/a", "acme", "POST", "200"): 1,
        ("/b", "other", "GET", "200"): 1,
        ("orders", "acme", "GET", "499"): 1,
    }
    found = {
        (by["route"], by["credential"], by["method"], by["code"]): count
        for (name, pairs), count in samples.items()
        if name == "bearer_proxy_requests_total" and (by := dict(pairs))
    }
    assert expected == found


def test_seconds(metrics):
    """A request is in each bucket whose bound it does not exceed, and in the sum and the count."""
    durations = (0.0, 0.005, 0.0051, 1.0, 60.0, 61.0)
    for seconds in durations:
        metrics.request("/a", "GET", 200, seconds, 0, 0)
    samples = told(metrics)
    bounds = [f"{bound:g}" if bound < 1 else f"{bound:.1f}" for bound in BOUNDS]
    expected = [sum(seconds <= bound for seconds in durations) for bound in BOUNDS]
    read = [
        next(
            count
            for (name, pairs), count in samples.items()
            if name == "bearer_proxy_request_seconds_bucket"
            and dict(pairs)["route"] == "/a"
            and float(dict(pairs)["le"]) == float(bound)
        )
        for bound in bounds
    ]
    assert expected == read
    assert 6 == value(samples, "request_seconds_bucket", route="/a", le="+Inf")
    assert 6 == value(samples, "request_seconds_count", route="/a")
    assert sum(durations) == pytest.approx(value(samples, "request_seconds_sum", route="/a"))
    assert 0 == value(samples, "request_seconds_count", route="/b")


def test_bytes(metrics):
    """Those of both directions are added up by route."""
    metrics.request("/a", "PUT", 200, 0.1, 338, 1 << 40)
    metrics.request("/a", "PUT", 200, 0.1, 2, 1)
    samples = told(metrics)
    assert (340, (1 << 40) + 1) == tuple(
        value(samples, f"{way}_bytes_total", route="/a") for way in ("sent", "received")
    )
    assert (0, 0) == tuple(value(samples, f"{way}_bytes_total", route="/b") for way in ("sent", "received"))


def test_levels(metrics):
    """They are those of the moment at which they are read, and the active connections those that are not idle."""
    assert 0 == value(told(metrics), "connections", side="caller", state="active")
    metrics.levels = lambda: Levels(
        callers=10, callers_idle=3, upstream=5, upstream_idle=5, in_flight=7, pending=2, spool_bytes=9, log_lines_lost=4
    )
    samples = told(metrics)
    assert [7, 3, 0, 5] == [
        value(samples, "connections", side=side, state=state)
        for side in ("caller", "upstream")
        for state in ("active", "idle")
    ]
    names = ("requests_in_flight", "requests_pending", "spool_bytes", "log_lines_lost_total")
    assert [7, 2, 9, 4] == [value(samples, name) for name in names]


def test_version(metrics):
    """It is told which one runs."""
    assert 1 == value(told(metrics), "build_info", version=__version__)


@pytest.mark.parametrize("route", ["", CANARY])
def test_request_on_no_route(metrics, route):
    """It is counted under no name."""
    metrics.request(route, "GET", 404, 0.001, 100, 0)
    samples = told(metrics)
    assert 1 == value(samples, "requests_total", route="", credential="", method="GET", code="404")
    assert {"", "/a", "/b", "orders"} == labels(samples, "route")


def test_odd_methods_and_statuses(metrics):
    """However many there are, they go under one name each."""
    for number in range(1000):
        metrics.request("/a", f"{CANARY}{number}", 200, 0.1, 0, 0)
        metrics.request("/a", "get", 200, 0.1, 0, 0)
        metrics.request("/a", "GET", 600 + number, 0.1, 0, 0)
        metrics.request("/a", "GET", -number, 0.1, 0, 0)
    samples = told(metrics)
    assert 2000 == value(samples, "requests_total", route="/a", credential="acme", method="other", code="200")
    assert 2000 == value(samples, "requests_total", route="/a", credential="acme", method="GET", code="other")
    assert {"GET", "other"} == labels(samples, "method")
    assert CANARY not in str(samples)
    assert 2 == len(metrics._routes["/a"].requests)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\u00e9"])
def test_odd_name_in_the_configuration(name):
    """It is read as it was written."""
    metrics = Metrics([(name, name)])
    metrics.request(name, "GET", 200, 0.1, 0, 0)
    assert 1 == value(told(metrics), "requests_total", route=name, credential=name, method="GET", code="200")


def test_read_while_requests_are_counted(metrics, monkeypatch):
    """What comes up meanwhile is in the next answer, and this one is whole."""
    metrics.request("/a", "GET", 200, 0.1, 0, 0)
    metrics.request("/a", "GET", 201, 0.1, 0, 0)
    add, statuses = CounterMetricFamily.add_metric, itertools.count(202)

    def interrupted(*arguments: Any, **named: Any) -> None:
        metrics.request("/a", "GET", next(statuses), 0.1, 0, 0)
        add(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(CounterMetricFamily, "add_metric", interrupted)
        assert {"200", "201"} == labels(told(metrics), "code")
    assert {"200", "201", "202"} < labels(told(metrics), "code")
