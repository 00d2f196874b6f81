"""Rotation, reuse and expiry, without sockets."""

import pytest

from proxy.sandbox.grants import Grant, Ledger


def tokens(grant: Grant) -> tuple[str, str]:
    """Access and refresh token, which are both there."""
    assert grant.access is not None
    assert grant.refresh is not None
    return grant.access, grant.refresh


def used_once(ledger: Ledger) -> tuple[Grant, str]:
    """A grant that was renewed once, and the refresh token it had before."""
    grant = ledger.issue(100.0)
    _, first = tokens(grant)
    assert ledger.exchange(first, 200.0) is grant
    return grant, first


def test_exchange_replaces_both_tokens():
    """The old access token is refused at once."""
    ledger = Ledger("x")
    grant = ledger.issue(100.0)
    access, refresh = tokens(grant)
    ledger.exchange(refresh, 200.0)
    assert (None, grant) == (ledger.holder(access), ledger.holder(tokens(grant)[0]))
    assert refresh != grant.refresh
    assert 200.0 == grant.expires_at


def test_exchange_when_the_access_token_keeps_its_text():
    """The text stays, the expiry moves, the refresh token is replaced."""
    ledger = Ledger("x", keeps_access=True)
    grant = ledger.issue(100.0)
    access, refresh = tokens(grant)
    assert grant is ledger.exchange(refresh, 200.0)
    assert access == grant.access
    assert refresh != grant.refresh
    assert 200.0 == grant.expires_at


def test_exchange_without_rotation():
    """The refresh token goes on working."""
    ledger = Ledger("x")
    grant = ledger.issue(100.0)
    _, refresh = tokens(grant)
    assert grant is ledger.exchange(refresh, 200.0, rotate=False)
    assert grant is ledger.exchange(refresh, 300.0, rotate=False)
    assert 2 == grant.rotations


def test_reuse():
    """A refresh token sent twice kills the grant: neither token works any longer."""
    ledger = Ledger("x")
    grant, first = used_once(ledger)
    access, current = tokens(grant)
    assert ledger.exchange(first, 300.0) is None
    assert ledger.exchange(current, 300.0) is None
    assert ledger.holder(access) is None
    assert not grant.alive


def test_reuse_that_spares_the_access_token():
    """Renewal is over, the access token lives on until its old expiry."""
    ledger = Ledger("x", reuse_spares_access=True)
    grant, first = used_once(ledger)
    access, current = tokens(grant)
    assert ledger.exchange(first, 300.0) is None
    assert ledger.exchange(current, 300.0) is None
    assert grant is ledger.holder(access)
    assert 200.0 == grant.expires_at


def test_reuse_in_one_grant_of_two():
    """The other grant is untouched."""
    ledger = Ledger("x")
    other = ledger.issue(100.0)
    _, first = used_once(ledger)
    ledger.exchange(first, 300.0)
    assert other is ledger.exchange(tokens(other)[1], 300.0)


def test_unknown_refresh_token():
    """It is refused, and costs no grant."""
    ledger = Ledger("x")
    grant = ledger.issue(100.0)
    assert ledger.exchange("made-up", 200.0) is None
    assert grant.alive


@pytest.mark.parametrize(("now", "expired"), [(99.9, False), (100.0, True)])
def test_expiry_at_its_border(now, expired):
    """A token is expired from the very second on."""
    assert expired == Ledger("x").issue(100.0).expired(now)


def test_no_expiry():
    """A token without expiry lives until someone expires it."""
    ledger = Ledger("x")
    grant = ledger.issue(None)
    assert not grant.expired(1e12)
    ledger.expire(50.0)
    assert grant.expired(50.0)


def test_revocation():
    """Neither token of any grant is accepted."""
    ledger = Ledger("x")
    grant = ledger.issue(100.0)
    access, refresh = tokens(grant)
    ledger.revoke()
    assert ledger.holder(access) is None
    assert ledger.exchange(refresh, 200.0) is None


def test_repr():
    """It shows no token."""
    grant = Ledger("x").issue(100.0)
    assert not [token for token in tokens(grant) if token in repr(grant)]
