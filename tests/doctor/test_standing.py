"""What was seen of store, folders, addresses and credentials means, as tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config import Problem
from proxy.credentials import policy
from proxy.credentials.answers import Passing, Refused, Uncertain
from proxy.credentials.health import Health
from proxy.credentials.policy import Terms
from proxy.credentials.record import Origin, Record, Tokens, TroubleKind
from proxy.doctor.facts import FolderSeen, Held, Holder, Presence, StoreSeen
from proxy.doctor.finding import Finding, Level
from proxy.doctor.standing import (
    SPACE_PROBLEM,
    SPACE_WARNING,
    judge_configuration,
    judge_health,
    judge_serving,
    judge_spool,
    judge_store,
    unknown_health,
)
from proxy.secret import Secret

from .conftest import NOW, credential

STORE = Path("/data/tokens.db")
FOLDER = FolderSeen(Path("/data"), free=SPACE_WARNING)
THERE = StoreSeen(STORE, Presence.SOMETHING, FOLDER)


def levels(findings):
    return [one.level for one in findings]


def text(findings):
    return "\n".join(map(str, findings))


def health(*, scope="", refresh="r", expires_in=1000.0, outcome=None, renewing=False, empty=False, **changes):
    config = credential(**changes)
    terms = Terms.of(config, 30.0)
    tokens = Tokens(
        access_token=Secret("a"), refresh_token=Secret(refresh) if refresh else None, expires_in=expires_in, scope=scope
    )
    record = Record(name="acme")
    if not empty:
        record = policy.accepted(record, tokens, Origin.LOGIN, NOW)
    if outcome is not None:
        record = policy.after(outcome, record, terms, NOW, 0.5)
    return Health(config, terms, record, renewing)


@pytest.mark.parametrize(
    ("seen", "expected", "words"),
    [
        (THERE, [Level.OK, Level.OK], "it opens"),
        (replace(THERE, presence=Presence.NOTHING), [Level.OK, Level.OK], "made at the first sign-in"),
        (replace(THERE, presence=Presence.EMPTY), [Level.OK, Level.OK], "made at the first sign-in"),
        (replace(THERE, presence=Presence.DANGLING), [Level.PROBLEM, Level.OK], "a link to a file that is not there"),
        (replace(THERE, trouble="it is damaged"), [Level.PROBLEM, Level.OK], "it is damaged"),
        (replace(THERE, permissions="others can read it"), [Level.OK, Level.WARNING, Level.OK], "chmod 600"),
        (replace(THERE, sharing="others may"), [Level.OK, Level.WARNING, Level.OK], "openssl rand -base64 32"),
        (replace(THERE, locks=(Path("/data/l"),)), [Level.OK, Level.PROBLEM, Level.OK], "/data/l: this lock file"),
        (replace(THERE, folder=replace(FOLDER, exists=False)), [Level.OK, Level.PROBLEM], "no such folder"),
        (replace(THERE, folder=replace(FOLDER, writable=False)), [Level.OK, Level.PROBLEM], "cannot write there"),
        (replace(THERE, folder=replace(FOLDER, open_to_others=True)), [Level.OK, Level.OK, Level.WARNING], "chmod o-w"),
        (replace(THERE, folder=replace(FOLDER, free=None)), [Level.OK], "it opens"),
        (replace(THERE, folder=replace(FOLDER, free=SPACE_WARNING - 1)), [Level.OK, Level.WARNING], "almost full"),
        (replace(THERE, folder=replace(FOLDER, free=SPACE_PROBLEM)), [Level.OK, Level.WARNING], "10 MiB"),
        (replace(THERE, folder=replace(FOLDER, free=SPACE_PROBLEM - 1)), [Level.OK, Level.PROBLEM], "almost full"),
    ],
)
def test_store(seen, expected, words):
    """What keeps it from being used is a problem, what endangers it a warning."""
    found = list(judge_store(seen))
    assert expected == levels(found)
    assert words in text(found)


def test_spool():
    """The spool folder is told of when it is another one than the store's."""
    assert [] == list(judge_spool(FOLDER, FOLDER))
    (finding,) = judge_spool(FolderSeen(Path("/spool"), writable=False), FOLDER)
    assert (Level.PROBLEM, "spool", True) == (finding.level, finding.check, "spool_dir" in finding.next_step)


@pytest.mark.parametrize(
    ("admin", "data", "expected", "words"),
    [
        (Holder.NOBODY, Holder.NOBODY, [Level.OK], "serve is not running"),
        (Holder.HIDDEN, Holder.NOBODY, [Level.OK], "serve is not running"),
        (Holder.OURS, Holder.OURS, [Level.OK], "serve is running"),
        (Holder.OURS, Holder.HIDDEN, [Level.OK], "serve is running"),
        (Holder.NOT_READY, Holder.OURS, [Level.OK, Level.WARNING], "/readyz"),
        (Holder.OURS, Holder.NOBODY, [Level.OK, Level.WARNING], "restart serve"),
        (Holder.ANOTHER, Holder.NOBODY, [Level.PROBLEM], "another address in `admin`"),
        (Holder.NOBODY, Holder.ANOTHER, [Level.PROBLEM], "another address in `listen`"),
        (Holder.SILENT, Holder.NOBODY, [Level.PROBLEM], "does not answer"),
        (Holder.ANOTHER, Holder.OURS, [Level.OK, Level.PROBLEM], "another program listens here"),
    ],
)
def test_serving(admin, data, expected, words):
    """Whether it runs is no problem; another program at its addresses is."""
    found = list(judge_serving([Held("localhost:8081", admin, admin=True), Held("localhost:8080", data)]))
    assert expected == levels(found)
    assert words in text(found)


def test_serving_without_a_control_plane():
    """The data plane's own answer is enough."""
    assert "serve is running" in text(judge_serving([Held("localhost:8080", Holder.OURS)]))
    assert "serve is not running" in text(judge_serving([]))


LATER = Passing("the token endpoint answered 503", 60.0)


@pytest.mark.parametrize(
    ("one", "expected", "words"),
    [
        (health(), [Level.OK], "acme: ok"),
        (health(renewing=True), [Level.OK], "acme: renewing"),
        (health(expires_in=-1.0), [Level.OK], "acme: expiring"),
        (health(outcome=LATER), [Level.WARNING], "retrying (until 2027-01-15 08:01:00 UTC)"),
        (health(outcome=Uncertain("lost")), [Level.WARNING], "uncertain (a renewal was cut off at 2027-01-15"),
        (health(outcome=Refused(TroubleKind.GRANT, "invalid_grant")), [Level.PROBLEM], "login required (the vendor"),
        (health(empty=True), [Level.PROBLEM], "acme: never signed in"),
        (health(empty=True, missing=("client_id",)), [Level.WARNING], "not configured (it lacks client_id)"),
        (health(refresh=""), [Level.OK, Level.WARNING], "it has no refresh token"),
        (health(refresh="", expires_in=-1.0), [Level.PROBLEM], "login required"),
        (health(refresh="", renew="none"), [Level.OK], "acme: ok"),
        (health(refresh="", renew="client_credentials"), [Level.OK], "acme: ok"),
        (health(scopes=("a", "b"), scope="b a"), [Level.OK], "acme: ok"),
        (health(scopes=("a", "b"), scope="a,b"), [Level.OK], "acme: ok"),
        (health(scopes=("a", "b"), scope=""), [Level.OK], "acme: ok"),
        (health(scopes=("a", "b", "c"), scope="a"), [Level.OK, Level.WARNING], "were not granted: b c"),
        (health(scopes=("a",), scope="a vendors"), [Level.OK, Level.OK], "1 scopes beyond"),
        (health(scope="a"), [Level.OK], "acme: ok"),
    ],
)
def test_credential(one, expected, words):
    """What needs a person is a problem, what may need one a warning."""
    found = list(judge_health(one, NOW))
    assert expected == levels(found)
    assert words in text(found)


def test_credential_that_expires_and_cannot_be_renewed():
    """A person should act before it is too late."""
    (finding,) = judge_health(health(refresh="", expires_in=1000.0), NOW + 950)
    assert (Level.WARNING, "expiring: the vendor gave no refresh token") == (finding.level, finding.text)
    assert finding.next_step.startswith("before it expires, run: bearer-proxy ")


def test_a_vendors_scopes_are_not_shown():
    """They are a vendor's text."""
    found = judge_health(health(scopes=("a",), scope="a canary\x1b[2J"), NOW)
    assert "canary" not in text(found)


def test_credentials_of_a_store_that_cannot_be_read():
    """What the configuration alone tells is told, of the rest that it cannot be told."""
    assert "it lacks client_id" in str(unknown_health(credential(missing=("client_id",))))
    assert Level.WARNING is unknown_health(credential()).level


def test_configuration():
    """Its warnings are passed on with their line, less those of credentials, which are told as credentials."""
    problems = [
        Problem("c.yaml", 3, "credentials.acme", "not configured: it lacks client_id", warning=True),
        Problem("c.yaml", 5, "listen", "odd", warning=True),
    ]
    missing = credential(missing=("client_id",))
    (finding,) = judge_configuration(Path("c.yaml"), problems, [missing])
    assert (Level.WARNING, "c.yaml:5", "listen: odd") == (finding.level, finding.subject, finding.text)
    (finding,) = judge_configuration(Path("c.yaml"), problems[:1], [missing])
    assert Level.OK is finding.level
    assert 2 == len(list(judge_configuration(Path("c.yaml"), problems, [credential()])))


@pytest.mark.parametrize(("level", "step"), [(Level.OK, "do"), (Level.WARNING, ""), (Level.PROBLEM, "")])
def test_a_finding_without_its_step(level, step):
    """What is not well has a next step, and nothing else has."""
    with pytest.raises(ValueError, match="next step"):
        Finding(level, "store", "x", "y", step)


def test_finding():
    """It is a line, and its next step another; as JSON it is all of it."""
    one = Finding(Level.WARNING, "store", "x", "y", "z")
    assert ["warning  store      x: y", "         next:      z"] == str(one).splitlines()
    assert {"level": "warning", "check": "store", "subject": "x", "text": "y", "next_step": "z"} == one.as_json()
