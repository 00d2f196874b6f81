"""Slows the guessing of keys, for each address: after a few wrong ones, keys are looked at once a second.

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

    def wait(self, address: str, digests: Sequence[bytes]) -> float:
        """Give the seconds after which keys from `address` are looked at again; 0 for at once."""
        if not self._empty_at:
            return 0.0
        where = _network(address)
        left = self._empty_at.get(where, 0.0) - self._clock() - (_BURST - 1) * _EVERY
        if left <= 0 or any((where, digest) in self._proved for digest in digests):
            return 0.0
        return left

    def wrong(self, address: str, count: int) -> None:
        """Hear of wrong keys in one request."""
        where, now = _network(address), self._clock()
        self._empty_at[where] = max(self._empty_at.pop(where, now), now) + count * _EVERY
        while self._empty_at:
            oldest, at = next(iter(self._empty_at.items()))
            if at > now and len(self._empty_at) <= _MOST:
                break
            del self._empty_at[oldest]

    def right(self, address: str, digest: bytes) -> None:
        """Hear of a key that opened."""
        proof = _network(address), digest
        if proof not in self._proved:
            self._proved[proof] = None
            if len(self._proved) > _MOST:
                self._proved.popitem(last=False)


def _network(address: str) -> str:
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address.partition("%")[0])
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
