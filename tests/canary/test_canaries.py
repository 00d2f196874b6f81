"""The canaries themselves: they are found in every disguise, and nowhere else."""

import base64
import hashlib

import pytest

from tests.support.canaries import Canaries

KEY = Canaries()["key"]


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"Bearer {KEY}.",
        KEY.upper(),
        f"Basic {base64.b64encode(f':{KEY}'.encode()).decode()}",
        f"Basic {base64.b64encode(f'me:{KEY}'.encode()).decode()}",
        f"Basic {base64.b64encode(f'user:{KEY}, and more'.encode()).decode()}",
        hashlib.sha256(KEY.encode()).hexdigest(),
        f"({hashlib.sha256(KEY.encode()).digest()!r},)",
        base64.b64encode(hashlib.sha256(KEY.encode()).digest()).decode(),
        KEY.encode(),
    ],
    ids=["plain", "within", "upper", "Basic 1", "Basic 2", "Basic 3", "hex", "repr of bytes", "Base64", "bytes"],
)
def test_found(text):
    """A secret is found, however it is written."""
    canaries = Canaries()
    assert canaries["key"]
    assert canaries["other"]
    assert ["key"] == [one.split(" ")[0] for one in canaries.found(text)]


def test_not_found():
    """Other text is not taken for one."""
    canaries = Canaries()
    assert canaries["key"] != canaries["keys"]
    assert [] == canaries.found(f"{KEY[:-1]} canary-other")


def test_too_short():
    """A secret that may stand anywhere by chance is not watched."""
    with pytest.raises(ValueError, match="too short"):
        Canaries().add("code", "abc")
