"""What a browser tells of the page that asks, and of the name by which it found us. Pure.

Host             a name of ours: loopback's, the very address that was reached, what we listen on, or one that the
configuration names; any other may be a page's own, led here (DNS rebinding)
Origin           the request's own, or none: else a page of somebody else's asks, and `null` is somebody's too
Sec-Fetch-Site   same-origin or none, likewise
"""

from __future__ import annotations

from collections.abc import Iterable

from ..config import Address, is_loopback

_OURS = ("same-origin", "none")
# A page may call loopback by these, and some browsers tell then neither its origin nor its site.
_NO_NAMES = ("", "*", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
_PORTS = {"http": ":80", "https": ":443"}


def listened_names(addresses: Iterable[Address]) -> frozenset[str]:
    """Give the names by which listeners are known, in lower case. All addresses at once are none."""
    return frozenset(address.host.lower() for address in addresses if address.host not in _NO_NAMES)


def is_ours(name: str, names: frozenset[str], reached: str = "") -> bool:
    """Tell whether a host's name, in lower case and without brackets or a final dot, is one of ours."""
    return bool(name) and (name in names or name == reached or is_loopback(name))


def is_foreign(origins: Iterable[str], sites: Iterable[str], scheme: str, authority: str) -> bool:
    """Tell whether a page of another origin asks, by the Origin and Sec-Fetch-Site fields of a request.

    `scheme` and `authority` are those by which we were reached. Where that is http, a proxy before us may speak TLS.
    """
    if any(site.strip().lower() not in _OURS for site in sites):
        return True
    schemes = ("https",) if scheme == "https" else ("http", "https")
    own = {_origin(one, authority.strip().lower()) for one in schemes}
    return any(_plain(origin.strip().lower()) not in own for origin in origins)


def _plain(origin: str) -> str:
    scheme, _, authority = origin.partition("://")
    return _origin(scheme, authority)


def _origin(scheme: str, authority: str) -> str:
    return f"{scheme}://{authority.removesuffix(_PORTS.get(scheme, ' '))}"
