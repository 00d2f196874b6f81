"""Tokens at rest, encrypted in Fernet's format: what can be read only by who has a key, and fits one place only.

The first key seals, each of them opens. What is sealed says by an identifier under which key, so that a wrong key is
told from damage. It is bound to its credential and generation: whoever can write the file, but has no key, cannot give
one credential the tokens of another, nor old tokens for new ones. Knows nothing of files.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken

from ..secret import Secret

Pair = tuple[str | None, str | None]  # an access token and a refresh token

_ID_OF = b"bearer-proxy: which store_key"  # no key can be found out from what HMAC makes of this
_ID_LENGTH = 16


class Cipher:
    """What `store_key` makes of tokens; without keys there is nothing that it can seal or open."""

    def __init__(self, keys: Iterable[Secret] = ()) -> None:
        self._keys = {_identifier(key): Fernet(key.reveal()) for key in keys}
        self.key_id = next(iter(self._keys), None)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def knows(self, key_id: str | None) -> bool:
        """Tell whether what was sealed under a key can be opened; None is what is not sealed."""
        return key_id is None or key_id in self._keys

    def seal(self, name: str, generation: int, tokens: Pair) -> str:
        """Seal the tokens of one generation of a credential under the first key."""
        return self._keys[self.key_id or ""].encrypt(json.dumps([name, generation, *tokens]).encode()).decode()

    def open(self, key_id: str, name: str, generation: int, sealed: str) -> Pair:
        """Open what was sealed for this place. Raises `ValueError` where it is damaged, or from another place."""
        try:
            found = json.loads(self._keys[key_id].decrypt(sealed))
        except (InvalidToken, KeyError):
            raise ValueError("not sealed by this key") from None
        if not isinstance(found, list) or found[:-2] != [name, generation]:
            raise ValueError("sealed for another place")
        return found[-2], found[-1]


def _identifier(key: Secret) -> str:
    raw = base64.urlsafe_b64decode(key.reveal())
    return hmac.new(raw, _ID_OF, hashlib.sha256).hexdigest()[:_ID_LENGTH]
