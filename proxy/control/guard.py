"""Who gets an answer from the control plane: the middleware before every handler, and the fields on every answer.

    Origin           our own or none; Sec-Fetch-Site same-origin or none. Else 403, but for a navigation to / and
                     /callback, where a person may come from anywhere
    admin_key        where one is set: as Bearer, or as Basic password; not for /healthz, /readyz and /callback. Wrong
                     ones count wherever they come, and are slowed: 429
    Host             without the key: a name of ours (`callers.browsers`), a redirect URI's host among them

A unix socket has no names to check: no browser reaches it.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from ..callers.browsers import is_foreign, is_ours, listened_names
from ..callers.guesses import Guesses
from ..callers.keys import given_digests
from ..config import Config
from ..secret import Secret

NONCE = web.RequestKey("nonce", str)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_OPEN = ("/healthz", "/readyz", "/callback")  # without a key
_ENTRANCES = ("/", "/callback")  # from anywhere
_KEY_WANTED = {hdrs.WWW_AUTHENTICATE: 'Basic realm="bearer-proxy", charset="UTF-8"'}


def host_names(config: Config) -> frozenset[str]:
    """Give the names, beside loopback's, under which the control plane is known."""
    redirects = {urlsplit(one.redirect_uri).hostname or "" for one in config.credentials.values()}
    return listened_names(config.admin) | config.callers.hosts | {name.lower() for name in redirects if name}


def guard(names: Iterable[str], admin_key: Secret, guesses: Guesses) -> Middleware:
    """Give the middleware that refuses what the module's docstring does not admit. `guesses` outlasts a reload."""
    known = frozenset(names)
    digest = hashlib.sha256(admin_key.reveal().encode()).digest() if admin_key else b""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[NONCE] = secrets.token_urlsafe(16)
        if _from_elsewhere(request):
            raise web.HTTPForbidden(text="a page of another origin may not do this\n")
        address = request.remote or ""
        fields = request.headers.getall(hdrs.AUTHORIZATION, [])
        given = given_digests(value.encode("utf-8", "surrogateescape") for value in fields)
        opening = digest if any(hmac.compare_digest(one, digest) for one in given) else b""
        wait = guesses.wait(address, opening, given) if digest and given else 0
        if opening and not wait:
            guesses.right(address, digest, given)
            return await handler(request)
        if digest and given and not wait:
            guesses.wrong(address, len(given))
        if _by_tcp(request) and not _host_is_ours(request, known):
            raise web.HTTPForbidden(
                text="this is not a name of bearer-proxy's control plane: use 127.0.0.1, or name it in hosts\n"
            )
        if digest and request.path not in _OPEN:
            if wait:
                later = {hdrs.RETRY_AFTER: str(math.ceil(wait))}
                raise web.HTTPTooManyRequests(text="too many wrong keys: try again later\n", headers=later)
            raise web.HTTPUnauthorized(text="this needs the admin_key\n", headers=_KEY_WANTED)
        return await handler(request)

    return guarded


def plain_headers() -> dict[str, str]:
    """Give the fields for every answer, a page's policy left out."""
    return {
        "Server": "bearer-proxy",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",  # no-referrer would make the Origin of our own forms null
        "Cross-Origin-Resource-Policy": "same-origin",
    }


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Add the fields that every answer bears: kept nowhere, framed nowhere, no script but our own."""
    nonce = request.get(NONCE, "")
    response.headers.update(
        {
            **plain_headers(),
            # No form-action: browsers hold it against the redirects to the vendor and back that follow a form.
            "Content-Security-Policy": (
                f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
                "img-src data:; base-uri 'none'; frame-ancestors 'none'"
            ),
        }
    )


def host_name(request: web.Request) -> str:
    """Give the name in the Host field, in lower case, or nothing where there is not exactly one."""
    fields = request.headers.getall(hdrs.HOST, [])
    match = _HOST.fullmatch(fields[0]) if len(fields) == 1 else None
    return "" if match is None else match["name"].lower().strip("[]").rstrip(".")


def _host_is_ours(request: web.Request, known: frozenset[str]) -> bool:
    name = host_name(request)
    reached = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return is_ours(name, known, "" if reached is None else reached[0])


def _by_tcp(request: web.Request) -> bool:
    return request.transport is None or isinstance(request.transport.get_extra_info("sockname"), tuple)


def _from_elsewhere(request: web.Request) -> bool:
    fetched = request.headers
    arriving = (
        request.method == hdrs.METH_GET
        and request.path in _ENTRANCES
        and fetched.get("Sec-Fetch-Mode") == "navigate"
        and fetched.get("Sec-Fetch-Dest") == "document"
    )
    origins, sites = fetched.getall(hdrs.ORIGIN, []), fetched.getall("Sec-Fetch-Site", [])
    return not arriving and is_foreign(origins, sites, request.scheme, fetched.get(hdrs.HOST, ""))
