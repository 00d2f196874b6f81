"""How long a token endpoint that answers 503 says to wait: seconds or a date, by its own clock (T7)."""

import time
from email.utils import formatdate

import pytest
from multidict import CIMultiDict

from proxy.credentials.answers import Passing, read_answer

from .conftest import NOW, provider


def wait(retry_after, **headers):
    """Give the seconds that such an answer is read as, None without."""
    outcome = read_answer(503, CIMultiDict({"Retry-After": retry_after, **headers}), b"", provider(), NOW)
    assert isinstance(outcome, Passing)
    assert "the token endpoint answered 503" == outcome.reason
    return outcome.retry_after


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        (time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(NOW + 90)), 90.0),
        (time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(NOW + 90)), 90.0),
        (time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(NOW - 90)), 0.0),
        ("99999999999", 86400.0),
        ("9" * 400, 86400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Fri, 99 Foo 2027 99:99:99 GMT", None),
    ],
)
def test_retry_after(value, expected):
    """Seconds or a date, at most a day."""
    assert expected == wait(value)


def http_date(at):
    return formatdate(at, usegmt=True)


@pytest.mark.parametrize(
    ("expected", "retry_after", "date"),
    [
        (90.0, http_date(NOW + 90), http_date(NOW)),
        (90.0, http_date(NOW + 7290), http_date(NOW + 7200)),
        (90.0, http_date(NOW - 7110), http_date(NOW - 7200)),
        (0.0, http_date(NOW + 7190), http_date(NOW + 7200)),
        (86400.0, http_date(NOW), http_date(NOW - 10**6)),
        (90.0, http_date(NOW + 90), "yesterday"),
        (90.0, http_date(NOW + 90), ""),
        (90.0, "90", http_date(NOW + 7200)),
        (None, "soon", http_date(NOW)),
    ],
)
def test_retry_after_of_a_vendor_whose_clock_is_wrong(expected, retry_after, date):
    """A date is held against the vendor's own Date; seconds are seconds."""
    assert expected == wait(retry_after, Date=date)


@pytest.fixture
def far_west(monkeypatch):
    """Give this machine a local time that is not UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC+7")
        time.tzset()
        yield
    time.tzset()


def test_retry_after_in_the_form_of_asctime(far_west):
    """It is UTC wherever we are (RFC 9110 section 5.6.7)."""
    assert 90.0 == wait(time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(NOW + 90)))
