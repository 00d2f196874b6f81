"""What to do with a record, and what an outcome makes of it: T2 and T5 to T9 as tables."""

import itertools
from dataclasses import replace

import pytest

from proxy.credentials import policy
from proxy.credentials.answers import Passing, Refused, Uncertain
from proxy.credentials.policy import Need
from proxy.credentials.record import Origin, Record, Snapshot, Trouble, TroubleKind
from proxy.errors import LoginRequiredError, NotConfiguredError, RenewalDelayedError, RenewalGuardedError
from proxy.secret import Secret

from .conftest import GUARD, NAME, NOW, credential, record, terms

SECRET_CHANGED = {"client_secret": Secret("another")}
DAY = 86400.0


def after(outcome, before=None, now=NOW, jitter=0.5, **changes):
    return policy.after(outcome, before or record(), terms(**changes), now, jitter)


def obtain(kept, rejected, now=NOW, forgiven=None, **changes):
    return policy.obtain(kept, terms(forgiven, **changes), rejected, now)


def trouble(kind=TroubleKind.PASSING, **fields):
    return Trouble(**{"kind": kind, "reason": "it failed", "at": NOW, **fields})


@pytest.mark.parametrize("rejected", [None, 6, 0, -1])
def test_token_that_nobody_has_rejected(rejected):
    """It is given, whatever else is the matter."""
    kept = record(generation=7, trouble=trouble(TroubleKind.GRANT), marked_at=NOW)
    assert Snapshot(NAME, 7, Secret("access")) == obtain(kept, rejected)


def test_token_that_is_rejected():
    """An exchange is needed."""
    assert Need.EXCHANGE is obtain(record(generation=7), 7)


def test_token_past_its_expiry_that_nobody_has_rejected():
    """It is given: only the vendor says what is expired."""
    assert Snapshot(NAME, 1, Secret("access")) == obtain(record(expires_in=60), None, NOW + 61)


def test_credential_that_is_not_configured():
    """It gives nothing and names what is missing."""
    with pytest.raises(NotConfiguredError, match="client_id, token_url"):
        obtain(record(), None, missing=("client_id", "token_url"))


@pytest.mark.parametrize(
    ("kept", "changes", "reason"),
    [
        (Record(name=NAME), {}, "nobody has signed in yet"),
        (policy.logged_out(record(), NOW), {}, "it was logged out"),
        (record(refresh_token=None), {}, "the vendor gave no refresh token"),
        (record(), {"renew": "none"}, "its tokens cannot be renewed"),
        (record(trouble=trouble(TroubleKind.GRANT)), {}, "the vendor refused the refresh token"),
        (record(trouble=trouble(TroubleKind.CLIENT)), {}, "check client_id and client_secret"),
    ],
)
def test_renewal_that_only_a_person_can_make_possible(kept, changes, reason):
    """The text begins `login required` and says why."""
    with pytest.raises(LoginRequiredError, match=rf"^login required for {NAME}: .*{reason}"):
        obtain(kept, kept.generation, **changes)


@pytest.mark.parametrize("kept", [Record(name=NAME), policy.logged_out(record(), NOW)])
def test_client_credentials_without_a_token(kept):
    """Nobody has to sign in: an exchange brings one."""
    assert Need.EXCHANGE is obtain(kept, None, renew="client_credentials")


@pytest.mark.parametrize(
    ("now", "delayed"), [(NOW - 1, False), (NOW, True), (NOW + 9.9, True), (NOW + 10, False), (NOW + 11, False)]
)
def test_back_off(now, delayed):
    """It lasts until its end, and not where the clock was set back before its start."""
    kept = record(trouble=trouble(retry_at=NOW + 10))
    if not delayed:
        assert Need.EXCHANGE is obtain(kept, 1, now)
        return
    with pytest.raises(RenewalDelayedError) as caught:
        obtain(kept, 1, now)
    assert caught.value.retry_after is not None
    assert 0 <= caught.value.retry_after - (NOW + 10 - now) <= 1.5
    assert caught.value.retry_after >= 1


@pytest.mark.parametrize(
    ("kind", "changes", "forgiven", "void"),
    [
        (TroubleKind.CLIENT, {}, None, False),
        (TroubleKind.CLIENT, {}, NOW - 1, False),
        (TroubleKind.CLIENT, {}, NOW, True),
        (TroubleKind.CLIENT, SECRET_CHANGED, None, True),
        (TroubleKind.REFUSED, {}, NOW, False),
        (TroubleKind.REFUSED, {"client_id": "other"}, None, True),
        (TroubleKind.GRANT, {}, NOW, False),
        (TroubleKind.GRANT, SECRET_CHANGED, NOW, False),
        (TroubleKind.PASSING, SECRET_CHANGED, NOW, False),
        (TroubleKind.UNCERTAIN, SECRET_CHANGED, NOW, False),
    ],
)
def test_trouble_after_a_change_or_a_start(kind, changes, forgiven, void):
    """A refused client is tried again when it changed or the program started; a refused grant is not."""
    kept = after(Uncertain("x") if kind is TroubleKind.UNCERTAIN else Refused(kind, "x"))
    if kind is TroubleKind.PASSING:
        kept = after(Passing("x"))
    assert void is (policy.current_trouble(kept, terms(forgiven, **changes)) is None)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"scopes": ("x",), "upstream": "https://other.example"}, True),
        (SECRET_CHANGED, False),
        ({"client_id": "other"}, False),
        ({"token_url": "https://acme.example/v2/token"}, False),
        ({"token_request": "json"}, False),
        ({"client_auth": "basic"}, False),
    ],
)
def test_fingerprint(changes, same):
    """It changes with the token URL, the client and the form of the request, and with nothing else."""
    assert same is (policy.fingerprint(credential(**changes)) == policy.fingerprint(credential()))


@pytest.mark.parametrize("origin", [Origin.LOGIN, Origin.IMPORT])
def test_young_token_from_a_person(origin):
    """It is not guarded: its age is unknown."""
    assert Need.EXCHANGE is obtain(record(origin), 1)


@pytest.mark.parametrize(
    ("age", "expires_in", "guard", "guarded"),
    [
        (0.0, None, 0.0, True),
        (GUARD - 0.1, None, 0.0, True),
        (GUARD, None, 0.0, False),
        (-0.1, None, 0.0, False),
        (GUARD - 0.1, DAY, 0.0, True),
        (GUARD, DAY, 0.0, False),
        (5.9, 60.0, 0.0, True),
        (6.0, 60.0, 0.0, False),
        (59.9, 60.0, 120.0, True),
        (60.0, 60.0, 120.0, False),
        (119.9, None, 120.0, True),
        (120.0, None, 120.0, False),
    ],
)
def test_young_token_from_an_exchange(age, expires_in, guard, guarded):
    """It is guarded for the guard time, at most a tenth of its lifetime unless that grew, and not past its expiry."""
    kept = record(Origin.EXCHANGE, expires_in=expires_in, guard=guard)
    assert guarded is policy.guarded(kept, terms(), NOW + age)
    if not guarded:
        assert Need.EXCHANGE is obtain(kept, 1, NOW + age)
        return
    with pytest.raises(RenewalGuardedError):
        obtain(kept, 1, NOW + age)


def test_guard_that_grows():
    """It doubles up to an hour."""
    kept, seen = record(Origin.EXCHANGE), []
    for _ in range(9):
        kept = replace(kept, guard=policy.grown_guard(kept, terms()))
        seen.append(kept.guard)
    assert [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0] == seen


@pytest.mark.parametrize(("spread", "share"), [(0.0, 0.8), (0.5, 0.775), (1.0, 0.75)])
def test_renewal_time(spread, share):
    """It is at 75 to 80 % of a known lifetime."""
    assert NOW + share * 1000 == policy.renewal_time(record(expires_in=1000), terms(), spread)


@pytest.mark.parametrize(
    ("kept", "changes"),
    [
        (record(), {}),
        (Record(name=NAME), {}),
        (record(expires_in=1000, marked_at=NOW), {}),
        (record(expires_in=1000, refresh_token=None), {}),
        (record(expires_in=1000, trouble=trouble(TroubleKind.GRANT)), {}),
        (record(expires_in=1000, trouble=trouble(TroubleKind.CLIENT)), {}),
        (record(expires_in=1000), {"renew": "none"}),
        (record(expires_in=1000), {"missing": ("client_id",)}),
    ],
)
def test_no_renewal_ahead_of_time(kept, changes):
    """There is none with a lifetime unknown, an answer lost, or a person needed."""
    assert policy.renewal_time(kept, terms(**changes), 0.5) is None


@pytest.mark.parametrize(
    ("origin", "guard", "trouble_until", "expected"),
    [
        (Origin.EXCHANGE, 0.0, None, NOW + 80),
        (Origin.EXCHANGE, 3600.0, None, NOW + 3600),
        (Origin.IMPORT, 3600.0, None, NOW + 80),
        (Origin.EXCHANGE, 0.0, NOW + 300, NOW + 300),
        (Origin.EXCHANGE, 0.0, NOW + 50, NOW + 80),
    ],
)
def test_renewal_time_that_has_to_wait(origin, guard, trouble_until, expected):
    """It comes no sooner after an exchange than the guard time, nor before a back-off is over."""
    what = None if trouble_until is None else trouble(retry_at=trouble_until)
    kept = record(origin, expires_in=100, guard=guard, trouble=what)
    assert expected == policy.renewal_time(kept, terms(), 0.0)


def test_renewal_time_is_never_guarded():
    """What is due is also allowed, whatever the lifetime and the guard."""
    for expires_in, guard in itertools.product([1.0, 17.3, 599.0, DAY], [0.0, 60.0, 3600.0]):
        kept = record(Origin.EXCHANGE, expires_in=expires_in, guard=guard)
        due = policy.renewal_time(kept, terms(), 0.3)
        assert due is not None
        assert Need.EXCHANGE is obtain(kept, 1, due)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("login", {"grant": "authorization_code", "authorize_url": "https://acme.example/a"}),
        ("login", {"grant": "implicit", "authorize_url": "https://acme.example/a"}),
        ("import", {"grant": "authorization_code"}),
        ("import", {"grant": "implicit"}),
        ("import", {"grant": "manual", "authorize_url": "https://acme.example/a"}),
        ("import", {"grant": "client_credentials", "authorize_url": "https://acme.example/a"}),
    ],
)
def test_command_that_brings_new_tokens(expected, changes):
    """It is `login` where a person signs in by a browser, else `import`; a refused client needs neither."""
    known = terms(**changes)
    assert expected == known.sign_in
    assert f"run: bearer-proxy {expected} acme" == policy.remedy(record(), known)
    refused = record(trouble=trouble(TroubleKind.CLIENT))
    assert "check client_id and client_secret of acme" == policy.remedy(refused, known)
