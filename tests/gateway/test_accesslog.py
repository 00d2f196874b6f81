"""The line of a request: the very bytes of an ordinary record, and nothing of a query in it but names."""

import itertools
import json
import logging
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.gateway import accesslog
from proxy.gateway.accesslog import AccessLog, open_access_log
from proxy.gateway.message import Trail
from proxy.logs import JsonFormatter, Lines, TextFormatter, configure

NOW = 1_800_000_000_123_000_000  # nanoseconds
TRAIL = Trail(client="erp", route="/a", credential="acme", generation=7, replayed=True, error="caller_hung_up")
FORMATTERS = {"text": TextFormatter(), "json": JsonFormatter()}
SECRET = "canary-in-a-value"


def written(log_format, target="/a", method="GET", trail=TRAIL, status=200, sent=1234, seconds=0.01234, peer="::1"):
    """Give what is written of one request, now."""
    stream = StringIO()
    log = AccessLog(log_format, Lines(stream), clock=lambda: NOW)
    log.write(method, target, status, sent, seconds, peer, trail)
    return stream.getvalue()


def formatted(log_format, path="/a", method="GET", trail=TRAIL, status=200, sent=1234, seconds=0.01234, peer="::1"):
    """Give the same as an ordinary record with such fields is written."""
    record = logging.LogRecord(
        "bearer_proxy.access", logging.INFO, "x.py", 1, "%s %s %d", (method[:20], path, status), None
    )
    record.created = NOW / 1e9
    record.shown = ("method", "path", "status")
    record.fields = {
        "method": method[:20],
        "path": path,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "bytes": sent,
        "client": trail.client,
        "route": trail.route,
        "credential": trail.credential,
        "generation": trail.generation,
        "replayed": trail.replayed,
        "error": trail.error,
        "peer": peer,
    }
    return FORMATTERS[log_format].format(record) + "\n"


def shown(target):
    """Give what is shown of a target."""
    return json.loads(written("json", target))["path"]


@pytest.fixture
def opened():
    """Configure logging to a stream, open the access log, and put all back when the test is over."""
    loggers = [logging.getLogger(name) for name in ("bearer_proxy", "aiohttp", "asyncio")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    logs = []

    def made(stream, *, level="info", access_log=True):
        configure("text", level, stream)
        config: Any = SimpleNamespace(access_log=access_log, log_format="text")
        logs.append(open_access_log(config))
        return logs[-1], stream

    yield made
    for log in filter(None, logs):
        log.close()
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


def test_line():
    """It holds what happened and nothing else."""
    assert (
        "2027-01-15T08:00:00.123Z INFO GET /a/b?c 200 milliseconds=12.3 bytes=1234 client=erp route=/a "
        "credential=acme generation=7 replayed=True error=caller_hung_up peer=::1\n"
    ) == written("text", "/a/b?c=d")
    assert (
        '{"time": "2027-01-15T08:00:00.123Z", "level": "info", "logger": "bearer_proxy.access", '
        '"message": "GET /a/b?c 200", "method": "GET", "path": "/a/b?c", "status": 200, "milliseconds": 12.3, '
        '"bytes": 1234, "client": "erp", "route": "/a", "credential": "acme", "generation": 7, "replayed": true, '
        '"error": "caller_hung_up", "peer": "::1"}\n'
    ) == written("json", "/a/b?c=d")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"trail": Trail()},
        {"trail": Trail(route="/a", credential="acme")},
        {"trail": Trail(client="erp")},
        {"trail": Trail(route='"\\ \u00e9\n', credential="\u2603", generation=0)},
        {"method": "PROPFIND"},
        {"method": "-"},
        {"method": "M" * 99},
        {"status": 499, "sent": 0, "seconds": 0.0, "peer": ""},
        {"sent": 1 << 40, "seconds": 86_400.06},
        {"seconds": 0.00005},
        {"seconds": 0.00015},
        {"seconds": 123.45678},
        {"peer": "unix"},
        {"peer": "fe80::1%eth0"},
        {"peer": '"'},
    ],
)
def test_same_as_an_ordinary_record(log_format, fields):
    """Each byte is what logging would have written."""
    assert formatted(log_format, **fields) == written(log_format, **fields)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("path", ["/\\xe9", "(malformed target)", '/"', "/\\\\", "/a?\\x1b[1m\\nb"])
def test_odd_path_as_in_an_ordinary_record(log_format, path):
    """What is escaped in it is escaped as there."""
    targets = {
        "/\\xe9": "/\u00e9",
        "(malformed target)": "-",
        '/"': '/"',
        "/\\\\": "/\\",
        "/a?\\x1b[1m\\nb": f"/a?%1b%5b1m%0Ab={SECRET}",
    }
    assert formatted(log_format, path) == written(log_format, targets[path])


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        ("/a", "/a"),
        ("/a", "/a?"),
        ("/a?b,c", f"/a?b={SECRET}&c={SECRET}"),
        ("/a?b,b", f"/a?b={SECRET};b={SECRET}"),
        ("/a?access_token", f"/a?access%5Ftoken={SECRET}"),
        ("/a", f"/a?{SECRET}"),
        ("/a?b", f"/a?{SECRET}&b=&{SECRET}"),
        ("/a?b", f"/a?b={SECRET}?{SECRET}={SECRET}"),
        ("/a?b?", f"/a?b?={SECRET}"),
        ("/a", f"http://user:{SECRET}@h/a"),
        ("/", f"http://{SECRET}"),
        ("(malformed target)", SECRET),
        ("(malformed target)", f"/a#{SECRET}"),
        ("(malformed target)", f"/a\n{SECRET}"),
        ("(malformed target)", f"/a\x7f{SECRET}"),
        ("-", ""),
        ("(malformed target)", "-"),
        ("/%0Aa", "/%0Aa"),
        ("/\\xe9", "/\u00e9"),
        ('/a"b', '/a"b'),
        ("/a\\\\b", "/a\\b"),
        ("/a?\\x1b[1m\\nb", f"/a?%1b%5b1m%0Ab={SECRET}"),
        ("/a?\\xc3\\xa9", f"/a?%c3%a9={SECRET}"),
        ("/" + "a" * 199, "/" + "a" * 199),
        ("/" + "a" * 199, "/" + "a" * 999),
        ("/a?" + "b" * 200, "/a?" + "b" * 999 + "="),
        ("/" + "\\u2603" * 199, "/" + "\u2603" * 999),
    ],
)
def test_target(expected, target):
    """A path and the names of parameters, cut, in one line of ASCII; never a value, never an authority."""
    assert expected == shown(target)


def test_plain_target():
    """The short way says of every target what the long way says, or leaves it to that."""
    parts = ("a", "?", "&", ";", "=", "%41", "+", '"', "\\", "#", " ", "\x7f", "\u00e9", "/")
    targets = ["/" + "".join(one) for length in range(5) for one in itertools.product(parts, repeat=length)]
    ways = [(accesslog._plain_path(target), accesslog._shown(target)) for target in targets]
    assert [] == [pair for pair in ways if pair[0] not in ("", pair[1])]
    assert 3000 < sum(short != "" for short, _ in ways)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_method_with_control_characters(log_format):
    """The line stays one line."""
    assert 1 == written(log_format, method="G\n\x1b").count("\n")


def test_name_that_looks_like_a_field_of_the_line():
    """In the line for people a caller's text does not stand where a field of ours may."""
    assert " " not in shown(f"/a?x%20status%3d200={SECRET}")


def test_time():
    """Each line has its own, whichever way the clock goes."""
    moments = [NOW, NOW + 999_999, NOW + 877_000_000, NOW + 876_999_999, NOW - 86_400 * 10**9]
    stream, times = StringIO(), iter(moments)
    log = AccessLog("text", Lines(stream), clock=lambda: next(times))
    for _ in moments:
        log.write("GET", "/a", 200, 0, 0.0, "", Trail())
    assert [
        "2027-01-15T08:00:00.123Z",
        "2027-01-15T08:00:00.123Z",
        "2027-01-15T08:00:01.000Z",
        "2027-01-15T08:00:00.999Z",
        "2027-01-14T08:00:00.123Z",
    ] == [line.split(" ")[0] for line in stream.getvalue().splitlines()]


def test_ever_new_generations():
    """What is kept ready of lines has a limit, and the lines are right all the same."""
    stream = StringIO()
    log = AccessLog("json", Lines(stream))
    for generation in range(3000):
        log.write("GET", "/a", 200, 0, 0.0, "", replace(TRAIL, generation=generation))
    assert 1024 >= len(log._ends)
    assert [*range(3000)] == [json.loads(line)["generation"] for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("wanted", "level", "switch"),
    [
        (True, "debug", True),
        (True, "info", True),
        (False, "warning", True),
        (False, "error", True),
        (False, "info", False),
    ],
)
def test_lines_that_nobody_wants(opened, wanted, level, switch):
    """Switched off, or with a level above info, there is no access log to write to."""
    log, stream = opened(StringIO(), level=level, access_log=switch)
    assert wanted == (log is not None)
    assert "" == stream.getvalue()


async def test_order(opened):
    """A line stands before what is logged after it, though it waited, and the rest is there when the log is closed."""
    log, stream = opened(StringIO())
    log.write("GET", "/a", 200, 0, 0.0, "", Trail())
    assert "" == stream.getvalue()
    logging.getLogger("bearer_proxy.x").info("between")
    log.write("GET", "/b", 200, 0, 0.0, "", Trail())
    log.close()
    assert ["GET", "between", "GET"] == [line.split(" ")[2] for line in stream.getvalue().splitlines()]
