"""Log lines for people and for machines, and that no library's words get into either."""

import io
import json
import logging
import sys

import pytest

from proxy.logs import JsonFormatter, TextFormatter, configure

SECRET = "tok-5ecret"
FIELDS = {"path": "/a", "status": 200, "error": "", "generation": None, "replayed": False, "credential": "acme"}


@pytest.fixture(autouse=True)
def _restored():
    """Logging is as before when a test is over."""
    loggers = [logging.getLogger(name) for name in ("bearer_proxy", "aiohttp", "asyncio")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:] = handlers
        one.setLevel(level)
        one.propagate = propagate


def record(message="it runs", *arguments, exc_info=None, **extra):
    made = logging.LogRecord("bearer_proxy.x", logging.INFO, "x.py", 1, message, arguments, exc_info)
    made.created = 1_800_000_000.1234
    vars(made).update(extra)
    return made


def caught():
    """Give an exception whose words, and whose cause's words, hold a secret."""
    try:
        _fail()
    except ValueError:
        return sys.exc_info()


def _fail():
    raise ValueError(SECRET) from KeyError(SECRET)


@pytest.mark.parametrize(
    ("expected", "extra"),
    [
        ("", {}),
        (" path=/a status=200 credential=acme", {"fields": FIELDS}),
        (" credential=acme", {"fields": FIELDS, "shown": ("path", "status")}),
        (" replayed=True", {"fields": {"replayed": True}}),
        (" bytes=0 milliseconds=0.0", {"fields": {"bytes": 0, "milliseconds": 0.0}}),
    ],
)
def test_text(expected, extra):
    """A line has the time in UTC, the level, the message, and the fields that say something more."""
    line = TextFormatter().format(record("it %s", "runs", **extra))
    assert f"2027-01-15T08:00:00.123Z INFO it runs{expected}" == line


def test_json():
    """A line is one object, with every field as it is."""
    line = JsonFormatter().format(record('"it"\n%s', "runs", fields=FIELDS, shown=("path",)))
    expected = {
        "time": "2027-01-15T08:00:00.123Z",
        "level": "info",
        "logger": "bearer_proxy.x",
        "message": '"it"\nruns',
        **FIELDS,
    }
    assert expected == json.loads(line)
    assert "\n" not in line


def test_text_with_a_traceback():
    """The frames stand below the line, without the exception's words."""
    line, *frames = TextFormatter().format(record(exc_info=caught())).split("\n")
    assert "2027-01-15T08:00:00.123Z INFO it runs" == line
    expected = [f"  at {name} ({__file__}:" for name in ("caught", "_fail")]
    assert expected == [frame[: frame.rindex(":") + 1] for frame in frames]


def test_json_with_a_traceback():
    """The frames are a list, without the exception's words."""
    line = JsonFormatter().format(record(exc_info=caught()))
    assert SECRET not in line
    assert [f"  at {name} (" for name in ("caught", "_fail")] == [
        frame[: frame.index("(") + 1] for frame in json.loads(line)["traceback"]
    ]


@pytest.mark.parametrize("nothing", [None, (None, None, None)])
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_no_traceback(formatter, nothing):
    """Without an exception there are no frames."""
    line = formatter.format(record(exc_info=nothing))
    assert "traceback" not in line
    assert "  at" not in line


@pytest.mark.parametrize(
    ("expected", "level"),
    [
        (["d", "i", "w", "e"], "debug"),
        (["i", "w", "e"], "info"),
        (["w", "e"], "warning"),
        (["e"], "error"),
    ],
)
def test_level(expected, level):
    """What is below it is not written."""
    stream = io.StringIO()
    configure("json", level, stream)
    log = logging.getLogger("bearer_proxy.y")
    for write, message in ((log.debug, "d"), (log.info, "i"), (log.warning, "w"), (log.error, "e")):
        write(message)
    assert expected == [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


def test_format_by_default(capsys):
    """Text goes to standard error."""
    configure("text", "info")
    logging.getLogger("bearer_proxy").info("hello")
    printed = capsys.readouterr()
    assert ("", True) == (printed.out, printed.err.endswith("Z INFO hello\n"))


def test_configured_twice():
    """There is one handler still, and each line comes once."""
    streams = [io.StringIO(), io.StringIO()]
    for stream in streams:
        configure("text", "info", stream)
    logging.getLogger("bearer_proxy").info("hello")
    logging.getLogger("aiohttp").error("hello")
    assert [0, 2] == [len(stream.getvalue().splitlines()) for stream in streams]


@pytest.mark.parametrize("name", ["aiohttp", "aiohttp.server", "aiohttp.access", "aiohttp.client", "asyncio"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_library_that_reports_an_error(log_format, name):
    """It is told where and of which kind, in none of the library's words."""
    stream = io.StringIO()
    configure(log_format, "debug", stream)
    log = logging.getLogger(name)
    log.error("%s failed", SECRET, exc_info=caught())
    log.error("%s failed", SECRET)
    log.warning("%s is slow", SECRET)
    log.info(SECRET)
    written = stream.getvalue()
    assert SECRET not in written
    assert [1, 1, 2] == [
        written.count(words) for words in (" reports ValueError (", " reports an error (", " reports ")
    ]
    assert f"{name} reports ValueError (test_logs:" in written
