"""The browser's session: a cookie that names it, and the token in each form that only our own pages can know.

The token is bound to the session by a key of this process (OWASP's signed double-submit cookie), so nothing is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from aiohttp import web

COOKIE = "bearer_proxy_session"
CSRF_FIELD = "csrf_token"
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


class Sessions:
    """Names browsers, and makes and checks the tokens of their forms."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, request: web.Request) -> str:
        """Give the session that a request bears, or nothing."""
        value = request.cookies.get(COOKIE, "")
        return value if _SESSION.fullmatch(value) else ""

    def opened(self, request: web.Request) -> str:
        """Give the session of a request, a new one if it bears none: then `keep` it on the answer."""
        return self.of(request) or secrets.token_urlsafe(32)

    def keep(self, response: web.Response, session: str) -> None:
        """Send the session to the browser. Lax: the way back from a vendor is cross-site."""
        response.set_cookie(COOKIE, session, httponly=True, samesite="Lax", path="/")

    def token(self, session: str) -> str:
        """Give the token for the forms of a session."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()

    def genuine(self, session: str, token: object) -> bool:
        """Tell whether a form with `token` came from a page that we gave to this session."""
        return (
            bool(session)
            and isinstance(token, str)
            and hmac.compare_digest(token.encode(), self.token(session).encode())
        )
