r"""Absolute links to the upstream in a JSON body become local ones, while it streams (D8).

Mapped is a JSON string, a member's name too, that begins with the upstream's origin and a path under a mount. Its
slashes may be written `/`, `\/` or `\u002f`, and the local ones are written as they are. Every other byte stays.

Strings are told by their opening quote alone: in JSON a quote before a URL can only be that, unless a backslash stands
before it. So the cost is that of a search, and nothing waits for more of a body but what may be a link cut in two.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..errors import UpstreamProtocolError
from .links import LinkMap
from .message import Readable

PIECE = 64 << 10  # bytes that decompressing gives at once
_STEP = 16 << 10  # bytes that it is given at once: what is left of them is copied for each piece, and for each member

_MAGIC = b"\x1f\x8b"  # how a gzip member begins (RFC 1952 section 2.3.1)
_BACKSLASH = 0x5C
_SLASH = rb"(?:/|\\/|\\u002[fF])"
_ESCAPED_SLASH = re.compile(rb"\\(?:/|u002[fF])")
_CUT_ESCAPE = re.compile(rb"(?<!\\)\\(?:u(?:0(?:02?)?)?)?\Z")


class ContentCodingError(UpstreamProtocolError, ValueError):
    """A compressed body is corrupt or cut short."""

    proxy_error = "http_response_content_coding"


class MappedBody:
    """A body with its links mapped, given on as it arrives: about `PIECE` bytes at most at a time."""

    __slots__ = ("_body", "_links", "_pieces", "ended")

    def __init__(self, body: Readable, links: JsonLinks) -> None:
        self._body = body
        self._links = links
        self._pieces: Iterator[bytes] = iter(())
        self.ended = False

    def at_hand(self) -> bytes:
        """Give what has come and was not read yet, or the beginning of it. Raises `ContentCodingError`."""
        parts: list[bytes] = []
        size = 0
        while size < PIECE and not self.ended:
            piece = next(self._pieces, b"")
            if not piece:
                data = self._body.at_hand()
                if data:
                    self._pieces = self._links.feed(data)
                    continue
                if not self._body.ended:
                    break
                piece = self._links.end()
                self.ended = True
            parts.append(piece)
            size += len(piece)
        return b"".join(parts)

    async def read(self) -> bytes:
        """Give the next bytes, empty at the end. Raises what the body raises, and `ContentCodingError`."""
        await asyncio.sleep(0)  # what is at hand may grow a thousandfold: others have a turn between its pieces
        while not (data := self.at_hand()) and not self.ended:
            self._pieces = self._links.feed(await self._body.read())
        return data


class JsonLinks:
    """Maps one body. `feed` gives what can go on, `end` the rest; `gzip` says that it comes compressed."""

    __slots__ = ("_escaped", "_finder", "_gunzip", "_held", "_local")

    def __init__(self, links: LinkMap, *, gzip: bool) -> None:
        bases = tuple(base for base, _ in links.mounts)
        self._finder = _finder(links.upstream.scheme, links.authorities, bases) if links.origin else None
        self._local = _Local.at(links)
        self._gunzip = _Gunzip() if gzip else None
        self._held = b""  # the beginning of what may be a link
        self._escaped = False  # whether a backslash stands before what comes next

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; what it gives must be read to its end. Raises `ContentCodingError`."""
        for piece in (data,) if self._gunzip is None else self._gunzip.feed(data):
            mapped = self._map(piece)
            if mapped:
                yield mapped

    def end(self) -> bytes:
        """Give what was held back. Raises `ContentCodingError` when a compressed body is not whole."""
        if self._gunzip is not None:
            self._gunzip.end()
        held, self._held = self._held, b""
        return held

    def _map(self, piece: bytes) -> bytes:
        if self._finder is None or not piece:
            return piece
        data = self._held + piece
        cut = self._cut(data, self._finder)

        def link(match: re.Match[bytes]) -> bytes:
            start = match.start()
            return match[0] if start == cut or self._is_escaped(data, start) else self._local.link(match)

        # What is held back is looked at too: its quote may be the end of a link.
        mapped = self._finder.pattern.sub(link, data)
        self._held = data[cut:]
        if cut:
            self._escaped = data[cut - 1] == _BACKSLASH
        return mapped[: len(mapped) - len(self._held)]

    def _cut(self, data: bytes, finder: _Finder) -> int:
        """Give where that begins which has to be held back; a link holds no quote but its first byte."""
        quote = data.rfind(b'"', -finder.longest)
        if quote < 0 or self._is_escaped(data, quote) or not finder.undecided(data[quote:]):
            return len(data)
        return quote

    def _is_escaped(self, data: bytes, quote: int) -> bool:
        return data[quote - 1] == _BACKSLASH if quote else self._escaped


@dataclass(frozen=True, slots=True)
class _Local:
    """How local addresses begin."""

    scheme: bytes
    authority: bytes
    prefixes: tuple[bytes, ...]

    @classmethod
    def at(cls, links: LinkMap) -> _Local:
        scheme, _, authority = links.origin.encode().partition(b"://")
        return cls(scheme, authority, tuple(prefix.rstrip("/").encode() for _, prefix in links.mounts))

    def link(self, match: re.Match[bytes]) -> bytes:
        """Write a link's beginning, its slashes as they were written in it."""
        first, second = match[1], match[2]
        mount = (match.lastindex or 0) - 3  # the groups after the two slashes are the mounts
        prefix = self.prefixes[mount].replace(b"/", second)
        return b'"%b:%b%b%b%b' % (self.scheme, first, second, self.authority, prefix)


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds links at one origin. `pattern` has the two slashes, then a group for each of `bases`."""

    pattern: re.Pattern[bytes]
    origins: tuple[bytes, ...]
    bases: tuple[bytes, ...]
    longest: int

    def undecided(self, tail: bytes) -> bool:
        """Tell whether more bytes may make a link of `tail`, which begins with a quote, or another than it is now."""
        match = self.pattern.match(tail)
        bases = self.bases if match is None else self.bases[: (match.lastindex or 0) - 3]
        url = _ESCAPED_SLASH.sub(b"/", _CUT_ESCAPE.sub(b"/", tail[1:]))
        lowered = url.lower()
        for origin in self.origins:
            if not lowered.startswith(origin):
                if origin.startswith(lowered):
                    return True
                continue
            path = url[len(origin) :]
            if any((base + b"/").startswith(path) for base in bases):
                return True
        return False


@lru_cache(maxsize=256)
def _finder(scheme: str, authorities: tuple[str, ...], bases: tuple[str, ...]) -> _Finder:
    """Make the finder of links at the origin that `authorities` are spellings of, to be found under one of `bases`."""
    hosts = b"|".join(re.escape(authority.encode()) for authority in authorities)
    paths = b"|".join(b"(%b)" % _SLASH.join(map(re.escape, base.encode().split(b"/"))) for base in bases)
    pattern = rb'"(?i:%b):(%b)(%b)(?i:%b)(?:%b)(?=["?#]|%b)' % (scheme.encode(), _SLASH, _SLASH, hosts, paths, _SLASH)
    origins = tuple(f"{scheme}://{authority}".encode() for authority in authorities)
    escapes = len(rb"\u002f") - 1
    longest = 1 + max(len(origin) + 2 * escapes for origin in origins)
    longest += max(len(base) + escapes * base.count("/") for base in bases) + escapes
    return _Finder(re.compile(pattern), origins, tuple(base.encode() for base in bases), longest)


class _Gunzip:
    """Decompresses gzip as it arrives, one member after another; what comes after the last and is none is dropped."""

    __slots__ = ("_begun", "_between", "_inflate", "_over")

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._begun = False
        self._between = b""  # the first byte of what may be another member
        self._over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what is in `data`, `PIECE` bytes at most at a time."""
        for begin in range(0, len(data), _STEP):
            yield from self._members(data[begin : begin + _STEP])

    def end(self) -> None:
        """Raise `ContentCodingError` if the last member is not whole. A body without a byte is."""
        if self._begun and not self._inflate.eof:
            raise ContentCodingError("the upstream's answer was cut short: its gzip has no end")

    def _members(self, data: bytes) -> Iterator[bytes]:
        self._begun = True
        while data and not self._over:
            if self._inflate.eof:
                data = self._between + data
                self._between = b""
                if data == _MAGIC[:1]:
                    self._between = data
                    return
                if not data.startswith(_MAGIC):
                    self._over = True
                    return
                self._inflate = zlib.decompressobj(wbits=31)
            yield from self._member(data)
            data = self._inflate.unused_data

    def _member(self, data: bytes) -> Iterator[bytes]:
        more = True
        while more and not self._inflate.eof:
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error:
                raise ContentCodingError("the upstream's answer is corrupt: it is not gzip as it says") from None
            data = self._inflate.unconsumed_tail
            more = bool(data) or len(piece) == PIECE  # which may have left some inside
            if piece:
                yield piece
