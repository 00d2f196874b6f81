"""What an exchange's outcome, a person's tokens and a logout make of a record (T5 to T9)."""

import pytest

from proxy.credentials import policy
from proxy.credentials.answers import Granted, Passing, Refused, Uncertain, Unusable
from proxy.credentials.record import Origin, Record, TroubleKind
from proxy.secret import Secret

from .conftest import NOW, record, terms, tokens

KEPT = (
    "generation",
    "access_token",
    "refresh_token",
    "expires_at",
    "obtained_at",
    "origin",
    "exchanged_at",
    "brought_at",
    "guard",
    "org_pk",
)
EARLIER = NOW - 500
LOST = Uncertain("no answer")
NO_ANSWERS = [
    Refused(TroubleKind.CLIENT, "invalid_client"),
    Refused(TroubleKind.REFUSED, "HTTP 404"),
    Passing("later"),
]


def after(outcome, before=None, now=NOW, jitter=0.5, **changes):
    return policy.after(outcome, before or record(now=EARLIER), terms(**changes), now, jitter)


def kept_of(kept):
    return {name: getattr(kept, name) for name in KEPT}


def test_granted():
    """The next generation is of now, without mark or trouble; guard, exchange time and organization are kept up."""
    before = record(
        now=EARLIER,
        generation=7,
        guard=60.0,
        marked_at=EARLIER,
        trouble=after(LOST).trouble,
        scope="old",
        org_pk="7kQ2f",
    )
    expected = Record(
        name=before.name,
        generation=8,
        access_token=Secret("access"),
        refresh_token=Secret("new"),
        scope="old",
        expires_at=NOW + 60,
        obtained_at=NOW,
        origin=Origin.EXCHANGE,
        guard=60.0,
        exchanged_at=NOW,
        brought_at=EARLIER,
        org_pk="7kQ2f",
    )
    assert expected == after(Granted(tokens("new", expires_in=60)), before)


def test_granted_without_a_refresh_token():
    """The old one is kept (RFC 6749 section 6)."""
    assert Secret("refresh-0") == after(Granted(tokens(None))).refresh_token


@pytest.mark.parametrize("origin", [Origin.LOGIN, Origin.IMPORT])
def test_tokens_of_a_person(origin):
    """Nothing of before is left but the generation, and when an exchange was."""
    before = record(
        Origin.EXCHANGE,
        EARLIER,
        generation=7,
        guard=60.0,
        marked_at=EARLIER,
        trouble=after(LOST).trouble,
        scope="old",
        org_pk="7kQ2f",
    )
    made = policy.accepted(before, tokens(None), origin, NOW)
    assert (
        Record(
            name=before.name,
            generation=8,
            access_token=Secret("access"),
            obtained_at=NOW,
            origin=origin,
            exchanged_at=EARLIER,
            brought_at=NOW,
        )
        == made
    )


def test_logout():
    """It is a generation without tokens."""
    expected = Record(name="acme", generation=8, origin=Origin.LOGOUT, obtained_at=NOW, brought_at=NOW)
    assert expected == policy.logged_out(record(generation=7, marked_at=EARLIER, org_pk="7kQ2f"), NOW)


@pytest.mark.parametrize(("refresh", "expected"), [("new", "new"), (None, "refresh-0")])
def test_unusable(refresh, expected):
    """A new refresh token is kept, the mark goes, the access token stays, and it is not asked for again at once."""
    before = record(now=EARLIER, marked_at=EARLIER)
    made = after(Unusable(tokens(refresh, access=None), "unusable"), before)
    assert Secret(expected) == made.refresh_token
    assert before.access_token == made.access_token
    assert made.marked_at is None
    assert made.trouble is not None
    assert NOW + 600 <= (made.trouble.retry_at or 0)
    if refresh is not None:
        assert before.generation + 1 == made.generation


@pytest.mark.parametrize("marked_at", [None, EARLIER])
@pytest.mark.parametrize("outcome", NO_ANSWERS)
def test_answer_that_says_nothing_of_the_grant(outcome, marked_at):
    """The tokens stay, and so does an uncertainty of before; none is added."""
    before = record(now=EARLIER, marked_at=marked_at)
    made = after(outcome, before)
    assert kept_of(before) == kept_of(made)
    assert marked_at == made.marked_at


@pytest.mark.parametrize(("marked_at", "expected"), [(None, NOW), (EARLIER, NOW)])
def test_lost_answer(marked_at, expected):
    """It leaves a mark of the last sending."""
    before = record(now=EARLIER, marked_at=marked_at)
    made = after(LOST, before)
    assert kept_of(before) == kept_of(made)
    assert expected == made.marked_at
    assert made.trouble is not None
    assert made.trouble.retry_at is not None


def test_lost_answer_of_client_credentials():
    """It leaves no mark: nothing was spent."""
    made = after(LOST, renew="client_credentials")
    assert made.marked_at is None
    assert made.trouble is not None


def test_refused_grant():
    """It is remembered without an end."""
    made = after(Refused(TroubleKind.GRANT, "invalid_grant"))
    assert made.trouble is not None
    assert (TroubleKind.GRANT, None, None) == (made.trouble.kind, made.trouble.retry_at, made.trouble.cut_off_at)
    assert "the vendor refused the refresh token (invalid_grant)" == policy.cannot_renew(made, terms())


def test_refused_grant_after_a_lost_answer():
    """The text says when the renewal was cut off, and the uncertainty is over."""
    made = after(Refused(TroubleKind.GRANT, "invalid_grant"), record(marked_at=NOW - 60))
    assert made.marked_at is None
    reason = policy.cannot_renew(made, terms())
    assert "cut off at 2027-01-15 07:59:00 UTC" in reason
    assert "refuses the old refresh token (invalid_grant)" in reason


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 0.75, 1.25), (2, 1.5, 2.5), (3, 3, 5), (9, 192, 320), (10, 225, 375), (99, 225, 375)],
)
@pytest.mark.parametrize("outcome", [Passing("later"), LOST])
def test_back_off(outcome, failures, least, most):
    """It doubles up to five minutes, give or take a quarter, and starts again with new tokens."""
    made = record()
    for _ in range(failures - 1):
        made = after(outcome, made)
    for jitter, expected in ((0.0, least), (1.0, most)):
        then = after(outcome, made, jitter=jitter)
        assert then.trouble is not None
        assert failures == then.trouble.failures
        assert NOW + expected == then.trouble.retry_at
    assert after(Granted(tokens()), made).trouble is None


@pytest.mark.parametrize(("retry_after", "expected"), [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (120.0, 120.0)])
def test_retry_after(retry_after, expected):
    """The later of the vendor's and ours counts."""
    made = after(Passing("later", retry_after))
    assert made.trouble is not None
    assert NOW + expected == made.trouble.retry_at


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_refused_request(jitter):
    """It is not asked for again within ten minutes."""
    made = after(Refused(TroubleKind.REFUSED, "HTTP 404"), jitter=jitter)
    assert made.trouble is not None
    assert NOW + 600 <= (made.trouble.retry_at or 0)


def test_mark():
    """It is of the last sending: until its end, the next has to wait."""
    assert NOW == policy.marked(record(), NOW).marked_at
    assert NOW == policy.marked(record(marked_at=EARLIER), NOW).marked_at
