"""What a browser tells of the page that asks, and of the name by which it found us. Pure.

Host             a name of ours: loopback's, the very address that was reached, what we listen on, or one that the
configuration names; any other may be a page's own, led here (DNS rebinding)
Origin           the request's own, or none: else a page of somebody else's asks, and `null` is somebody's too
Sec-Fetch-Site   same-origin or none, likewise

Pages that vendors serve through us would all be of one origin, ours, and each could use what belongs to the others. So
a browser is told to keep them apart from everything, and to run nothing in them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..config import Address, is_loopback

_OURS = ("same-origin", "none")
# A page may call loopback by these, and some browsers tell then neither its origin nor its site.
_NO_NAMES = ("", "*", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
_CONFINED = (("Content-Security-Policy", "sandbox"),)
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
    own = _own(scheme, authority)
    return any(_plain(origin.strip().lower()) not in own for origin in origins)


def may_be_shown(headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether a browser may show the answer as a page: it says that it navigates, or that it takes HTML."""
    return any("text/html" in value or value == "navigate" for _, value in headers)


def confined(origins: frozenset[str], scheme: str, authority: str) -> tuple[tuple[str, str], ...]:
    """Give the field that confines a page, or nothing where our own origin is one of `origins`, which may do more."""
    return () if origins and any(_plain(origin) in _own(scheme, authority) for origin in origins) else _CONFINED


def _own(scheme: str, authority: str) -> set[str]:
    schemes = ("https",) if scheme == "https" else ("http", "https")
    return {_origin(one, authority.strip().lower()) for one in schemes}


def _plain(origin: str) -> str:
    scheme, _, authority = origin.partition("://")
    return _origin(scheme, authority)


def _origin(scheme: str, authority: str) -> str:
    return f"{scheme}://{authority.removesuffix(_PORTS.get(scheme, ' '))}"
