"""One call of a token endpoint: the request built, sent once on a connection of its own, the answer judged.

Never retried here and no redirect followed: a refresh token that works once must not be sent twice by accident. What
counts is how far it got: until a connection stands nothing was sent, from then on something may have been (T5). Through
an egress proxy a connection stands when the proxy has let us through and TLS inside is done.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from .. import __version__
from ..calling import calling
from ..config import CredentialConfig
from ..egress import Egress, EgressProxy
from ..errors import EgressProxyError
from ..secret import Secret
from .answers import MAX_ANSWER, Outcome, Passing, Uncertain, read_answer

Exchange = Callable[[CredentialConfig, Secret | None], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, with what only the sign-in that asked for it knows. It works once."""

    code: Secret
    verifier: Secret
    redirect_uri: str


@dataclass(frozen=True, slots=True, repr=False)
class TokenRequest:
    """A token request ready to be sent. It holds secrets and so has no telling repr."""

    url: str
    headers: dict[str, str]
    body: bytes


def build_request(credential: CredentialConfig, refresh_token: Secret | None) -> TokenRequest:
    """Build the request that renews with `refresh_token`, or without one by client credentials (RFC 6749, 4.4, 6)."""
    if refresh_token is not None:
        # No scope: it would ask for what was granted anyway, and ReadyCloud's server fails on it.
        return _request(credential, {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()})
    fields = {"grant_type": "client_credentials"}
    if credential.scopes:
        fields["scope"] = joined_scopes(credential)
    return _request(credential, fields)


def build_code_request(credential: CredentialConfig, code: Code) -> TokenRequest:
    """Build the request that redeems a code, with its PKCE verifier (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
    fields = {
        "grant_type": "authorization_code",
        "code": code.code.reveal(),
        "code_verifier": code.verifier.reveal(),
    }
    if credential.provider.redirect_parameter != "none":
        fields[credential.provider.redirect_parameter] = code.redirect_uri
    return _request(credential, fields)


def joined_scopes(credential: CredentialConfig) -> str:
    """Give the scopes to ask for as one text, in the way of the provider."""
    return ("," if credential.provider.scope_separator == "comma" else " ").join(credential.scopes)


def _request(credential: CredentialConfig, fields: dict[str, str]) -> TokenRequest:
    provider = credential.provider
    secret = credential.client_secret.reveal()
    headers = {"Accept": "application/json", "User-Agent": f"bearer-proxy/{__version__}"}
    if provider.client_auth == "basic":
        # RFC 6749 section 2.3.1; a space as %20, since some servers do not read the + of a form there.
        pair = f"{quote(credential.client_id, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        fields["client_id"] = credential.client_id
        if provider.client_auth == "body":
            fields["client_secret"] = secret
    if provider.token_request == "json":  # noqa: S105 - no secret
        headers["Content-Type"] = "application/json"
        return TokenRequest(provider.token_url, headers, json.dumps(fields).encode())
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return TokenRequest(provider.token_url, headers, urlencode(fields).encode())


class TokenEndpoint:
    """Calls token endpoints. `timeout` seconds for the whole of one exchange."""

    def __init__(self, timeout: float, egress: Egress | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._timeout = timeout
        self._egress = egress or Egress.system()
        self._clock = clock

    async def __call__(self, credential: CredentialConfig, refresh_token: Secret | None) -> Outcome:
        """Make one exchange and give its outcome, whatever happens but cancellation."""
        return await self._answer(build_request(credential, refresh_token), credential, refresh_token or Secret(""))

    async def redeem(self, credential: CredentialConfig, code: Code) -> Outcome:
        """Exchange a code for tokens and give the outcome, whatever happens but cancellation."""
        return await self._answer(build_code_request(credential, code), credential, code.code, code.verifier)

    async def _answer(self, request: TokenRequest, credential: CredentialConfig, *sent: Secret) -> Outcome:
        call = _Call(request, self._egress)
        try:
            async with asyncio.timeout(self._timeout):
                status, headers, body = await call.make()
        except TimeoutError:
            return call.failed(f"the token endpoint did not answer in {self._timeout:g} s")
        except EgressProxyError as error:
            return call.failed(error.description)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return call.failed(call.why(error))
        if body is None:
            return Uncertain("the token endpoint's answer is too long")
        secrets = credential.client_secret, *sent
        return read_answer(status, headers, body, credential.provider, self._clock(), secrets)


class _Call:
    """One request on a fresh connection, remembering whether the connection ever stood."""

    def __init__(self, request: TokenRequest, egress: Egress) -> None:
        self._request = request
        self._egress = egress
        self._proxy: EgressProxy | None = None
        self._connected = False

    async def make(self) -> tuple[int, Any, bytes | None]:
        """Give status, headers and body; None for a body that is longer than an answer may be."""
        url, body = self._request.url, bytearray()
        self._proxy = self._egress.proxy(url)
        way = self._egress.call(url, self._request.headers)
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._on_connected)
        async with (
            calling(trace_configs=[trace]) as session,
            session.post(url, data=self._request.body, allow_redirects=False, **way) as response,
        ):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    return response.status, response.headers, None
            return response.status, response.headers, bytes(body)

    def failed(self, reason: str) -> Outcome:
        """Give the outcome of a call that brought no complete answer."""
        return Uncertain(reason) if self._connected else Passing(reason)

    def why(self, error: Exception) -> str:
        """Say in our words why it failed: a library's words may hold what was sent."""
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return "the token endpoint's certificate is not trusted"
        if isinstance(error, aiohttp.ClientSSLError):
            return "TLS with the token endpoint failed"
        if self._proxy is not None and not self._connected:
            answered = f" ({error.status})" if isinstance(error, aiohttp.ClientHttpProxyError) else ""
            return f"{self._proxy} did not connect to the token endpoint{answered}"
        if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
            return "the token endpoint's name cannot be resolved"
        if isinstance(error, aiohttp.ClientConnectorError):
            refused = isinstance(error.os_error, ConnectionRefusedError)
            return "the token endpoint refuses connections" if refused else "the token endpoint cannot be reached"
        return "the connection to the token endpoint broke before its answer was complete"

    async def _on_connected(self, *_: object) -> None:
        self._connected = True
