"""ReadyCloud as public material shows it (v1 and v2), with its oddities, because each has broken a client:

- the exchange is form only, with body credentials: Basic or `scope` crash it (500), JSON is refused;
- the access token's text stays the same, its expiry is extended; the refresh token is replaced at once;
- a dead refresh token is answered by `invalid_request`, and its text is echoed;
- the sign-in is the implicit grant: see `implicit`;
- the scope is checked before the expiry;
- with `callback` an authentication error is HTTP 200 (JSONP);
- v2's `next` is absolute, v1's is host-relative; both echo `bearer_token` if it came in the query.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from . import data, implicit
from .authorize import Asked, copy_page, decided, granted, sent_to
from .grants import Ledger
from .messages import FORM, Answer, Call, error_answer, json_answer, text_answer
from .redirects import with_fragment, with_query
from .routing import Found
from .settings import CLIENT_ID, CLIENT_SECRET, ReadyCloudSettings
from .vendor import Handler, Vendor

_CRASH = "<h1>Server Error (500)</h1>"
_CALLBACK = re.compile(r"[A-Za-z_$][\w$.]*")
_KEPT_ORDER = 64 * 1024  # a longer body makes an order without further fields
_ONE = ("GET", "PUT", "PATCH", "DELETE")
_PAGE, _LONGEST_PAGE = 20, 100


class ReadyCloud(Vendor[ReadyCloudSettings]):
    name = "readycloud"
    token_path = "/api/v1/oauth2/token/"  # noqa: S105 - a path
    counted = ("authorizations",)

    def new_ledger(self) -> Ledger:
        return Ledger("rc", keeps_access=True, reuse_spares_access=True)

    def fill(self) -> None:
        self._orders = data.orders()
        self._webhooks: dict[str, data.Item] = {}
        self._last_id = 90_000

    def table(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/api/v2/orgs/", self._list_orgs),
            ("GET", "/api/v2/orgs/{org}/", self._show_org),
            ("GET", "/api/v2/orgs/{org}/orders/", self._list_v2),
            ("POST", "/api/v2/orgs/{org}/orders/", self._create),
            *((method, "/api/v2/orgs/{org}/orders/{pk}/", self._one) for method in _ONE),
            ("GET", "/api/v1/orders/", self._list_v1),
            ("POST", "/api/v1/orders/", self._create),
            *((method, "/api/v1/orders/{pk}/", self._one) for method in _ONE),
            ("GET", "/api/v1/webhooks/", self._list_webhooks),
            ("POST", "/api/v1/webhooks/", self._create_webhook),
            *((method, "/api/v1/webhooks/{pk}/", self._webhook) for method in _ONE),
        ]

    def pages(self) -> list[tuple[str, str, Handler]]:
        return [
            row
            for slash in ("", "/")
            for row in (
                ("GET", f"{implicit.AUTHORIZE}{slash}", self._consent),
                ("POST", f"{implicit.AUTHORIZE}{slash}", self._consent),
                ("GET", f"{implicit.AUTH_CODE}{slash}", self._auth_code),
            )
        ]

    def grant(self) -> dict[str, object]:
        return {"scope": self.settings.scope, **super().grant()}

    def exchange(self, call: Call) -> Answer:
        form = call.form
        if call.authorization[0] == "basic" or "scope" in form:
            return text_answer(_CRASH, 500)
        if call.content_type != FORM or "grant_type" not in form:
            return error_answer("invalid_request", "Missing grant_type")
        if form["grant_type"] != "refresh_token" or not self.settings.refresh_tokens:
            return error_answer("unsupported_grant_type")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return error_answer("invalid_client", status=401)
        refresh = form.get("refresh_token", "")
        fields = self.renew(refresh)
        if fields is None:
            return error_answer("invalid_request", f"No such refresh token: {refresh}")
        return json_answer(fields)

    def authorize(self, call: Call) -> Answer | None:
        token = call.bearer or call.query.get("bearer_token")
        if not token:
            return _refused(401, "invalid_request", "No credentials were given")
        grant = self.ledger.holder(token)
        if grant is None:
            return _refused(401, "invalid_token", "Token doesn't exist")
        accepted = accepted_scopes(call.path, reads=call.reads)
        if accepted and not accepted & set(grant.scope.split()):
            return _refused(403, "insufficient_scope", "Token has no scope for this")
        if grant.expired(call.now):
            return _refused(401, "invalid_token", "Token is expired")
        return None

    def quota_kind(self, call: Call) -> str:
        return "reads" if call.reads else "writes"

    def over_quota(self) -> Answer:
        return json_answer({"detail": "Request was throttled."}, 429)

    def missing(self, call: Call, status: int) -> Answer:
        """A path of the API without its final slash leads to the one with it, as Django's do."""
        path = f"{call.path}/"
        if status == 404 and isinstance(self.routes.find(call.method, path), Found):
            _, mark, query = call.target.partition("?")
            return Answer(301, headers={"Location": f"{path}{mark}{query}"})
        return json_answer({"detail": "Not found." if status == 404 else "Method not allowed."}, status)

    def finished(self, call: Call, answer: Answer) -> Answer:
        callback = call.query.get("callback", "")
        refused = "WWW-Authenticate" in answer.headers
        if not _CALLBACK.fullmatch(callback) or not (refused or answer.status == 200):
            return answer
        return text_answer(f"{callback}({answer.body.decode()});", content_type="application/javascript")

    def _consent(self, call: Call) -> Answer:
        asked = implicit.asked(call, self.settings.redirect_uri)
        if isinstance(asked, Answer):
            return asked
        denied = with_query(asked.redirect, asked.fields(error="access_denied"))
        return decided(call, asked, allow=lambda: self._allow(asked), deny=lambda: sent_to(denied))

    def _allow(self, asked: Asked) -> Answer:
        self.counters.add("authorizations")
        grant = self.issue(granted(asked.scopes, self.settings.withholds))
        fields = {"user": data.PERSON, "scope": grant.scope, **self._token_fields(grant)}
        ordered = {key: fields[key] for key in implicit.FRAGMENT if key in fields} | fields
        return sent_to(with_fragment(with_query(asked.redirect, asked.fields()), ordered))

    def _auth_code(self, call: Call) -> Answer:  # noqa: ARG002 - a handler
        return copy_page(implicit.COPY)

    def _orgs(self) -> dict[str, data.Item]:
        return dict(list(data.organizations().items())[: self.settings.orgs])

    def _list_orgs(self, call: Call) -> Answer:
        return json_answer(page_v2(call, list(self._orgs().values())))

    def _show_org(self, call: Call, org: str) -> Answer:
        found = self._orgs().get(org)
        return self.missing(call, 404) if found is None else json_answer(found)

    def _of(self, org: str) -> dict[str, data.Item] | None:
        return self._orders[org] if org in self._orgs() else None

    def _list_v2(self, call: Call, org: str) -> Answer:
        orders = self._of(org)
        return self.missing(call, 404) if orders is None else json_answer(page_v2(call, list(orders.values())))

    def _list_v1(self, call: Call) -> Answer:
        """v1 knows no organizations: it shows the orders of the first."""
        return json_answer(page_v1(call, list(self._orders[data.ORG_KEYS[0]].values())))

    def _create(self, call: Call, org: str = data.ORG_KEYS[0]) -> Answer:
        orders = self._of(org)
        if orders is None:
            return self.missing(call, 404)
        number = self._next_id()
        url = f"{call.path}{number}/"
        orders[str(number)] = {**_fields(call), "id": number, "url": url}
        return json_answer(orders[str(number)], 201).plus(Location=call.origin + url)

    def _one(self, call: Call, pk: str, org: str = data.ORG_KEYS[0]) -> Answer:
        return self._at(call, self._of(org) or {}, pk, fixed=("id", "url"))

    def _list_webhooks(self, call: Call) -> Answer:
        return json_answer(page_v1(call, list(self._webhooks.values())))

    def _create_webhook(self, call: Call) -> Answer:
        fields = _fields(call)
        if not fields.get("entity") or not fields.get("url"):
            return json_answer({"error": "entity and url are required"}, 400)
        number = self._next_id()
        self._webhooks[str(number)] = {**fields, "id": number}
        return json_answer(self._webhooks[str(number)], 201)

    def _webhook(self, call: Call, pk: str) -> Answer:
        return self._at(call, self._webhooks, pk, fixed=("id",))

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _at(self, call: Call, things: dict[str, data.Item], pk: str, *, fixed: tuple[str, ...]) -> Answer:
        """GET, PUT, PATCH or DELETE of one thing; nobody changes the fixed fields."""
        thing = things.get(pk)
        if thing is None:
            return self.missing(call, 404)
        if call.method == "DELETE":
            del things[pk]
            return Answer(204)
        if not call.reads:
            kept = {key: thing[key] for key in (thing if call.method == "PATCH" else fixed)}
            things[pk] = {**kept, **_fields(call), **{key: thing[key] for key in fixed}}
        return json_answer(things[pk])


def accepted_scopes(path: str, *, reads: bool) -> set[str]:
    """Scopes of which one is needed for this path; none for paths that any token may use."""
    if "/orders/" in path:
        scope = "order"
    elif path.startswith("/api/v2/orgs/"):
        scope = "company"
    else:
        return set()
    return {scope, f"{scope}-read_only"} if reads else {scope}


def page_v2(call: Call, things: list[data.Item]) -> dict[str, object]:
    """One page in Django REST framework's form; links are absolute, at the origin of the caller's Host."""
    limit, offset = _span(call)

    def link(to: int) -> str | None:
        query = urlencode(sorted({**call.query, "limit": str(limit), "offset": str(to)}.items()))
        return f"{call.origin}{call.path}?{query}" if _is_page(to, offset, len(things)) else None

    return {
        "count": len(things),
        "next": link(offset + limit),
        "previous": link(max(0, offset - limit)),
        "results": things[offset : offset + limit],
    }


def page_v1(call: Call, things: list[data.Item]) -> dict[str, object]:
    """One page in tastypie's form; links are host-relative."""
    limit, offset = _span(call)

    def link(to: int) -> str | None:
        query = urlencode({**call.query, "limit": str(limit), "offset": str(to)})
        return f"{call.path}?{query}" if _is_page(to, offset, len(things)) else None

    meta = {
        "limit": limit,
        "next": link(offset + limit),
        "offset": offset,
        "previous": link(max(0, offset - limit)),
        "total_count": len(things),
    }
    return {"meta": meta, "objects": things[offset : offset + limit]}


def _is_page(to: int, offset: int, total: int) -> bool:
    """Whether there is another page at `to`, seen from the one at `offset`."""
    return to != offset and to < total


def _span(call: Call) -> tuple[int, int]:
    limit = _whole(call.query.get("limit"), _PAGE) or _PAGE
    return min(limit, _LONGEST_PAGE), _whole(call.query.get("offset"), 0)


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else default


def _fields(call: Call) -> data.Item:
    """What a write brings: a small JSON object; of anything else nothing is kept."""
    return (call.json or {}) if len(call.body or b"") <= _KEPT_ORDER else {}


def _refused(status: int, error: str, description: str) -> Answer:
    """An authentication error. Without credentials the header names no error (RFC 6750 section 3.1)."""
    challenge = 'Bearer realm=""'
    if error != "invalid_request":
        challenge += f', error="{error}", error_description="{description}"'
    return error_answer(error, description, status).plus(WWW_Authenticate=challenge)
