"""Cloud 66 as public material shows it (API v2 and v3): Doorkeeper's manners throughout.

- the sign-in is the authorization code grant: see `doorkeeper`;
- no refresh tokens and no expiry, unless the settings say otherwise;
- token answers are form-encoded text, JSON only when `Accept` asks;
- a refused token is a 401 with an empty body: the reason stands in `WWW-Authenticate` alone;
- parameters may come in the query or in a form body, on a GET too;
- gzip when asked; a throttled caller gets 503.
"""

from __future__ import annotations

import gzip
import uuid
from datetime import UTC, datetime
from urllib.parse import urlencode

from . import data, doorkeeper
from .authorize import code_page, decided, error_page, granted
from .codes import Code, Codes
from .grants import Ledger
from .messages import FORM, Answer, Call, error_answer, json_answer, text_answer
from .settings import CLIENT_ID, CLIENT_SECRET, Cloud66Settings
from .vendor import Handler, Vendor

_PER_PAGE = 2  # the vendor's is larger; this way three stacks make two pages


class Cloud66(Vendor[Cloud66Settings]):
    name = "cloud66"
    token_path = "/oauth/token"  # noqa: S105 - a path
    counted = ("authorizations",)

    def new_ledger(self) -> Ledger:
        return Ledger("c66")

    def fill(self) -> None:
        self._codes = Codes("c66")
        self._stacks = data.stacks()
        self._actions: dict[str, list[data.Item]] = {uid: [] for uid in self._stacks}

    def table(self) -> list[tuple[str, str, Handler]]:
        return [
            row
            for base in ("/api/3", "/api/2")
            for row in (
                ("GET", f"{base}/stacks.json", self._list_stacks),
                ("GET", f"{base}/stacks/{{uid}}.json", self._show_stack),
                ("GET", f"{base}/stacks/{{uid}}/actions.json", self._list_actions),
                ("POST", f"{base}/stacks/{{uid}}/actions.json", self._act),
            )
        ]

    def pages(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", doorkeeper.AUTHORIZE, self._consent),
            ("POST", doorkeeper.AUTHORIZE, self._consent),
            ("GET", doorkeeper.NATIVE, self._native),
        ]

    def exchange(self, call: Call) -> Answer:
        params = {**call.query, **(call.json or call.form)}
        kind = params.get("grant_type")
        if kind != "authorization_code" and (kind != "refresh_token" or not self.settings.refresh_tokens):
            return error_answer("unsupported_grant_type", "The authorization grant type is not supported.")
        if not _is_our_client(call, params):
            return error_answer("invalid_client", doorkeeper.INVALID_CLIENT, 401)
        if kind == "authorization_code":
            fields = self._redeem(call, params)
        else:
            fields = self.renew(str(params.get("refresh_token", "")))
        if fields is None:
            return error_answer("invalid_grant", doorkeeper.INVALID_GRANT)
        return token_answer(call, fields)

    def authorize(self, call: Call) -> Answer | None:
        grant = self.ledger.holder(call.bearer or _params(call).get("access_token", ""))
        if grant is None:
            return _refused("The access token is invalid")
        return _refused("The access token expired") if grant.expired(call.now) else None

    def over_quota(self) -> Answer:
        return error_answer("throttled", "Too many requests", 503)

    def finished(self, call: Call, answer: Answer) -> Answer:
        answer = answer.plus(Request_Id=str(uuid.uuid4()))
        if call.path.startswith("/api/2/"):
            answer = answer.plus(X_Cloud66_Warning="API v2 is deprecated")
        if not answer.body or "gzip" not in call.headers.get("Accept-Encoding", "").lower():
            return answer
        packed = Answer(answer.status, gzip.compress(answer.body, mtime=0), answer.headers)
        return packed.plus(Content_Encoding="gzip", Vary="Accept-Encoding")

    def _consent(self, call: Call) -> Answer:
        asked = doorkeeper.asked(call.query, self.settings)
        if isinstance(asked, Answer):
            return asked
        denied = doorkeeper.turned_back(asked, "access_denied")
        return decided(call, asked, allow=lambda: self._allow(call, asked), deny=lambda: denied)

    def _allow(self, call: Call, asked: doorkeeper.CodeAsked) -> Answer:
        self.counters.add("authorizations")
        settings = self.settings
        code = Code(
            client=asked.client,
            scope=granted(asked.scopes, settings.withholds),
            redirect=asked.sent,
            challenge=asked.challenge,
            expires_at=call.now + settings.code_lifetime,
        )
        return doorkeeper.sent_back(asked, self._codes.issue(code), call.origin)

    def _native(self, call: Call) -> Answer:
        code = call.query.get("code")
        return code_page(code) if code else error_page("There is no code", 400)

    def _redeem(self, call: Call, params: dict[str, object]) -> dict[str, object] | None:
        """The token answer to a code; None if it is refused."""
        claim = doorkeeper.claim(params, self.settings.redirect_parameter)
        grant = self._codes.redeem(claim, call.now, self.issue)
        return None if grant is None else {"scope": grant.scope, **self._token_fields(grant)}

    def _list_stacks(self, call: Call) -> Answer:
        return json_answer(envelope(call, list(self._stacks.values())))

    def _show_stack(self, call: Call, uid: str) -> Answer:
        stack = self._stacks.get(uid)
        return self.missing(call, 404) if stack is None else json_answer({"response": stack})

    def _list_actions(self, call: Call, uid: str) -> Answer:
        actions = self._actions.get(uid)
        return self.missing(call, 404) if actions is None else json_answer(envelope(call, actions))

    def _act(self, call: Call, uid: str) -> Answer:
        actions = self._actions.get(uid)
        if actions is None:
            return self.missing(call, 404)
        command = (call.json or _params(call)).get("command")
        if not command:
            return error_answer("invalid_request", "command is missing", 422)
        actions.append(
            {
                "id": len(actions) + 1,
                "action": command,
                "resource_type": "stack",
                "resource_id": uid,
                "started_via": "api",
                "started_at": datetime.fromtimestamp(call.now, UTC).isoformat(timespec="seconds"),
                "finished_at": None,
            },
        )
        return json_answer({"response": actions[-1]})


def token_answer(call: Call, fields: dict[str, object]) -> Answer:
    """A good token answer in the form that the caller's `Accept` asks for."""
    if "application/json" in call.headers.get("Accept", "").lower():
        return json_answer(fields)
    return text_answer(urlencode(fields), content_type=f"{FORM}; charset=utf-8")


def envelope(call: Call, things: list[data.Item]) -> dict[str, object]:
    """One page, with numbers in place of links."""
    page = _params(call).get("page", "1")
    current = int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 10 else 1
    pages = max(1, -(-len(things) // _PER_PAGE))
    shown = things[(current - 1) * _PER_PAGE : current * _PER_PAGE] if current else []
    return {
        "response": shown,
        "count": len(shown),
        "pagination": {
            "previous": current - 1 if current > 1 else None,
            "next": current + 1 if current < pages else None,
            "current": current,
            "per_page": _PER_PAGE,
            "count": len(things),
            "pages": pages,
        },
    }


def _params(call: Call) -> dict[str, str]:
    """Rails makes no difference between the query and a form body, whatever the method."""
    return {**call.form, **call.query}


def _is_our_client(call: Call, params: dict[str, object]) -> bool:
    """Doorkeeper takes the client from the body or from Basic."""
    return (params.get("client_id"), params.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET) or (
        call.basic == (CLIENT_ID, CLIENT_SECRET)
    )


def _refused(description: str) -> Answer:
    challenge = f'Bearer realm="Doorkeeper", error="invalid_token", error_description="{description}"'
    return text_answer("", 401).plus(WWW_Authenticate=challenge)
