"""Callers' certificates: whose a verified one is, by its fingerprint or by a name in it. Pure.

    fingerprint        SHA-256 of the whole certificate; it goes before names
    subjectAltName     a name with a colon is a URI, one with @ is of e-mail, any other is of DNS; each is found under
                       its own kind only, so that whoever may choose one kind of name cannot choose another's
    CN of the subject  where there is no subjectAltName at all (RFC 6125 section 6.4.4), and one CN

A name is compared whole, and exactly; that of DNS without regard to the case of ASCII letters. There are no wildcards:
a certificate for `*.internal` is that of a client with the very name `*.internal`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..config import ClientConfig

_FINGERPRINT = "sha256"
_CN = "CN"


class CertificateMap:
    """Tells whose certificate it is."""

    def __init__(self, clients: Iterable[ClientConfig]) -> None:
        self._owners: dict[tuple[str, str], ClientConfig] = {}
        for client in clients:
            for text in client.certificates:
                for known in _meant(text):
                    self._owners.setdefault(known, client)

    def __bool__(self) -> bool:
        return bool(self._owners)

    def owner(self, der: bytes | None, told: Mapping[str, Any] | None) -> ClientConfig | None:
        """Give the client of a certificate that was verified: its bytes, and what the ssl module tells of it.

        Of several names that clients have, the certificate's first counts.
        """
        if not der:
            return None
        known = (_FINGERPRINT, hashlib.sha256(der).hexdigest()), *_names(told or {})
        found = (self._owners.get(one) for one in known)
        return next((client for client in found if client is not None), None)


def _meant(text: str) -> Iterator[tuple[str, str]]:
    """Give what a certificate has to hold that is told by `text`."""
    kind, _, digest = text.partition(":")
    if kind == _FINGERPRINT:
        yield kind, digest
        return
    yield _normal("URI" if ":" in text else "email" if "@" in text else "DNS", text)
    yield _CN, text


def _names(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "subjectAltName" in told:
        for kind, name in told["subjectAltName"]:
            yield _normal(kind, name)
        return
    common = [value for part in told.get("subject", ()) for name, value in part if name == "commonName"]
    if len(common) == 1:
        yield _CN, common[0]


def _normal(kind: str, name: str) -> tuple[str, str]:
    return kind, name.lower() if kind == "DNS" and name.isascii() else name
