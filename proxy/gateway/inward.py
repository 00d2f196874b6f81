"""An upstream's answer as the caller gets it: rid of what is not for it, its links made local, notes of ours added.

Links in fields are mapped always; those in JSON bodies where the provider says so (D8).
"""

from __future__ import annotations

from .headers import inbound
from .jsonlinks import JsonLinks, MappedBody
from .links import LinkMap, Mount, caller_origin, is_gzip, json_head, map_head, maps_body
from .message import Field, Incoming, Readable, Request, Response, first
from .routes import Place


def inward(answer: Incoming, request: Request, place: Place, org: str, *notes: Field) -> Response:
    """Give the response to `request`, of an `answer` to what was sent to `place`, with fields of ours added."""
    headers, linked = inbound(answer.headers)
    length: int | None = answer.length
    body: Readable = answer
    mapped = place.route.map_links and maps_body(answer.status, request.headers, answer.headers)
    if linked or mapped:
        links = _links(request, place, org)
        headers = map_head(headers, links, request.target.partition("?")[0])
        if mapped and links.origin:
            headers = json_head(headers)
            body, length = MappedBody(answer, JsonLinks(links, gzip=is_gzip(answer.headers))), None
    if answer.status == 204:  # which says no length (RFC 9110 section 8.6)
        headers = [field for field in headers if field[0].lower() != "content-length"]
    if answer.upgraded is not None:
        headers.append(("Upgrade", first(answer.headers, "upgrade")))
    if notes:
        ours = {name.lower() for name, _ in notes} - {"proxy-status"}  # which is a list, and may be added to
        headers = [*(field for field in headers if field[0].lower() not in ours), *notes]
    return Response(answer.status, answer.reason, headers, body, length, answer.close, answer.upgraded)


def _links(request: Request, place: Place, org: str) -> LinkMap:
    """Give where the upstream's addresses are found from this caller's side."""
    route = place.route
    base = route.base if route.after_org is None else f"{route.base}{org}{route.after_org}"
    origin = caller_origin(request.downstream.scheme, place.authority)
    return LinkMap(place.upstream, Mount(base, route.prefix), place.others, origin)
