"""A caller's address where an outer proxy stands between: believed from networks that the configuration names. Pure.

What came by other proxies that are believed too is read from the end, which is the nearest, to the first that is not
(nginx's `real_ip_recursive`). What is loopback for a proxy on another machine is not so for us: such a caller has that
machine's address. So nobody in those networks becomes one of this machine by saying so.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ..config import RealIp, is_in, is_loopback

_PAIR = re.compile(r"""\s*+(?:([\w-]++)\s*+=\s*+("[^"\\]*+"|[^\s";]*+))?+\s*+(?:;|$)""")
_WITH_PORT = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::\d{1,5})?|(?P<four>[0-9.]+):\d{1,5}")


class UnreadableAddressError(ValueError):
    """An outer proxy that is believed has not said who calls."""


def is_believed(address: str, real_ip: RealIp) -> bool:
    """Tell whether what comes from an address, empty for a unix socket, may name the caller's."""
    return is_in(address, real_ip.networks) if address else real_ip.unix


def real_address(address: str, fields: Iterable[tuple[str, str]], real_ip: RealIp) -> str:
    """Give the address of the caller that stands behind `address`, which is believed.

    Without the field it is `address`. Raises `UnreadableAddressError` where the field holds anything but addresses.
    """
    told = ",".join(value for name, value in fields if name.lower() == real_ip.header)
    for element in reversed(told.split(",")) if told.strip() else ():
        if not is_believed(address, real_ip):
            break
        found = _read(element.strip(), real_ip.header)
        if is_loopback(found) and address and not is_loopback(address):
            break
        address = found
    return address


def _read(element: str, header: str) -> str:
    if header == "forwarded":
        element = _for(element)
    ported = _WITH_PORT.fullmatch(element)
    if ported is not None:
        element = ported["six"] or ported["four"]
    try:
        found = ipaddress.ip_address(element)
    except ValueError:
        raise UnreadableAddressError from None
    return str(getattr(found, "ipv4_mapped", None) or found).partition("%")[0]  # a zone may be any text


def _for(element: str) -> str:
    """Give what `for` says in one element of Forwarded (RFC 7239 section 4); nothing unless that is plain.

    What a caller says, its Host among it, may stand there too: in quotes it is not read, nor past a quote of its own.
    """
    found: list[str] = []
    end = 0
    while end < len(element):
        pair = _PAIR.match(element, end)
        if pair is None:
            return ""
        end = pair.end()
        if pair[1] and pair[1].lower() == "for":
            found.append(pair[2].strip('"'))
    return found[0] if len(found) == 1 else ""
