"""Authorization codes: what each is good for, and that it is good once. Pure: no clock, no I/O.

Rules kept here:
- a code is bound to its client, to the redirect that was sent with the request, and to its PKCE challenge;
- it works once; a second use is refused and kills the grant that the first one made (RFC 6749 section 4.1.2);
- it is dead from the very second of its expiry on;
- a claim that fails for another reason does not spend it: the rightful client may still come.
A verifier is demanded if a challenge was sent, and only then accepted (RFC 9700 section 4.8.2), as Doorkeeper has it.
Codes, challenges and verifiers are never shown by `repr`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from .grants import Grant

METHODS = ("S256", "plain")
_PROOF = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # challenge and verifier alike: RFC 7636 sections 4.1 and 4.2


def is_proof(text: str) -> bool:
    """Whether this can be a challenge or a verifier."""
    return _PROOF.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A PKCE challenge (RFC 7636)."""

    text: str = field(repr=False)
    method: str

    def met_by(self, verifier: str) -> bool:
        if not is_proof(verifier):
            return False
        if self.method == "plain":
            return verifier == self.text
        digest = hashlib.sha256(verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode() == self.text


@dataclass(slots=True, kw_only=True)
class Code:
    """What a code stands for. `redirect`: None if none was sent; `grant`: what became of it, None if it is unused."""

    client: str
    scope: str
    redirect: str | None
    challenge: Challenge | None
    expires_at: float
    grant: Grant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a client brings to the token endpoint. None: not sent."""

    code: str = field(repr=False)
    client: str
    redirect: str | None
    verifier: str | None = field(repr=False)


class Codes:
    """All codes of one vendor."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._codes: dict[str, Code] = {}

    def issue(self, code: Code) -> str:
        text = f"{self._prefix}-code-{secrets.token_hex(20)}"
        self._codes[text] = code
        return text

    def redeem(self, claim: Claim, now: float, issue: Callable[[str], Grant]) -> Grant | None:
        """The grant that `issue` makes of the code's scope; None if the claim is refused."""
        code = self._codes.get(claim.code)
        if code is None or claim.client != code.client:
            return None
        if code.grant is not None:
            code.grant.kill()
            return None
        if now >= code.expires_at or not _fits(code, claim):
            return None
        code.grant = issue(code.scope)
        return code.grant


def _fits(code: Code, claim: Claim) -> bool:
    if code.redirect is not None and claim.redirect != code.redirect:
        return False
    if code.challenge is None or claim.verifier is None:
        return code.challenge is None and claim.verifier is None
    return code.challenge.met_by(claim.verifier)
