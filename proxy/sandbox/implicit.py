"""ReadyCloud's sign-in: OAuth 2's implicit grant, with the vendor's own turns.

- `response_type` must be token; the documented query has no `redirect_uri`, so one that comes is ignored;
- without `scope` all scopes are asked for;
- a wrong request ends on a page of the vendor: nobody is redirected;
- the browser goes to the registered redirect or, as none is, to `auth_code`, from whose address the person copies;
- the tokens stand in the fragment, `state` and errors in the query;
- a slash at the end of these two paths makes no difference (not so at the token endpoint).
"""

from __future__ import annotations

from . import data
from .authorize import Asked, error_page, unique
from .messages import Answer, Call
from .settings import CLIENT_ID

AUTHORIZE = "/api/v1/oauth2/authorize"
AUTH_CODE = "/api/v1/oauth2/auth_code"
FRAGMENT = ("access_token", "user", "refresh_token", "expires_in", "scope", "token_type")  # in the order of the docs
COPY = "You are signed in. Copy the whole address from your browser's address bar, and give it to your application."


def asked(call: Call, registered: str) -> Asked | Answer:
    """What the request asks for, or the page that refuses it."""
    query = call.query
    if query.get("response_type") != "token":
        return error_page("response_type must be token", 400)
    client = query.get("client_id", "")
    if client != CLIENT_ID:
        return error_page(f"There is no application {client!r}", 400)
    scopes = unique(query.get("scope", "").split(" ")) or data.READYCLOUD_SCOPES
    unknown = [scope for scope in scopes if scope.removesuffix("-read_only") not in data.READYCLOUD_SCOPES]
    if unknown:
        return error_page(f"Unknown scopes: {' '.join(unknown)}", 400)
    return Asked(client, scopes, registered or f"{call.origin}{AUTH_CODE}", query.get("state"))
