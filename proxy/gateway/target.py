"""Request targets: split, judged, confined, and rid of tokens. Pure; bytes that pass are never changed (D2, D3, D4).

A path is judged on forms of its own: decoded once, a backslash read as a slash, in each segment anything dropped from
`;` on, and from a decoded `?`, `#` or NUL on, where some servers end a path. The forms are only looked at; what goes on
is what came. They differ in when parameters go (servlets drop them before they decode, so that `/a;%2Fb/c` is `/a/c`),
and in whether `//host/path`, or any number of slashes before it, is read as a reference with a host in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from ..errors import BadTargetError
from .memo import Lookup

_ABSOLUTE = re.compile(r"(?i)https?://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d{0,5})?")
# Without these a path is its own judged form, but for letter case and empty segments.
_ODD = re.compile(r"[%;\\]|(?:^|/)\.")
_NEVER_PASSES = re.compile(r"[\x00-\x20\x7f#\ud800-\udfff]")
_ENDS_A_SEGMENT = re.compile(r"[;?#\x00]")
_PARAMETERS = re.compile(r";[^/]*")
_HOST_FIRST = (re.compile(r"^[/\\]{2}[^/\\]*"), re.compile(r"^[/\\]{2,}[^/\\]*"))  # RFC 3986's reading, and WHATWG's
_PADDING = "".join(map(chr, range(0x21)))


def split_target(target: str) -> tuple[str | None, str, str]:
    """Split a request target into authority (None in origin form), path, and query with its `?`.

    Raises `BadTargetError` for what is neither origin form nor absolute form (RFC 9112 section 3.2).
    """
    authority = None
    if not target.startswith("/") and (match := _ABSOLUTE.fullmatch(target)):
        authority, target = match["authority"], match["rest"]
        if not target.startswith("/"):
            target = "/" + target
    if not target.startswith("/") or _NEVER_PASSES.search(target):
        raise BadTargetError("the request target must be a path, percent-encoded where it is not plain")
    path, mark, query = target.partition("?")
    return authority, path, mark + query


def hostname(authority: str) -> str:
    """Give the host of a Host field or an authority, in lower case, without port. Raises `BadTargetError`."""
    return _HOSTS[authority]


def _hostname(authority: str) -> str:
    match = _AUTHORITY.fullmatch(authority.strip())
    if match is None:
        raise BadTargetError("the Host field is not a host with an optional port")
    return match["host"].lower().rstrip(".")


_HOSTS = Lookup(_hostname)


def judged(path: str) -> tuple[str, ...]:
    """Give the segments of the form by which `path` is judged, in lower case, empty ones left out.

    Raises `BadTargetError` where one is `.` or `..`: nothing is resolved here, and nothing may be resolved later.
    """
    if _ODD.search(path) is None:
        return tuple([segment for segment in path.lower().split("/") if segment])
    return _segments(_decoded(path))


def all_judged(path: str) -> set[tuple[str, ...]]:
    """Give the segments of every form by which `path` is judged. Raises `BadTargetError` as `judged` does."""
    if _ODD.search(path) is None and not path.startswith("//"):
        return {judged(path)}
    texts = {path, *(host.sub("/", path) for host in _HOST_FIRST)}
    texts |= {_PARAMETERS.sub("", text) for text in texts}
    texts = {_decoded(text) for text in texts}
    texts |= {_PARAMETERS.sub("", text) for text in texts}
    return {_segments(text) for text in texts}


def _decoded(path: str) -> str:
    return unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1")


def _segments(decoded: str) -> tuple[str, ...]:
    pieces = decoded.replace("\\", "/").split("/")
    segments = [_ENDS_A_SEGMENT.split(piece.strip(_PADDING), maxsplit=1)[0].strip(_PADDING) for piece in pieces]
    if any(segment in (".", "..") for segment in segments):
        raise BadTargetError("a path with . or .. segments, encoded or not, is not proxied: send the resolved path")
    return tuple(segment.lower() for segment in segments if segment)


def is_at_or_below(segments: tuple[str, ...], places: Collection[tuple[str, ...]]) -> bool:
    """Tell whether judged `segments` are one of `places` or lie below one, also with a format behind it (`.json`)."""
    return any(_is_at_or_below(segments, place) for place in places)


def _is_at_or_below(segments: tuple[str, ...], place: tuple[str, ...]) -> bool:
    last = len(place) - 1
    if len(segments) <= last or segments[:last] != place[:last]:
        return False
    return segments[last] == place[last] or segments[last].startswith(f"{place[last]}.")


def without_parameters(query: str, names: Collection[str]) -> str:
    """Cut the parameters named in `names` out of a query (with its `?`); all other bytes stay as they are.

    `;` separates too, as it does for some servers. A `?` that is left with nothing goes with the last parameter.
    """
    if not query:
        return query
    kept: list[str] = []
    between = ""
    for separator, part in re.findall(r"(^|[&;])([^&;]*)", query[1:]):
        between = "&" if "&" in (separator, between) else separator
        if parameter_name(part) not in names:
            kept += [between if kept else "", part]
            between = ""
    text = "".join(kept)
    return query if len(text) == len(query) - 1 else (f"?{text}" if text else "")


def parameter_name(part: str) -> str:
    """Give the decoded name of one `name=value`."""
    return unquote_to_bytes(part.partition("=")[0].replace("+", " ")).decode("latin-1").strip()


def parameter_names(query: str) -> list[str]:
    """Give the decoded names of a query (with its `?`), in order."""
    return [parameter_name(part) for part in re.split("[&;]", query[1:]) if part]
