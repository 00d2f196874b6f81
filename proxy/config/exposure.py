"""Who can reach the proxy: its addresses held against each other, and who may call on them.

Takes validated values, reports into the `Source` that they came from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from .address import Address, Network
from .source import KeyPath, Source
from .values import EVERYBODY, LOOPBACK_ONLY, Anonymous

Listener = tuple[KeyPath, Address]  # where it is written, and the address

_BEYOND = (
    "this listens beyond loopback, so that others call in your name: say who may, "
    "with anonymous: any or a list of networks, or listen on localhost"
)
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


def admitted(source: Source, value: Any, listeners: Sequence[Listener], variable: str) -> Anonymous:
    """Read `anonymous`; without it nobody may listen beyond loopback. `variable` set the data plane's, or is empty."""
    if value in (None, ""):
        if not source.settled("anonymous"):
            for path in dict.fromkeys(path for path, address in listeners if not address.loopback):
                source.report(path, (f"{variable}: " if variable and path == ("listen",) else "") + _BEYOND)
        return LOOPBACK_ONLY
    if value == "none":
        source.report(("anonymous",), "none needs clients, which this version lacks: use loopback or networks")
    elif value == "any":
        return EVERYBODY
    elif value != "loopback":
        return Anonymous(tuple(_networks(source, value)))
    return LOOPBACK_ONLY


def _networks(source: Source, value: Any) -> Iterator[Network]:
    if not isinstance(value, list) or not value:
        source.report(("anonymous",), "this must be loopback, any, or a list of networks such as 10.0.0.0/8")
        return
    for index, item in enumerate(value):
        try:
            yield ipaddress.ip_network(str(item), strict=False)
        except ValueError:
            source.report(("anonymous", index), "a network is written 10.0.0.0/8 or fd00::/8")


def _report_overlap(source: Source, path: KeyPath, address: Address, taken: Sequence[Listener]) -> None:
    other = next((where for where, seen in taken if _overlap(seen, address)), None)
    if other is not None:
        who = str(other[0]) if other in _PLANES else "another route"
        source.report(path, f"{address} is listened on by {who} already")


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
