"""The line of a request: what it tells, and that nothing of a query but names gets into it."""

import logging

import pytest

from proxy.gateway import accesslog
from proxy.gateway.message import Trail

TRAIL = Trail(route="/a", credential="acme", generation=7, replayed=True, error="caller_hung_up")


@pytest.fixture
def written(caplog):
    """Write one line and give its record."""
    caplog.set_level(logging.INFO, "bearer_proxy.access")

    def write(target="/a", method="GET", trail=TRAIL):
        caplog.clear()
        accesslog.write(method, target, 200, 1234, 0.01234, "127.0.0.1", trail)
        (record,) = caplog.records
        return record

    return write


def test_line(written):
    """It holds what happened and nothing else."""
    record = written("/a/b?c=d")
    expected = {
        "method": "GET",
        "path": "/a/b?c",
        "status": 200,
        "milliseconds": 12.3,
        "bytes": 1234,
        "route": "/a",
        "credential": "acme",
        "generation": 7,
        "replayed": True,
        "error": "caller_hung_up",
        "peer": "127.0.0.1",
    }
    assert ("GET /a/b?c 200", logging.INFO) == (record.getMessage(), record.levelno)
    assert expected == record.fields
    assert {"method", "path", "status"} == set(record.shown)


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        ("/a", "/a"),
        ("/a", "/a?"),
        ("/a?b,c", "/a?b=SECRET&c=SECRET"),
        ("/a?b,b", "/a?b=SECRET;b=SECRET"),
        ("/a?access_token", "/a?access%5Ftoken=SECRET"),
        ("/a", "/a?SECRET"),
        ("/a?b", "/a?SECRET&b=&SECRET"),
        ("/a?b", "/a?b=SECRET?SECRET=SECRET"),
        ("/a?b?", "/a?b?=SECRET"),
        ("/a", "http://user:SECRET@h/a"),
        ("/", "http://SECRET"),
        ("(malformed target)", "SECRET"),
        ("(malformed target)", "/a#SECRET"),
        ("(malformed target)", "/a\nSECRET"),
        ("(malformed target)", ""),
        ("/%0Aa", "/%0Aa"),
        ("/\\xe9", "/\u00e9"),
        ("/a?\\x1b[1m\\nb", "/a?%1b%5b1m%0Ab=SECRET"),
    ],
)
def test_target(written, expected, target):
    """A path and the names of parameters, in one line of ASCII; never a value, never an authority."""
    assert expected == written(target).fields["path"]


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        ("/" + "a" * 199, "/" + "a" * 999),
        ("/a?" + "b" * 200, "/a?" + "b" * 999 + "="),
        ("/" + "\\u2603" * 199, "/" + "\u2603" * 999),
    ],
)
def test_long_target(written, expected, target):
    """It is cut."""
    assert expected == written(target).fields["path"]


def test_long_method(written):
    """It is cut."""
    record = written(method="M" * 99)
    assert "M" * 20 == record.fields["method"]
    assert record.getMessage().startswith("M" * 20 + " ")


def test_request_that_got_nowhere(written):
    """What is not known is empty."""
    fields = written(trail=Trail()).fields
    assert ("", "", None, False, "") == tuple(
        fields[name] for name in ("route", "credential", "generation", "replayed", "error")
    )


def test_name_that_looks_like_a_field_of_the_line(written):
    """In the line for people a caller's text does not stand where a field of ours may."""
    assert " " not in written("/a?x%20status%3d200=SECRET").fields["path"]


def test_level_that_is_too_high(caplog):
    """Nothing is written."""
    caplog.set_level(logging.WARNING, "bearer_proxy.access")
    accesslog.write("GET", "/a", 200, 0, 0.0, "", Trail())
    assert [] == caplog.records
