"""A sign-in in a browser: the address a person is sent to, and what comes back from there. Pure.

`state` ties the answer to the attempt (RFC 6749 section 10.12), PKCE ties the code to it (RFC 7636, always S256: a
server that does not know it ignores it). What comes back is a code, or with the implicit grant tokens. What is pasted
by hand need not bear the state, since a person chose it; a wrong state is refused either way.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ..config import CredentialConfig, redirect_to_send
from ..credentials.answers import TOKENS, registered_error
from ..credentials.exchange import Code, joined_scopes
from ..credentials.record import Tokens
from ..errors import SignInError, TokenFormatError
from ..secret import Secret
from .pasted import Fields, usable_tokens

_SENTENCES = {
    "access_denied": "consent was denied at the vendor: nothing has changed; sign in again to consent",
    "unauthorized_client": "the vendor does not let this client sign in so: check client_id and the app's settings",
    "invalid_client": "the vendor does not know this client: check client_id",
    "invalid_scope": "the vendor refuses the scopes that were asked for: check scopes",
    "unsupported_response_type": "the vendor does not offer this grant: check grant of the provider",
    "server_error": "the vendor had trouble: try again later",
    "temporarily_unavailable": "the vendor had trouble: try again later",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in that was begun. `session` names the browser that began it, and is empty for a terminal.

    `bound`: what comes back must come by that browser. Where it was begun under another name than the redirect URI's,
    the browser cannot show that it is the same, and the state alone has to do.
    """

    credential: str
    state: Secret
    verifier: Secret
    redirect_uri: str
    began_at: float
    session: str = field(default="", repr=False)
    bound: bool = True


def lacking(credential: CredentialConfig) -> tuple[str, ...]:
    """Name what a sign-in needs and the configuration lacks."""
    provider = credential.provider
    needed = {"authorize_url": provider.authorize_url, "client_id": credential.client_id}
    if provider.grant == "authorization_code":
        needed["token_url"] = provider.token_url
        if provider.client_auth != "none":
            needed["client_secret"] = "set" if credential.client_secret else ""
    return tuple(key for key, value in needed.items() if not value)


def new_attempt(credential: CredentialConfig, session: str, now: float, *, bound: bool = True) -> Attempt:
    """Begin. Raises `SignInError` where nobody signs in by browser, or something is lacking for it."""
    name, provider = credential.name, credential.provider
    if provider.grant == "client_credentials":
        raise SignInError(f"{name} needs no sign-in: with client_credentials the proxy gets its tokens by itself")
    if provider.grant == "manual":
        raise SignInError(f"the tokens of {name} are shown by the vendor and pasted: run: bearer-proxy import {name}")
    missing = lacking(credential)
    if missing:
        raise SignInError(f"{name} cannot be signed in to: set {', '.join(missing)} in the configuration first")
    try:
        redirect_uri = redirect_to_send(credential.redirect_uri, provider)
    except ValueError as error:
        raise SignInError(str(error)) from None
    return Attempt(name, _random(), _random(), redirect_uri, now, session, bound)


def unasked(credential: CredentialConfig, session: str, now: float) -> Attempt:
    """Give what stands for an attempt where tokens are pasted and none is under way. Raises as `new_attempt` does."""
    if credential.provider.grant == "manual":
        return Attempt(credential.name, _random(), _random(), "", now, session)
    return new_attempt(credential, session, now)


def authorize_url(credential: CredentialConfig, attempt: Attempt) -> str:
    """Give the address at the vendor where a person consents (RFC 6749 sections 4.1.1, 4.2.1)."""
    provider = credential.provider
    code = provider.grant == "authorization_code"
    query = {"response_type": "code" if code else "token", "client_id": credential.client_id}
    if provider.redirect_parameter != "none":
        query[provider.redirect_parameter] = attempt.redirect_uri
    if credential.scopes:
        query["scope"] = joined_scopes(credential)
    query["state"] = attempt.state.reveal()
    if code:
        query |= {"code_challenge": _challenge(attempt.verifier), "code_challenge_method": "S256"}
    query = {**provider.authorize_parameters, **query}  # further ones: state and challenge are not to be replaced
    return f"{provider.authorize_url}{'&' if '?' in provider.authorize_url else '?'}{urlencode(query)}"


def read_return(fields: Fields, credential: CredentialConfig, attempt: Attempt, *, pasted: bool) -> Tokens | Code:
    """Read what came back from the vendor for `attempt`.

    Raises `SignInError` for a wrong state and for the vendor's errors, `TokenFormatError` where nothing is usable.
    """
    state = fields.get("state")
    if not (state or pasted):
        raise SignInError("the vendor's answer bears no state, so that it might be anybody's: sign in again")
    if state and Secret(str(state)) != attempt.state:
        raise SignInError(
            "the sign-in is aborted: the state that came back is not the one that was sent, so this answer belongs to "
            "another sign-in; sign in again"
        )
    if fields.get("error"):
        raise SignInError(_refusal(fields))
    code, tokens = sendable(fields.get("code")), any(fields.get(key) for key in TOKENS)
    if credential.provider.grant != "authorization_code":
        if code and not tokens:
            raise SignInError("the vendor gave a code where tokens were expected: check grant of the provider")
    elif code and not (pasted and tokens):
        return Code(Secret(str(code)), attempt.verifier, attempt.redirect_uri)
    elif not pasted:  # tokens that come by themselves where a code was asked for are under nobody's PKCE
        raise SignInError("the vendor's answer bears no code: sign in again, and check grant of the provider")
    elif not tokens:
        raise TokenFormatError("there is no code in it: paste the code that the vendor shows, or the whole address")
    return usable_tokens(fields)


def sendable(code: object) -> object:
    """Give a code that a request can carry, as it is. Raises `TokenFormatError` for half characters."""
    if any("\ud800" <= character <= "\udfff" for character in str(code)):
        raise TokenFormatError("the code holds characters that no vendor gives out: copy it anew")
    return code


def _refusal(fields: Fields) -> str:
    error = registered_error(fields, "an error that is not a registered one")
    return _SENTENCES.get(error, f"the vendor refused the sign-in ({error})")


def _random() -> Secret:
    return Secret(secrets.token_urlsafe(32))


def _challenge(verifier: Secret) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.reveal().encode()).digest()).rstrip(b"=").decode()
