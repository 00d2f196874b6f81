"""How a credential is, in words: its state, the reason, and what a person should do, as tables."""

import json
from dataclasses import replace

import pytest

from proxy.credentials import policy
from proxy.credentials.answers import Passing, Refused, Uncertain
from proxy.credentials.health import Health, State
from proxy.credentials.record import Origin, Record, TroubleKind

from .conftest import NAME, NOW, credential, record, terms

FRESH = record(expires_in=1000)
REFUSED_GRANT = Refused(TroubleKind.GRANT, "invalid_grant")
REFUSED_CLIENT = Refused(TroubleKind.CLIENT, "invalid_client")
LATER = Passing("the token endpoint answered 503", 60.0)
LOST = Uncertain("no answer")
NEVER = Record(name=NAME)
LOGGED_OUT = policy.logged_out(record(), NOW)


def after(outcome, before=FRESH, **changes):
    return policy.after(outcome, before, terms(**changes), NOW, 0.5)


def health(kept=FRESH, *, renewing=False, unsaved=False, **changes):
    return Health(credential(**changes), terms(**changes), kept, renewing, unsaved)


TABLE = [
    ("fresh", health(), 0, State.OK, "", ""),
    ("unknown lifetime", health(record()), 10**8, State.OK, "", ""),
    ("a tenth left", health(), 900, State.OK, "", ""),
    ("less than a tenth left", health(), 900.1, State.EXPIRING, "", ""),
    ("expired", health(), 1001, State.EXPIRING, "", ""),
    ("renewing", health(after(LATER), renewing=True), 0, State.RENEWING, "", ""),
    ("passing trouble", health(after(LATER)), 0, State.RETRYING, "answered 503; next try 2027-01-15 08:01:00 UTC", ""),
    ("lost answer", health(after(LOST)), 0, State.UNCERTAIN, "cut off at 2027-01-15 08:00:00 UTC", "nothing yet"),
    ("crash", health(replace(FRESH, marked_at=NOW - 60)), 0, State.UNCERTAIN, "07:59:00 UTC", "nothing yet"),
    ("refused grant", health(after(REFUSED_GRANT)), 0, State.LOGIN_REQUIRED, "invalid_grant", "import acme"),
    (
        "refused client",
        health(after(REFUSED_CLIENT)),
        0,
        State.LOGIN_REQUIRED,
        "refused this client",
        "check client_id and client_secret",
    ),
    ("never", health(NEVER), 0, State.NEVER_SIGNED_IN, "", "bearer-proxy import acme"),
    ("logged out", health(LOGGED_OUT), 0, State.LOGIN_REQUIRED, "it was logged out", "bearer-proxy import acme"),
    ("not configured", health(missing=("client_id",)), 0, State.NOT_CONFIGURED, "it lacks client_id", "set client_id"),
    ("not renewable", health(renew="none"), 0, State.OK, "", ""),
    ("not renewable, expired", health(renew="none"), 1001, State.LOGIN_REQUIRED, "cannot be renewed", "import acme"),
    ("no refresh token", health(replace(FRESH, refresh_token=None)), 0, State.OK, "", ""),
    (
        "client credentials refused",
        health(after(REFUSED_CLIENT, NEVER, renew="client_credentials"), renew="client_credentials"),
        0,
        State.LOGIN_REQUIRED,
        "refused this client",
        "check client_id and client_secret",
    ),
    (
        "client credentials failed",
        health(after(LATER, NEVER, renew="client_credentials"), renew="client_credentials"),
        0,
        State.RETRYING,
        "answered 503",
        "",
    ),
    ("refused client that has changed", health(after(REFUSED_CLIENT), client_id="new"), 0, State.OK, "", ""),
]


@pytest.mark.parametrize(
    ("one", "later", "state", "reason", "step"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_state(one, later, state, reason, step):
    """One word, why, and what to do where a person can do something."""
    now = NOW + later
    assert state is one.state(now)[0]
    assert reason in one.state(now)[1]
    assert bool(reason) is bool(one.state(now)[1])
    assert step in one.next_step(now)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (health(), True),
        (health(after(REFUSED_GRANT)), True),
        (health(after(LOST)), True),
        (health(replace(FRESH, access_token=None)), True),
        (health(NEVER), False),
        (health(LOGGED_OUT), False),
        (health(missing=("client_id",)), False),
        (health(NEVER, renew="client_credentials"), True),
        (health(after(REFUSED_CLIENT, NEVER, renew="client_credentials"), renew="client_credentials"), False),
    ],
)
def test_can_serve(one, expected):
    """It can with a token at hand, or with one to be had without a person."""
    assert expected is one.can_serve(NOW)


def test_refused_client_is_not_a_matter_of_tokens():
    """The step that is named is one that helps: another import would be refused the same way."""
    assert "import" not in health(after(REFUSED_CLIENT)).next_step(NOW)


def test_json():
    """It is all that may be known, times as ISO 8601 in UTC, and JSON can hold it."""
    kept = record(Origin.EXCHANGE, expires_in=1000, generation=7, scope="a b")
    expected = {
        "name": NAME,
        "state": "retrying",
        "reason": "the token endpoint answered 503; next try 2027-01-15 08:01:00 UTC",
        "next_step": "nothing: it is tried again by itself",
        "generation": 7,
        "origin": "exchange",
        "scope": "a b",
        "obtained_at": "2027-01-15T08:00:00+00:00",
        "expires_at": "2027-01-15T08:16:40+00:00",
        "expires_in": 990,
        "last_exchange": "2027-01-15T08:00:00+00:00",
        "last_error": "the token endpoint answered 503",
        "can_renew": True,
        "unsaved": True,
    }
    assert expected == json.loads(json.dumps(health(after(LATER, kept), unsaved=True).as_json(NOW + 10)))


def test_json_of_a_credential_that_was_never_signed_in():
    """Nothing is known, and that can be written too."""
    told = health(NEVER).as_json(NOW)
    assert {"never signed in", None, 0} == {
        told["state"],
        told["expires_at"],
        told["expires_in"] or told["generation"],
        told["can_renew"],
    }
    json.dumps(told)
