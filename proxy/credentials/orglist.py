"""The vendor's list of organizations: asked for once, and read defensively as the one organization of a grant.

`OrgsEndpoint` gets a complete answer; what it means is decided purely. The case list:

    401, or a 4xx whose `error` is invalid_token     the token was rejected
    any other 3xx, 4xx                               OrganizationRefusedError
    5xx, or a 2xx that is no such list               UpstreamError
    a list of one                                    its key
    an empty list, a list of several                 OrganizationMissingError, OrganizationAmbiguousError

A key becomes a segment of a path, and so is checked as one. No text of the vendor's is shown but organizations' names,
cut to what can be printed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import aiohttp.http
from yarl import URL

from .. import __version__
from ..calling import calling
from ..config import CredentialConfig, Upstream, org_key
from ..egress import Egress, EgressProxy
from ..errors import (
    EgressProxyError,
    OrganizationAmbiguousError,
    OrganizationMissingError,
    OrganizationRefusedError,
    RequestError,
    UpstreamCertificateError,
    UpstreamDnsError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReadTimeoutError,
    UpstreamRefusedError,
    UpstreamTerminatedError,
    UpstreamTlsError,
)
from ..secret import Secret, repeats

Ask = Callable[[CredentialConfig, Secret], Awaitable[tuple[int, bytes]]]

MAX_LIST = 1 << 20  # bytes
SHOWN = 10  # organizations that an error names
_LONGEST_NAME = 60  # characters


class OrgsEndpoint:
    """Asks for the list, on a connection of its own. `timeout` seconds for all of it."""

    def __init__(self, timeout: float, egress: Egress | None = None) -> None:
        self._timeout = timeout
        self._egress = egress or Egress.system()

    async def __call__(self, credential: CredentialConfig, token: Secret) -> tuple[int, bytes]:
        """Give the status and the body of one answer. Raises `UpstreamError`."""
        origin = Upstream.parse(credential.provider.upstream).origin
        proxy = self._egress.proxy(origin)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._get(origin + credential.provider.orgs_path, token)
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, TimeoutError, OSError, ValueError) as error:
            raise _mapped(error, f"asked for the organizations of {credential.name}, {origin}", proxy) from None

    async def _get(self, url: str, token: Secret) -> tuple[int, bytes]:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a short body that unpacks to a long one is not worth the risk
            "Authorization": f"Bearer {token.reveal()}",
            "User-Agent": f"bearer-proxy/{__version__}",
        }
        way = self._egress.call(url, headers)
        async with (
            calling(auto_decompress=False) as session,
            session.get(URL(url, encoded=True), allow_redirects=False, **way) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_LIST:
                    return response.status, b""
            return response.status, bytes(body)


def rejects(status: int, body: bytes) -> bool:
    """Tell whether an answer says that the token is not good any more."""
    if status == 401 or not 400 <= status < 500:
        return status == 401
    value = _json(body)
    return isinstance(value, dict) and value.get("error") == "invalid_token"


def sole(status: int, body: bytes, credential: str, secrets: Sequence[Secret] = ()) -> str:
    """Give the key of the one organization that an answer lists. Raises the `RequestError` that says why not.

    A name or a key that repeats one of `secrets` is none.
    """
    if not 200 <= status < 300:
        raise _refusal(status, credential)
    value = _json(body)
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(results, list):
        raise UpstreamError(f"the vendor's list of the organizations of {credential} cannot be read")
    named = {key: _name(one, secrets) for one in results if (key := _key(one, secrets))}
    unread = sum(not _key(one, secrets) for one in results)
    if results and not named:
        raise UpstreamError(f"no organization in the vendor's list for {credential} has a key that can be read")
    if not named:
        raise OrganizationMissingError(
            credential,
            f"{credential} has no organization, so that @me and {{org_pk}} mean nothing: sign in as a person who has "
            f"one, or set org_pk of the credential {credential}",
        )
    more = unread + _further(value, len(results))
    if len(named) == 1 and not more:
        return next(iter(named))
    shown = [f"{name} ({key})" if name else key for key, name in named.items()]
    raise OrganizationAmbiguousError(credential, shown[:SHOWN], len(shown[SHOWN:]) + more)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _refusal(status: int, credential: str) -> RequestError:
    if status >= 500:
        return UpstreamError(f"the vendor answered {status} when asked for the organizations of {credential}")
    help_ = "the grant may lack the scope company-read_only; sign in with it, or set" if status == 403 else "set"
    return OrganizationRefusedError(
        f"the vendor answered {status} when asked for the organizations of {credential}: "
        f"{help_} org_pk of the credential {credential}"
    )


def _key(one: object, secrets: Sequence[Secret]) -> str:
    """Give the last segment of an organization's `url`, or nothing where it is no key."""
    url = one.get("url") if isinstance(one, dict) else None
    if not isinstance(url, str):
        return ""
    key = re.split("[?#]", url, maxsplit=1)[0].removesuffix("/").rpartition("/")[2]
    return key if org_key(key) and not repeats(key, secrets) else ""


def _name(one: dict[str, object], secrets: Sequence[Secret]) -> str:
    name = one.get("name")
    text = "".join(character for character in name if character.isprintable()) if isinstance(name, str) else ""
    text = "" if repeats(text, secrets) else text
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def _further(value: dict[str, object], listed: int) -> int:
    """Tell how many organizations there are on further pages, at least."""
    count = value.get("count")
    further = count - listed if isinstance(count, int) else 0
    return max(further, 1 if value.get("next") else 0)


def _mapped(error: Exception, what: str, proxy: EgressProxy | None) -> UpstreamError:
    """Give our error for a library's, whose text may hold what was sent."""
    if isinstance(error, TimeoutError):
        return UpstreamReadTimeoutError(f"{what} did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return UpstreamCertificateError(f"{what} has a certificate that is not trusted")
    if isinstance(error, aiohttp.ClientSSLError):
        return UpstreamTlsError(f"{what} failed in TLS")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return EgressProxyError(f"{what} was not reached: {proxy} did not connect to it ({error.status})")
    if proxy is not None and isinstance(error, aiohttp.ClientConnectorError):
        return EgressProxyError(f"{what} was not reached: {proxy} cannot be connected to")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UpstreamDnsError(f"{what} cannot be found: its name has no address")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamRefusedError(f"{what} cannot be connected to")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.http.HttpProcessingError | ValueError):
        return UpstreamProtocolError(f"{what} gave an answer that is not HTTP")
    return UpstreamTerminatedError(f"{what} closed the connection before its answer was complete")
