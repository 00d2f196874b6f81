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


CUT = "a renewal was cut off at 2027-01-15 08:00:00 UTC"
KEEPS = "its access token is used as long as the vendor takes it"
UNSURE = f"uncertain ({CUT}; {KEEPS})"
BACK_OFF = "retrying (until 2027-01-15 08:01:00 UTC)"
NO_CLIENT = "login required (the vendor refused this client (invalid_client))"
GONE = "login required (it was logged out)"
LOGIN = "run: bearer-proxy "
STALE = "nothing: it is renewed with the next request"
NOT_RENEWABLE = replace(FRESH, refresh_token=None)

# condition, credential, seconds later, state, text for a person, a part of the reason, a part of the next step
TABLE = [
    ("fresh", health(), 0, State.OK, "ok", "", ""),
    ("unknown lifetime", health(record()), 10**8, State.OK, "ok", "", ""),
    ("a tenth left", health(), 900, State.OK, "ok", "", ""),
    ("less than a tenth left", health(), 900.1, State.EXPIRING, "expiring", "", ""),
    ("a moment before its expiry", health(), 999.9, State.EXPIRING, "expiring", "", ""),
    ("expired, and nobody has needed it", health(), 1000, State.EXPIRING, "expiring", "", STALE),
    ("rejected, and to be renewed", health(replace(FRESH, rejected=True)), 0, State.EXPIRING, "expiring", "", STALE),
    ("to be had with the refresh token", health(replace(FRESH, access_token=None)), 0, State.OK, "ok", "", ""),
    ("renewing", health(after(LATER), renewing=True), 0, State.RENEWING, "renewing", "", ""),
    (
        "passing trouble",
        health(after(LATER)),
        59.9,
        State.RETRYING,
        BACK_OFF,
        "answered 503; next try 2027-01-15 08:01:00 UTC",
        "nothing: it is tried again by itself",
    ),
    (
        "passing trouble, its back-off over",
        health(after(LATER)),
        60,
        State.RETRYING,
        "retrying (with the next request)",
        "answered 503; it is tried again with the next request",
        "nothing: the next request tries again",
    ),
    (
        "passing trouble of a clock that was set back",
        health(after(LATER)),
        -1,
        State.RETRYING,
        "retrying (with the next request)",
        "answered 503",
        "nothing",
    ),
    (
        "unknown refusal",
        health(after(Refused(TroubleKind.REFUSED, "HTTP 404"))),
        0,
        State.RETRYING,
        "retrying (until 2027-01-15 08:10:00 UTC)",
        "HTTP 404",
        "check token_url of acme",
    ),
    ("lost answer", health(after(LOST)), 0, State.UNCERTAIN, UNSURE, CUT, f"nothing yet: {KEEPS}"),
    ("lost answer, expired", health(after(LOST)), 2000, State.UNCERTAIN, UNSURE, CUT, "nothing yet"),
    ("crash", health(replace(FRESH, marked_at=NOW)), 0, State.UNCERTAIN, UNSURE, CUT, "nothing yet"),
    (
        "lost answer, and no access token",
        health(replace(FRESH, marked_at=NOW, access_token=None)),
        0,
        State.UNCERTAIN,
        f"uncertain ({CUT}; the refresh token is tried again with the next request)",
        CUT,
        "nothing yet: the refresh token",
    ),
    (
        "mark of a configuration that sent refresh tokens",
        health(replace(FRESH, marked_at=NOW), renew="client_credentials"),
        0,
        State.OK,
        "ok",
        "",
        "",
    ),
    (
        "refused grant",
        health(after(REFUSED_GRANT)),
        0,
        State.LOGIN_REQUIRED,
        "login required (the vendor refused the refresh token (invalid_grant))",
        "invalid_grant",
        LOGIN,
    ),
    (
        "refused client",
        health(after(REFUSED_CLIENT)),
        0,
        State.LOGIN_REQUIRED,
        NO_CLIENT,
        "refused this client",
        "check client_id and client_secret",
    ),
    ("never", health(NEVER), 0, State.NEVER_SIGNED_IN, "never signed in", "", LOGIN),
    ("logged out", health(LOGGED_OUT), 0, State.LOGIN_REQUIRED, GONE, "it was logged out", LOGIN),
    (
        "logged out, and not renewable",
        health(LOGGED_OUT, renew="none"),
        0,
        State.LOGIN_REQUIRED,
        GONE,
        "it was logged out",
        LOGIN,
    ),
    (
        "not configured",
        health(missing=("client_id", "token_url")),
        0,
        State.NOT_CONFIGURED,
        "not configured (it lacks client_id, token_url)",
        "it lacks client_id",
        "set client_id, token_url for acme",
    ),
    ("not renewable", health(renew="none"), 0, State.OK, "ok", "", ""),
    ("not renewable, with trouble of before", health(after(LATER), renew="none"), 0, State.OK, "ok", "", ""),
    (
        "not renewable, soon expired",
        health(renew="none"),
        999.9,
        State.EXPIRING,
        "expiring",
        "cannot be renewed",
        f"before it expires, {LOGIN}",
    ),
    (
        "not renewable, expired",
        health(renew="none"),
        1000,
        State.LOGIN_REQUIRED,
        "login required (its tokens cannot be renewed)",
        "cannot be renewed",
        LOGIN,
    ),
    ("no refresh token", health(NOT_RENEWABLE), 0, State.OK, "ok", "", ""),
    (
        "no refresh token, rejected",
        health(replace(NOT_RENEWABLE, rejected=True)),
        0,
        State.LOGIN_REQUIRED,
        "login required (the vendor gave no refresh token)",
        "no refresh token",
        LOGIN,
    ),
    (
        "no refresh token, and another client's trouble",
        health(replace(NOT_RENEWABLE, trouble=after(REFUSED_CLIENT).trouble), client_id="new"),
        0,
        State.OK,
        "ok",
        "",
        "",
    ),
    (
        "client credentials refused",
        health(after(REFUSED_CLIENT, NEVER, renew="client_credentials"), renew="client_credentials"),
        0,
        State.LOGIN_REQUIRED,
        NO_CLIENT,
        "refused this client",
        "check client_id and client_secret",
    ),
    (
        "client credentials failed",
        health(after(LATER, NEVER, renew="client_credentials"), renew="client_credentials"),
        0,
        State.RETRYING,
        BACK_OFF,
        "answered 503",
        "",
    ),
    ("client credentials, not needed yet", health(NEVER, renew="client_credentials"), 0, State.OK, "ok", "", ""),
    ("refused client that has changed", health(after(REFUSED_CLIENT), client_id="new"), 0, State.OK, "ok", "", ""),
    ("unsaved", health(unsaved=True), 0, State.OK, "ok", "", "make it possible to write the store"),
]


@pytest.mark.parametrize(
    ("one", "later", "state", "text", "reason", "step"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_state(one, later, state, text, reason, step):
    """One word, why, the text for a person, and what to do where a person can do something."""
    now = NOW + later
    found, why = one.state(now)
    assert (state, text) == (found, one.described(now))
    assert reason in why
    assert bool(reason) is bool(why)
    assert step in one.next_step(now)
    assert bool(step) is bool(one.next_step(now)) or state is State.RETRYING


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
        "provider": "acme-api",
        "state": "retrying",
        "reason": "the token endpoint answered 503; next try 2027-01-15 08:01:00 UTC",
        "next_step": "make it possible to write the store: the new tokens are in memory only",
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
    assert expected == json.loads(
        json.dumps(health(after(LATER, kept), unsaved=True, provider_name="acme-api").as_json(NOW + 10))
    )


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
