"""Authorization codes, without sockets."""

import pytest

from proxy.sandbox.codes import Challenge, Claim, Code, Codes
from proxy.sandbox.grants import Grant, Ledger

# RFC 7636, appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = Challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "S256")
PLAIN = Challenge(VERIFIER, "plain")


def issued(**changes):
    """Codes with one among them, and its text."""
    codes = Codes("x")
    what = {"client": "app", "scope": "public", "redirect": None, "challenge": None, "expires_at": 100.0}
    return codes, codes.issue(Code(**{**what, **changes}))


def redeem(codes: Codes, code: str, *, now=0.0, ledger=None, **changes) -> Grant | None:
    claim = Claim(**{"code": code, "client": "app", "redirect": None, "verifier": None, **changes})
    ledger = ledger or Ledger("x")
    return codes.redeem(claim, now, lambda scope: ledger.issue(None, scope=scope))


def test_code():
    """It brings a grant of its scope."""
    grant = redeem(*issued(scope="public admin"))
    assert grant is not None
    assert ("public admin", True) == (grant.scope, grant.alive)


def test_second_use():
    """It is refused, makes no grant, and kills the one that the first use made, with all that came of it."""
    codes, code = issued()
    ledger = Ledger("x")
    grant = redeem(codes, code, ledger=ledger)
    assert grant is not None
    access, refresh = grant.access, grant.refresh
    assert redeem(codes, code, ledger=ledger) is None
    assert [grant] == list(ledger)
    assert ledger.holder(str(access)) is None
    assert ledger.exchange(str(refresh), 1.0) is None


def test_second_use_after_the_expiry():
    """It still kills the grant."""
    codes, code = issued()
    grant = redeem(codes, code)
    assert redeem(codes, code, now=200.0) is None
    assert grant is not None
    assert not grant.alive


def test_second_use_by_another_client():
    """It costs the rightful client nothing."""
    codes, code = issued()
    grant = redeem(codes, code)
    assert redeem(codes, code, client="other") is None
    assert grant is not None
    assert grant.alive


@pytest.mark.parametrize(("now", "good"), [(99.9, True), (100.0, False)])
def test_expiry_at_its_border(now, good):
    """A code is dead from the very second on."""
    codes, code = issued()
    assert good == (redeem(codes, code, now=now) is not None)


@pytest.mark.parametrize(
    ("bound", "wrong", "right"),
    [
        ({}, {"client": "other"}, {}),
        ({"redirect": "http://a/"}, {"redirect": "http://a/b"}, {"redirect": "http://a/"}),
        ({"redirect": "http://a/"}, {}, {"redirect": "http://a/"}),
        ({"challenge": CHALLENGE}, {"verifier": VERIFIER[::-1]}, {"verifier": VERIFIER}),
        ({"challenge": CHALLENGE}, {"verifier": CHALLENGE.text}, {"verifier": VERIFIER}),
        ({"challenge": CHALLENGE}, {}, {"verifier": VERIFIER}),
        ({"challenge": PLAIN}, {"verifier": VERIFIER[::-1]}, {"verifier": VERIFIER}),
        ({"challenge": PLAIN}, {}, {"verifier": VERIFIER}),
        ({}, {"verifier": VERIFIER}, {}),
    ],
)
def test_what_a_code_is_bound_to(bound, wrong, right):
    """A claim that does not fit is refused, and does not spend the code."""
    codes, code = issued(**bound)
    assert redeem(codes, code, **wrong) is None
    assert redeem(codes, code, **right) is not None


def test_redirect_that_was_not_sent_before():
    """The exchange may bring it all the same."""
    assert redeem(*issued(), redirect="http://a/") is not None


@pytest.mark.parametrize(
    ("verifier", "good"), [("a" * 42, False), ("a" * 43, True), ("a" * 128, True), ("a" * 129, False)]
)
def test_length_of_a_verifier(verifier, good):
    """It is RFC 7636's, whatever it is compared with."""
    assert good == Challenge(verifier, "plain").met_by(verifier)


def test_unknown_code():
    """It is refused."""
    assert redeem(Codes("x"), "made-up") is None


def test_repr():
    """It shows no code, no challenge and no verifier."""
    codes, code = issued(challenge=PLAIN)
    claim = Claim(code=code, client="app", redirect=None, verifier=VERIFIER)
    shown = f"{codes!r} {codes._codes[code]!r} {claim!r} {PLAIN!r}"
    assert not [secret for secret in (code, VERIFIER) if secret in shown]
