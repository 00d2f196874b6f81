"""One line per request. An allow-list: the path, the *names* of query parameters, numbers, and words of ours."""

from __future__ import annotations

import logging

from ..errors import BadTargetError
from .message import Trail
from .target import parameter_names, split_target

LOG = logging.getLogger("bearer_proxy.access")

_LONGEST = 200  # characters of a path, and of a query's names, that are logged


def write(method: str, target: str, status: int, sent: int, seconds: float, peer: str, trail: Trail) -> None:
    """Log one request. `sent` in bytes."""
    if not LOG.isEnabledFor(logging.INFO):
        return
    shown = _shown(target)
    fields: dict[str, object] = {
        "method": method[:20],
        "path": shown,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "bytes": sent,
        "route": trail.route,
        "credential": trail.credential,
        "generation": trail.generation,
        "replayed": trail.replayed,
        "error": trail.error,
        "peer": peer,
    }
    LOG.info("%s %s %d", method[:20], shown, status, extra={"fields": fields, "shown": ("method", "path", "status")})


def _shown(target: str) -> str:
    try:
        _, path, query = split_target(target)
    except BadTargetError:
        return "(malformed target)"
    named = [part for part in query[1:].replace(";", "&").split("&") if "=" in part]
    names = ",".join(parameter_names("?" + "&".join(named))).replace(" ", "%20")
    return _plain(path) + (f"?{_plain(names)}" if names else "")


def _plain(text: str) -> str:
    """Keep a text to one line of printable ASCII."""
    return text[:_LONGEST].encode("unicode_escape").decode("ascii")
