"""What proves who a caller is, and what opens the store, as config.yaml writes them: hashes, fingerprints, store keys.

Text in, value out. A ValueError says what is expected, and nothing of what was given.
"""

from __future__ import annotations

import base64
import hashlib
import re

from ..secret import Secret

_MARK = "sha256:"  # how a hash begins
_BARE = re.compile(r"(?:sha\d+ fingerprint=)?(?:[0-9a-f]{2}:?){20,64}", re.IGNORECASE)  # a fingerprint without it
_NOTHING = hashlib.sha256().digest()
_STORE_KEY_BYTES = 32


def key_hash(text: str) -> bytes | None:
    """Give the SHA-256 of a key that is given as a hash; None if it is given as it is."""
    digest = _digest(text, "a key given as a hash is sha256: and 64 hexadecimal digits, as sha256sum prints them")
    if digest == _NOTHING:
        raise ValueError("this is the hash of nothing: hash the key itself, as in printf %s KEY | sha256sum")
    return digest


def certificate(text: str) -> str:
    """Give a name in a certificate as it is, its fingerprint as `sha256:` and 64 digits in lower case."""
    wanted = "a fingerprint is sha256: and 64 hexadecimal digits: openssl x509 -fingerprint -sha256"
    if _BARE.fullmatch(text):
        raise ValueError(wanted)
    digest = _digest(text, wanted)
    return text if digest is None else _MARK + digest.hex()


def store_key(text: str) -> Secret:
    """Give a Fernet key in its canonical form, RFC 4648's URL-safe alphabet; it may be written in either."""
    wanted = "a store key is 32 random bytes in base64, as `openssl rand -base64 32` prints them"
    try:
        key = base64.b64decode(text.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
    except ValueError:
        raise ValueError(wanted) from None
    if len(key) != _STORE_KEY_BYTES:
        raise ValueError(wanted)
    return Secret(base64.urlsafe_b64encode(key).decode())


def _digest(text: str, wanted: str) -> bytes | None:
    """Read `sha256:…`, with colons between the bytes or without; None where it begins otherwise."""
    if not text.lower().startswith(_MARK):
        return None
    try:
        digest = bytes.fromhex(text[len(_MARK) :].replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != len(_NOTHING):
        raise ValueError(wanted)
    return digest
