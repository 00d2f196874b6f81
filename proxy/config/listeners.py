"""The addresses of both planes and of routes, held against each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from .address import Address
from .source import KeyPath, Source

Listener = tuple[KeyPath, Address]  # where it is written, and the address

_PLANES: tuple[KeyPath, ...] = (("listen",), ("admin",))
_WIDE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - compared, not bound


def check_listeners(source: Source, planes: Sequence[Listener], own: Sequence[Listener]) -> None:
    """Report addresses that cannot be listened on at the same time. Routes may share a listener of their own."""
    taken: list[Listener] = []
    for path, address in planes:
        _report_overlap(source, path, address, taken)
        taken.append((path, address))
    for path, address in own:
        _report_overlap(source, path, address, [one for one in taken if one[1] != address or one[0] in _PLANES])
        taken.append((path, address))


def set_by(variable: str, path: KeyPath) -> str:
    """Say which variable set an address, where one did."""
    return f"{variable}: " if variable and path == ("listen",) else ""


def _report_overlap(source: Source, path: KeyPath, address: Address, taken: Sequence[Listener]) -> None:
    for where, other in taken:
        if _overlap(other, address):
            who = str(where[0]) if where in _PLANES else "another route"
            how = f", {'with' if other.tls else 'without'} ssl" if other.tls is not address.tls else ""
            source.report(path, f"{address} is listened on by {who} already{how}")
            return


def _overlap(one: Address, other: Address) -> bool:
    if one.path or other.path:
        return one.path == other.path
    if one.port == 0 or one.port != other.port:
        return False
    pairs = ((a, b) for a in one.hosts for b in other.hosts)
    return any(a == b or (_family(a) == _family(b) != 0 and _WIDE[_family(a)] in (a, b)) for a, b in pairs)


def _family(host: str) -> int:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0
