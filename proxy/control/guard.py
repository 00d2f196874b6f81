"""Who gets an answer from the control plane: the middleware before every handler, and the fields on every answer.

    Host             a loopback name, the very address that was reached, what we listen on, or a redirect URI's host:
                     no other, against DNS rebinding
    Origin           our own or none; Sec-Fetch-Site same-origin or none. Else 403, but for a navigation to / and
                     /callback, where a person may come from anywhere
    admin_key        where one is set: as Bearer, or as Basic password; not for /healthz, /readyz and /callback

A unix socket has no names to check: no browser reaches it.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from ..config import Config, is_loopback
from ..secret import Secret

NONCE = web.RequestKey("nonce", str)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_OPEN = ("/healthz", "/readyz", "/callback")  # without a key
_ENTRANCES = ("/", "/callback")  # from anywhere
_KEY_WANTED = {hdrs.WWW_AUTHENTICATE: 'Basic realm="bearer-proxy", charset="UTF-8"'}


def host_names(config: Config) -> frozenset[str]:
    """Give the names, beside loopback's, under which the control plane is known."""
    listening = {address.host for address in config.admin if address.host != "*"}
    redirects = {urlsplit(one.redirect_uri).hostname or "" for one in config.credentials.values()}
    return frozenset(name.lower() for name in listening | redirects if name)


def guard(names: Iterable[str], admin_key: Secret) -> Middleware:
    """Give the middleware that refuses what the module's docstring does not admit."""
    known = frozenset(names)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[NONCE] = secrets.token_urlsafe(16)
        if _by_tcp(request) and not _host_is_ours(request, known):
            raise web.HTTPForbidden(text="this is not a name of bearer-proxy's control plane: use 127.0.0.1\n")
        if _from_elsewhere(request):
            raise web.HTTPForbidden(text="a page of another origin may not do this\n")
        if admin_key and request.path not in _OPEN and not _key_fits(request, admin_key):
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
    return bool(name) and (is_loopback(name) or name in known or (reached is not None and name == reached[0]))


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
    if fetched.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and not arriving:
        return True
    origins = fetched.getall(hdrs.ORIGIN, [])
    own = fetched.get(hdrs.HOST, "").lower()
    return any(origin.lower() not in (f"http://{own}", f"https://{own}") for origin in origins) and not arriving


def _key_fits(request: web.Request, admin_key: Secret) -> bool:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    given = given.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    elif scheme.lower() != "bearer":
        return False
    return Secret(given) == admin_key
