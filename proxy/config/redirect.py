"""Redirect URIs: where a vendor sends the browser back to, and what of it the vendor compares. Pure.

Our own page is `/callback` on the control plane. A vendor that compares the host only (Cloud 66: scheme and path may
differ) is sent that page's address, whatever path is registered; any other is sent the registered URI as it is. Where
that leads to a page of others, the person copies the address from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from .address import Address, Upstream, is_loopback
from .fields import OOB
from .model import Provider

CALLBACK = "/callback"
_DEFAULT_PORT = 8081
_WIDE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def default_redirect(admin: Sequence[Address]) -> str:
    """Give `/callback` as a browser of this machine reaches it, by IP literal (RFC 8252 section 7.3)."""
    by_tcp = [address for address in admin if not address.path and address.port]
    here = [address for address in by_tcp if address.loopback or address.host in _WIDE]
    listening = next(iter((*here, *by_tcp)), Address("", _DEFAULT_PORT))
    host = _WIDE.get(listening.host, listening.host)
    literal = host if is_loopback(host) and host[-1] in "0123456789" else _WIDE["*"]
    return f"http://{Address(literal, listening.port)}{CALLBACK}"


def same_host(one: str, other: str) -> bool:
    """Tell whether two URIs have the same host and the same port, where each has its scheme's if it says none.

    Cloud 66's rule takes https and http of a host for the same, so the schemes' own ports are equal.
    """
    return _host_and_port(one) == _host_and_port(other)


def redirect_to_send(registered: str, provider: Provider) -> str:
    """Give the redirect URI for a sign-in. Raises ValueError for a place of ours where nothing is."""
    if registered == OOB or urlsplit(registered).path == CALLBACK:
        return registered
    if provider.redirect_match == "host":
        return _origin(registered) + CALLBACK
    if provider.redirect_parameter == "none" or not is_loopback(urlsplit(registered).hostname or ""):
        return registered
    raise ValueError(
        f"the sign-in ends at {CALLBACK} of the control plane: register {_origin(registered)}{CALLBACK} at the vendor, "
        f"or {OOB} where codes are copied"
    )


def _host_and_port(uri: str) -> tuple[str, int | None]:
    parts = urlsplit(uri)
    port = None if parts.port == {"http": 80, "https": 443}.get(parts.scheme) else parts.port
    return (parts.hostname or "").lower(), port


def _origin(uri: str) -> str:
    return Upstream.parse(uri.partition("?")[0]).origin
