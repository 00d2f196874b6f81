"""Cloud 66's sign-in: the authorization code grant with PKCE, in Doorkeeper's manners.

- a request without a good client or a good redirect ends on a page of the vendor (401): nobody is redirected;
- any other error goes back to the redirect, in the query;
- a redirect must have the host and port of the registered one, or be `urn:ietf:wg:oauth:2.0:oob`;
- the newer docs call that parameter `redirect_url`, the older ones `redirect_uri`: which is read is a setting;
- scopes have a space or a comma between; without any it is `public`;
- a PKCE challenge must name its method; a verifier is demanded if there was a challenge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import data
from .authorize import Asked, error_page, sent_to, unique
from .codes import METHODS, Challenge, Claim, is_proof
from .messages import Answer
from .redirects import OOB, same_place, with_query
from .settings import CLIENT_ID, Cloud66Settings

AUTHORIZE = "/oauth/authorize"
NATIVE = "/oauth/authorize/native"
INVALID_GRANT = "The provided authorization grant is invalid, expired or revoked."
INVALID_CLIENT = "Client authentication failed."
_REDIRECT_NAMES = ("redirect_uri", "redirect_url")  # if both come, the one that the vendor's own clients send
_ERRORS = {
    "access_denied": "The resource owner or authorization server denied the request.",
    "invalid_code_challenge_method": "The code challenge method must be plain or S256.",
    "invalid_request": "The request lacks a parameter or is otherwise malformed.",
    "invalid_scope": "The requested scope is invalid, unknown, or malformed.",
    "unsupported_response_type": "The authorization server does not support this response type.",
}


@dataclass(frozen=True, slots=True)
class CodeAsked(Asked):
    """As `Asked`; `sent`: the redirect that came with the request, which the exchange must repeat."""

    sent: str | None
    challenge: Challenge | None


def asked(query: Mapping[str, str], settings: Cloud66Settings) -> CodeAsked | Answer:
    """What the request asks for, or the answer that refuses it."""
    client = query.get("client_id", "")
    if client != CLIENT_ID:
        return error_page(f"{INVALID_CLIENT} There is no application {client!r}.", 401)
    sent = _sent_redirect(query, settings.redirect_parameter)
    redirect = settings.redirect_uri if sent is None else sent
    if redirect != OOB and not same_place(redirect, settings.redirect_uri):
        return error_page("The requested redirect uri is malformed or does not match the application's.", 401)
    method = query.get("code_challenge_method", "")
    challenge = Challenge(query["code_challenge"], method) if query.get("code_challenge") else None
    scopes = unique(re.split("[ ,]", query.get("scope", ""))) or (data.CLOUD66_SCOPES[0],)
    found = CodeAsked(client, scopes, redirect, query.get("state"), sent, challenge)
    error = _error(query, found)
    return found if error is None else turned_back(found, error)


def turned_back(asked: CodeAsked, error: str) -> Answer:
    """The browser goes back with an error; with oob there is nowhere to go, and a page says it."""
    if asked.redirect == OOB:
        return error_page(_ERRORS[error], 401)
    return sent_to(with_query(asked.redirect, asked.fields(error=error, error_description=_ERRORS[error])))


def sent_back(asked: CodeAsked, code: str, origin: str) -> Answer:
    """The browser goes back with a code; with oob, to the page that shows it."""
    if asked.redirect == OOB:
        return sent_to(with_query(f"{origin}{NATIVE}", {"code": code}))
    return sent_to(with_query(asked.redirect, asked.fields(code=code)))


def claim(params: Mapping[str, object], parameter: str) -> Claim:
    """What our client brings to the token endpoint; there a redirect counts under either name."""
    given = {name: str(value) for name, value in params.items() if value}
    redirect = _sent_redirect(given, parameter) or _sent_redirect(given, "either")
    return Claim(code=given.get("code", ""), client=CLIENT_ID, redirect=redirect, verifier=given.get("code_verifier"))


def _sent_redirect(query: Mapping[str, str], parameter: str) -> str | None:
    names = _REDIRECT_NAMES if parameter == "either" else (parameter,)
    return next((query[name] for name in names if query.get(name)), None)


def _error(query: Mapping[str, str], asked: CodeAsked) -> str | None:
    """What is wrong with a request whose client and redirect are good."""
    kind, challenge = query.get("response_type"), asked.challenge
    if kind != "code":
        return "unsupported_response_type" if kind else "invalid_request"
    if not set(asked.scopes) <= set(data.CLOUD66_SCOPES):
        return "invalid_scope"
    if challenge is None:
        return None
    if challenge.method not in METHODS:
        return "invalid_code_challenge_method"
    return None if is_proof(challenge.text) else "invalid_request"
