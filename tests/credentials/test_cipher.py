"""What a store key seals is opened by that key alone, for the credential and the generation that it was sealed for."""

import base64
import json
import traceback

import pytest
from cryptography.fernet import Fernet

from proxy.credentials.cipher import Cipher
from proxy.secret import Secret

from .conftest import NAME

A, B, C = (Secret(base64.urlsafe_b64encode(bytes([number]) * 32).decode()) for number in (1, 2, 255))
CANARY = "CANARY-access"
PAIR = CANARY, "CANARY-refresh"


def identifier(key):
    """Give what a row says of the key that it is sealed under."""
    return str(Cipher([key]).key_id)


def sealed_by(key, name=NAME, generation=7, pair=PAIR):
    """Give the identifier of a key, and what it seals."""
    return identifier(key), Cipher([key]).seal(name, generation, pair)


@pytest.mark.parametrize(
    "pair", [PAIR, ("access", None), (None, "refresh"), (None, None), ("", ""), ("réfresh ☃ 'q' \" \0 [", "x" * 9000)]
)
def test_tokens_that_were_sealed(pair):
    """They come back as they were, and cannot be seen in what was sealed."""
    key_id, sealed = sealed_by(A, pair=pair)
    assert pair == Cipher([A]).open(key_id, NAME, 7, sealed)
    assert "CANARY" not in sealed
    assert "CANARY" not in base64.urlsafe_b64decode(sealed).decode("latin-1")


def test_the_same_tokens_sealed_twice():
    """Nobody sees that they are the same."""
    assert sealed_by(A) != sealed_by(A)


def test_several_keys():
    """The first seals, all open; which one it was is told without opening anything."""
    cipher = Cipher([B, A])
    assert PAIR == Cipher([B]).open(identifier(B), NAME, 7, cipher.seal(NAME, 7, PAIR))
    key_id, sealed = sealed_by(A)
    assert PAIR == cipher.open(key_id, NAME, 7, sealed)
    known = [identifier(B), identifier(A), None, identifier(C), "", "nonsense"]
    assert [True, True, True, False, False, False] == [cipher.knows(one) for one in known]


def test_no_keys():
    """Nothing is known but what was never sealed."""
    assert not Cipher()
    assert Cipher().key_id is None
    assert [True, False] == [Cipher().knows(one) for one in (None, identifier(A))]


@pytest.mark.parametrize(("name", "generation"), [("other", 7), (NAME, 6), (NAME, 8), (f"{NAME} ", 7), ("", 7)])
def test_tokens_in_another_place(name, generation):
    """Whoever can write the file cannot give them to another credential, nor take them for another generation's."""
    key_id, sealed = sealed_by(A)
    with pytest.raises(ValueError, match="for another place"):
        Cipher([A]).open(key_id, name, generation, sealed)


@pytest.mark.parametrize("keys", [[], [B], [B, C]], ids=["none", "another", "others"])
def test_another_key(keys):
    """It opens nothing."""
    key_id, sealed = sealed_by(A)
    with pytest.raises(ValueError, match="not sealed by this key"):
        Cipher(keys).open(key_id, NAME, 7, sealed)


def test_the_identifier_of_another_key():
    """It is not taken for what it says."""
    with pytest.raises(ValueError, match="not sealed by this key"):
        Cipher([A, B]).open(identifier(B), NAME, 7, sealed_by(A)[1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda sealed: "",
        lambda sealed: "x",
        lambda sealed: "☃",
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[:-8],
        lambda sealed: sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:],
        lambda sealed: CANARY,
    ],
    ids=["empty", "short", "not ascii", "cut", "cut by a block", "one letter", "plain"],
)
def test_damage(damage):
    """It is seen, and told without what was there."""
    key_id, sealed = sealed_by(A)
    with pytest.raises(ValueError) as caught:
        Cipher([A]).open(key_id, NAME, 7, damage(sealed))
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("other", ["text", "[]", "{}", "7", '["acme", 7]', '["acme", 7, "a", "r", "more"]', '"acme"'])
def test_what_the_same_key_sealed_elsewhere(other):
    """A key that somebody uses for other things too opens nothing of those."""
    sealed = Fernet(A.reveal()).encrypt(other.encode()).decode()
    with pytest.raises(ValueError):
        Cipher([A]).open(identifier(A), NAME, 7, sealed)


def test_secrecy():
    """Neither what stands in the file nor what a cipher shows of itself tells a key."""
    cipher = Cipher([A])
    shown = json.dumps([repr(cipher), str(cipher), *sealed_by(A)])
    assert A.reveal() not in shown
    assert (b"\1" * 32).hex()[:16] not in shown
