"""Secrets that are recognized wherever they come up, plain or in a disguise."""

from __future__ import annotations

import base64
import hashlib


class Canaries:
    """Made-up secrets by name. A text of theirs is lower-case ASCII, and needs no quoting anywhere."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Give the secret of a name, the same one each time."""
        if name not in self._texts:
            mark = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
            self._texts[name] = f"canary-{name}-{mark}"
        return self._texts[name]

    def add(self, name: str, text: str) -> None:
        """Watch out for a secret that somebody else has made."""
        if len(text) < 8:
            raise ValueError(f"{name} is too short to be told from other text")
        self._texts[name] = text

    def __len__(self) -> int:
        return len(self._texts)

    def echo(self) -> str:
        """Give all of them in one text, as a vendor would that repeats whatever it knows."""
        return " ".join(sorted(self._texts.values()))

    def found(self, text: str | bytes) -> list[str]:
        """Name those that a text holds, and how: plain, hashed, or within Base64."""
        seen = (text if isinstance(text, str) else text.decode("latin-1")).lower()
        return sorted(
            f"{name} ({how})"
            for name, secret in self._texts.items()
            for how, spelling in _spellings(secret)
            if spelling.lower() in seen
        )


def _spellings(secret: str) -> list[tuple[str, str]]:
    """Give what betrays a secret: itself, its SHA-256 as anybody would write it, and what Base64 makes of it."""
    data = secret.encode()
    digest = hashlib.sha256(data).digest()
    found = [
        ("plain", secret),
        ("hash", digest.hex()),
        ("hash", repr(digest)[2:-1]),
        ("hash", base64.b64encode(digest).decode().rstrip("=")),
    ]
    for before in range(3):  # other bytes may stand before it and after it, and share a letter with it
        whole = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        found.append(("Base64", whole[(before * 8 + 5) // 6 : -1]))
    return found
