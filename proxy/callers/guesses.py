"""Slows the guessing of keys, for each address: after a few wrong ones, keys are looked at once a second.

Over a unix socket it is the user whose program calls that stands for an address.

A key that has opened from an address before opens from there at any time, so that whoever guesses keeps nobody out who
shares its address and is known. The networks of IPv6 that one subscriber has (/64) are one address.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

_BURST = 10  # wrong keys before it gets slow
_EVERY = 1.0  # seconds for one more
_MOST = 4096  # addresses and proofs that are remembered


class Guesses:
    """Counts wrong keys by address: a bucket that leaks one each second. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._empty_at: OrderedDict[str, float] = OrderedDict()  # when an address's bucket will have leaked out
        self._proved: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._beside: OrderedDict[tuple[str, bytes], None] = OrderedDict()  # wrong ones beside a right one

    def wait(self, address: str, opening: bytes, digests: Sequence[bytes]) -> float:
        """Give the seconds after which keys from `address` are looked at again; 0 for at once.

        `opening` is the one among `digests` that would open, or nothing.
        """
        if not self._empty_at:
            return 0.0
        where = _network(address)
        left = self._empty_at.get(where, 0.0) - self._clock() - (_BURST - 1) * _EVERY
        if left <= 0 or self._known(where, opening, digests):
            return 0.0
        return left

    def wrong(self, address: str, count: int) -> None:
        """Hear of wrong keys in one request."""
        self._count(_network(address), count)

    def right(self, address: str, opening: bytes, digests: Sequence[bytes]) -> None:
        """Hear of a key that opened. Others beside it are guesses, but for the dummies that a tool sends each time."""
        where = _network(address)
        if (where, opening) not in self._proved:
            _keep(self._proved, (where, opening))
        if len(digests) > 1:
            for digest in digests:
                if digest != opening and (where, digest) not in self._beside:
                    _keep(self._beside, (where, digest))
                    self._count(where, 1)

    def _known(self, where: str, opening: bytes, digests: Sequence[bytes]) -> bool:
        """Tell whether an address has used all of these before, so that nothing is learnt from an answer."""
        return (where, opening) in self._proved and all(
            digest == opening or (where, digest) in self._beside for digest in digests
        )

    def _count(self, where: str, count: int) -> None:
        now = self._clock()
        self._empty_at[where] = max(self._empty_at.pop(where, now), now) + count * _EVERY
        while self._empty_at:
            oldest, at = next(iter(self._empty_at.items()))
            if at > now and len(self._empty_at) <= _MOST:
                break
            del self._empty_at[oldest]


def _keep(used: OrderedDict[tuple[str, bytes], None], one: tuple[str, bytes]) -> None:
    used[one] = None
    if len(used) > _MOST:
        used.popitem(last=False)


def _network(address: str) -> str:
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address.partition("%")[0])
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
