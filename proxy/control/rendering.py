"""Templates to pages: everything that is put in is escaped, and style and script bear the request's nonce."""

from __future__ import annotations

from typing import Any

import jinja2
from aiohttp import web

from .guard import NONCE

_PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("proxy.control"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """Give the page that `template` makes of `values`."""
    text = _PAGES.get_template(template).render(nonce=request[NONCE], **values)
    return web.Response(text=text, status=status, content_type="text/html")
