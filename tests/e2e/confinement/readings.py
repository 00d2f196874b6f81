"""What servers make of a path, written without a look at how the proxy judges one.

Each step is something that some server does. `readings` takes the steps in every order and any number of times, but
decodes once at most (what is encoded twice is the upstream's own matter), and gives all paths that come of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Segments = tuple[str, ...]

_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_PADDING = re.compile(r"(?<=/)[\x00-\x20]+|[\x00-\x20]+(?=/|$)")


def decoded(path: str) -> str:
    """Percent-encoding taken away; what is malformed stays."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), path)


def backslashes_as_slashes(path: str) -> str:
    """As on Windows, and as in the URLs of browsers."""
    return path.replace("\\", "/")


def without_parameters(path: str) -> str:
    """All from `;` on dropped in each segment, as Java's servlets do before they decode, and others after it."""
    return re.sub(";[^/]*", "", path)


def without_padding(path: str) -> str:
    """Blanks and control characters at both ends of a segment dropped."""
    return _PADDING.sub("", path)


def merged(path: str) -> str:
    """Slashes in a row made one."""
    return re.sub("/{2,}", "/", path)


def cut_short(path: str) -> str:
    """Ended at NUL, as a text of C is; or at `?` or `#`, where what is decoded is parsed as a target again."""
    return re.split(r"[\x00?#]", path, maxsplit=1)[0] or "/"


def resolved(path: str) -> str:
    """Dot segments removed (RFC 3986 section 5.2.4)."""
    result: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del result[-1:]
        elif segment != ".":
            result.append(segment)
    if segments[-1:] in (["."], [".."]):
        result.append("")
    return "/" + "/".join(result)


def without_authority(path: str) -> str:
    """Read as a reference that begins with a host (RFC 3986 section 4.2), as parsers of URLs do."""
    return re.sub(r"^[/\\]{2}[^/\\]*[/\\]?", "/", path)


STEPS: tuple[Callable[[str], str], ...] = (
    backslashes_as_slashes,
    without_parameters,
    without_padding,
    merged,
    cut_short,
    resolved,
)


def readings(path: str) -> set[str]:
    """All that servers may make of a path as it stands in a request line."""
    found: set[tuple[str, bool]] = set()
    new = {(path, False), (without_authority(path), False)}
    while new:
        found |= new
        after = {(step(text), done) for text, done in new for step in STEPS}
        after |= {(decoded(text), True) for text, done in new if not done}
        new = after - found
    return {text for text, _ in found}


def segments_of(path: str) -> Segments:
    """The segments that are not empty."""
    return tuple(segment for segment in path.split("/") if segment)


def is_below(path: str, place: str) -> bool:
    """Whether a path is a place or lies below it."""
    segments = segments_of(place)
    return segments_of(path)[: len(segments)] == segments


def escapes(paths: Iterable[str], base: str, closed: Iterable[str]) -> list[str]:
    """Those of the paths, as servers read them, that leave `base` or reach a `closed` place in any letter case."""
    places = [place.lower() for place in closed]
    return [
        path
        for path in sorted(paths)
        if not is_below(resolved(path), base) or any(is_below(resolved(path).lower(), place) for place in places)
    ]
