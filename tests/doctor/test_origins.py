"""What the probe of an origin means, as tables: both sides of each boundary."""

import pytest

from proxy.doctor.facts import Failure, OriginSeen
from proxy.doctor.finding import Level
from proxy.doctor.origins import judge_origin, judge_skew, origins_of

from .conftest import NOW, credential

DAY = 86400.0
ORIGIN = "https://api.acme.example"


def judged(**seen):
    return list(
        judge_origin(ORIGIN, "upstream of acme", OriginSeen(status=404, seconds=0.5, **seen), now=NOW, limit=10.0)
    )


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (0.0, Level.OK, "our clocks agree"),
        (-1.9, Level.OK, "our clocks agree"),
        (2.0, Level.OK, "2 s apart"),
        (60.0, Level.OK, "60 s apart"),
        (60.1, Level.WARNING, "61 s ahead of"),
        (-60.0, Level.OK, "60 s apart"),
        (-60.1, Level.WARNING, "61 s behind"),
        (300.0, Level.WARNING, "300 s ahead of"),
        (300.1, Level.PROBLEM, "301 s ahead of"),
        (-300.0, Level.WARNING, "300 s behind"),
        (-300.1, Level.PROBLEM, "301 s behind"),
    ],
)
def test_skew(ahead, level, words):
    """More than a minute is a warning, more than five a problem; and it is said what to do, and why."""
    finding = judge_skew(ORIGIN, ahead)
    assert level is finding.level
    assert words in finding.text
    if level is not Level.OK:
        assert "NTP" in finding.next_step
        assert "Retry-After" in finding.next_step


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (90.9, Level.OK, "good for 90 days"),
        (14.0, Level.OK, "good for 14 days"),
        (13.99, Level.WARNING, "expires in 14.0 days"),
        (0.5, Level.WARNING, "expires in 0.5 days"),
        (-1.0, Level.WARNING, "expires in 0.0 days"),
    ],
)
def test_certificate(days, level, words):
    """Less than a fortnight is a warning."""
    (finding,) = [one for one in judged(certificate_until=NOW + days * DAY) if one.check == "tls"]
    assert (level, True) == (finding.level, words in finding.text)


def test_plain_http():
    """Of TLS there is nothing to say."""
    found = judged(asked_at=NOW, server_time=NOW)
    assert ["network", "clock"] == [one.check for one in found]
    assert "DNS and TCP fine; HTTP 404 after 0.50 s" == found[0].text


def test_any_status_is_an_answer():
    """An origin that answers 404 to `/` can be reached."""
    assert {Level.OK} == {one.level for one in judged(certificate_until=NOW + 90 * DAY)}


def test_no_date():
    """How far apart the clocks are is unknown, and nobody's fault."""
    (finding,) = [one for one in judged() if one.check == "clock"]
    assert (Level.OK, True) == (finding.level, "unknown" in finding.text)


@pytest.mark.parametrize("failure", Failure)
def test_failure(failure):
    """Each is one problem, in words of ours, with a step."""
    (finding,) = judged(failure=failure)
    assert (Level.PROBLEM, "network", ORIGIN) == (finding.level, finding.check, finding.subject)
    assert "{" not in finding.text + finding.next_step


def test_failures_are_told_apart():
    """No two have the same text."""
    assert len(Failure) == len({judged(failure=one)[0].text for one in Failure})


def test_origins():
    """Each is looked at once, whoever names it, without path and query, and what is not configured is left out."""
    found = origins_of(
        [
            credential(
                upstream="https://A.example/v1",
                token_url="https://a.example:443/token?x=1",
                authorize_url="http://[::1]:81/a",
            ),
            credential("second", upstream="https://a.example/v2", token_url="", provider_name="other"),
            credential("third", upstream="https://never.example", missing=("client_id",)),
        ]
    )
    assert {
        "https://a.example": "upstream, token_url of acme; upstream of other",
        "http://[::1]:81": "authorize_url of acme",
    } == {origin: uses for origin, (_, uses) in found.items()}
    assert ("::1", 81) == (found["http://[::1]:81"][0].host, found["http://[::1]:81"][0].port)
