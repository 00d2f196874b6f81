"""Links to the upstream become links to us, in the fields of an answer's head (D8). Pure.

A link is mapped when it lies at the upstream's origin and under a mount; whatever else there is stays byte for byte.
Paths are compared as they are written: nothing is decoded, and dot segments are not resolved.

    https://host/path     an absolute link stays absolute, with the origin by which the caller reached us
    //host/path           as before, without the scheme
    /path                 gets the route's prefix in place of the base path
    path, other origins   are left alone

Which bodies are mapped, and what that changes in a head, is decided here too; `jsonlinks` maps them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..config import Upstream
from .message import Field, Headers

_DEFAULT_PORT = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_WITH_AUTHORITY = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#]*)(.*)", re.DOTALL)
# What clients take for the `//` before a host: browsers read `\` as `/`, and overlook tabs (WHATWG URL Standard).
_TWO_SLASHES = re.compile(r"/\t*[/\\]")

_LINK_TARGET = re.compile(r'"(?:[^"\\]|\\.)*"?|<([^<>]*)>', re.DOTALL)
_REFRESH = re.compile(
    r"""(\s*[\d.]+(?:\s*[;,]\s*|\s+)(?:url\s*=\s*)?)(?:(["'])(.*?)(\2.*|\Z)|(.*))""", re.IGNORECASE | re.DOTALL
)
_COOKIE_PATH = re.compile(r'(\s*path\s*=\s*"?)(/[^"]*?)("?\s*)', re.IGNORECASE | re.DOTALL)

_JSON = re.compile(r"(?:application|text)/json|[\w!#$&^.+-]+/[\w!#$&^.+-]+\+json", re.ASCII)
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"']*)""")
# Those in which every byte below 0x80 is ASCII, whatever comes before it.
_ASCII_COMPATIBLE = re.compile(r"|utf-?8|(?:us-)?ascii|iso-?8859-?\d{1,2}|latin-?\d|windows-125\d|cp125\d|koi8-[ru]")
_GZIP = frozenset({"gzip", "x-gzip"})
_DECODED = _GZIP | {"", "identity"}
_REFUSED = re.compile(r";\s*q\s*=\s*0(?:\.0*)?\s*(?:;|\Z)", re.IGNORECASE)
# What tells a length, a digest or a range of bytes that the caller does not get.
_OF_THE_BYTES = frozenset(
    {"content-length", "content-md5", "digest", "content-digest", "repr-digest", "unencoded-digest", "accept-ranges"}
)


class Mount(NamedTuple):
    """The upstream's path `base` (without a final slash, empty for all of it) is reached under a route's `prefix`."""

    base: str
    prefix: str


@dataclass(frozen=True, slots=True)
class LinkMap:
    """Where the upstream's addresses are reached from the caller's side.

    `upstream` is whose links are mapped; its base path plays no part. `own` is the mount of the route that the caller
    came by: it goes first, so that a caller who may use one route is not sent to another. `others` can be reached by
    the same caller with the same credential, longest base first. `origin` is how the caller reached us (see
    `caller_origin`); while it is empty absolute links are left alone.
    """

    upstream: Upstream
    own: Mount
    others: tuple[Mount, ...] = ()
    origin: str = ""

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Give the mounts to be looked at; the first that covers a path is the one that counts."""
        return (self.own, *self.others) if self.own.base else (self.own,)

    @property
    def authorities(self) -> tuple[str, ...]:
        """Give the ways to write the upstream's host and port, in lower case."""
        host = f"[{self.upstream.host}]" if ":" in self.upstream.host else self.upstream.host
        with_port = f"{host}:{self.upstream.port}".lower()
        if self.upstream.port != _DEFAULT_PORT[self.upstream.scheme]:
            return (with_port,)
        return (host.lower(), f"{host}:".lower(), with_port)

    def local(self, url: str) -> str:
        """Give the local form of a URL or URL reference, or what came where there is none."""
        match = _WITH_AUTHORITY.fullmatch(url)
        if match is None:
            return self._host_relative(url) if url.startswith("/") else url
        scheme, authority, rest = match.groups()
        at_upstream = scheme is None or scheme.lower() == self.upstream.scheme
        if not self.origin or not at_upstream or authority.lower() not in self.authorities:
            return url
        path = self._path(rest)
        if path is None:
            return url
        return (self.origin if scheme else self.origin.partition(":")[2]) + path

    def cookie_path(self, path: str) -> str | None:
        """Give the Path with which a cookie comes back for the requests that it came back for at the upstream.

        None where no mount reaches any of them. A cookie for all of a route stays with that route; one for more than
        the caller's own route comes back there alone.
        """
        above = path if path.endswith("/") else path + "/"
        for base, prefix in self.mounts:
            if base == path or (base or "/").startswith(above):
                return prefix
            if path.startswith(base + "/"):
                return prefix.rstrip("/") + path[len(base) :]
        return None

    def _host_relative(self, url: str) -> str:
        path = self._path(url)
        if path is None or path == url:
            return url
        if _TWO_SLASHES.match(path):  # without its base the path would name a host
            return self.origin + path if self.origin else url
        return path if path.startswith("/") else "/" + path

    def _path(self, rest: str) -> str | None:
        """Give the local form of a path with its query and fragment, None where no mount covers it."""
        for base, prefix in self.mounts:
            if rest.startswith(base) and rest[len(base) : len(base) + 1] in ("", "/", "?", "#"):
                return prefix.rstrip("/") + rest[len(base) :]
        return None


def caller_origin(scheme: str, authority: str) -> str:
    """Give the origin by which a caller reached us, of its Host field; empty where that is missing or not plain.

    What is given goes into fields and JSON as it is.
    """
    return f"{scheme}://{authority}" if _HOST.fullmatch(authority) else ""


def map_head(headers: Headers, links: LinkMap, path: str = "") -> list[Field]:
    """Map the fields of an answer's head. `path` is the one the caller asked for, without its query."""
    result: list[Field] = []
    for name, value in headers:
        key = name.lower()
        if key in _FIELDS:
            result.append((name, _FIELDS[key](value, links)))
        elif key != "set-cookie":
            result.append((name, value))
        elif (cookie := _cookie(value, links, path)) is not None:
            result.append((name, cookie))
    return result


def _link(value: str, links: LinkMap) -> str:
    """Map each target of a Link field (RFC 8288 section 3); what stands in quotes is passed over."""
    return _LINK_TARGET.sub(lambda match: match[0] if match[1] is None else f"<{links.local(match[1])}>", value)


def _refresh(value: str, links: LinkMap) -> str:
    """Map the URL of a Refresh field, which is written as in HTML's `meta http-equiv`."""
    match = _REFRESH.fullmatch(value)
    if match is None:
        return value
    before, quote, quoted, after, bare = match.groups()
    if quote:
        return before + quote + links.local(quoted) + after
    return before + links.local(bare)


def _cookie(value: str, links: LinkMap, path: str) -> str | None:
    """Map a Set-Cookie field, read as RFC 6265 section 5.2 does; None for a cookie that would never come back."""
    pair, *attributes = value.split(";")
    kept, scope = [pair], ""
    for attribute in attributes:
        name, _, given = attribute.partition("=")
        if name.strip().lower() == "domain":
            continue
        if name.strip().lower() == "path":
            scope = given.strip()
        match = _COOKIE_PATH.fullmatch(attribute)
        if match is None:
            kept.append(attribute)
            continue
        local = links.cookie_path(match[2])
        if local is None:
            return None
        kept.append(match[1] + local + match[3])
    if not scope.startswith("/") and path == links.own.prefix != "/":
        # Of a request for the prefix alone, user agents would take the default path to be the one above it.
        kept.append(f" Path={path}")
    return ";".join(kept)


_FIELDS: dict[str, Callable[[str, LinkMap], str]] = {
    "location": lambda value, links: links.local(value),
    "content-location": lambda value, links: links.local(value),
    "link": _link,
    "refresh": _refresh,
}


def accepted_encodings(headers: Headers) -> Headers:
    """Ask the upstream for no content coding that cannot be undone here, where an answer may have to be mapped.

    A caller's Accept-Encoding that offers none of those passes as it is.
    """
    offers = [part.strip() for part in _combined(headers, "accept-encoding").split(",")]
    taken = {offer.partition(";")[0].strip().lower(): not _REFUSED.search(offer) for offer in offers}
    if not any(taken[coding] for coding in taken.keys() - _DECODED):
        return headers
    named = [taken[coding] for coding in _GZIP & taken.keys()]
    narrowed = "gzip" if (any(named) if named else taken.get("*")) else "identity"
    result: list[Field] = []
    for name, value in headers:
        if name.lower() != "accept-encoding":
            result.append((name, value))
        elif narrowed:
            result.append((name, narrowed))
            narrowed = ""
    return result


def maps_body(status: int, request_headers: Headers, answer_headers: Headers) -> bool:
    """Tell whether an answer's body is mapped: JSON, whole, in a coding that is undone here.

    Lines of JSON and JSON sequences are not: they are streams of records, not pages with a link to the next one. Goes
    for an answer to HEAD too, the head of which is that of a GET.
    """
    if status != 200:
        return False
    kind = _combined(answer_headers, "content-type").lower()
    if not _JSON.fullmatch(kind.partition(";")[0].strip()):
        return False
    if not all(_ASCII_COMPATIBLE.fullmatch(charset) for charset in _CHARSET.findall(kind)):
        return False
    if _combined(answer_headers, "content-encoding").strip().lower() not in _DECODED:
        return False
    return not any(name.lower() == "range" for name, _ in request_headers)


def is_gzip(headers: Headers) -> bool:
    """Tell whether a body that is mapped is gzip."""
    return _combined(headers, "content-encoding").strip().lower() in _GZIP


def json_head(headers: Headers) -> list[Field]:
    """Give the head of an answer whose body is mapped: without what describes the bytes that came, its ETag weak."""
    dropped = _OF_THE_BYTES | {"content-encoding"} if is_gzip(headers) else _OF_THE_BYTES
    return [
        (name, f"W/{value}" if key == "etag" and not value.startswith("W/") else value)
        for name, value in headers
        if (key := name.lower()) not in dropped
    ]


def _combined(headers: Headers, name: str) -> str:
    """Give a field's value, of several the list that they mean (RFC 9110 section 5.3)."""
    return ", ".join(value for key, value in headers if key.lower() == name)
