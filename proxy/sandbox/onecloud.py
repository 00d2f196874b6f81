"""OneCloud as public material shows it (API v1). Its addresses are unknown outside; the paths here are made up.

- nobody signs in by browser: an administrator's page shows the tokens (the control endpoint's `grant`);
- the exchange is JSON only and without a client secret;
- each refresh token works once, and brings a new access token and a new refresh token; reuse kills the grant;
- starting a chain has a side effect, which is counted (`runs` in the state): a replay must not start it twice;
- an "unauthorized response" says only that; over the limit is 422.
"""

from __future__ import annotations

from . import data
from .counting import Window
from .grants import Ledger
from .messages import JSON, Answer, Call, error_answer, json_answer
from .settings import CLIENT_ID, VendorSettings
from .vendor import Handler, Vendor

_DAILY, _BURST = 50_000, 100  # requests in 24 hours and in 20 seconds


class OneCloud(Vendor[VendorSettings]):
    name = "onecloud"
    token_path = "/oauth2/token"  # noqa: S105 - a path
    counted = ("runs",)

    def new_ledger(self) -> Ledger:
        return Ledger("oc")

    def fill(self) -> None:
        self._chains = data.chains()
        self._runs: dict[str, data.Item] = {}
        self._day, self._burst = Window(86_400.0), Window(20.0)

    def table(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/api/v1/chains", self._list_chains),
            ("GET", "/api/v1/chains/{pk}", self._show_chain),
            ("POST", "/api/v1/chains/{pk}/start", self._start),
            ("GET", "/api/v1/runs/{pk}", self._show_run),
        ]

    def exchange(self, call: Call) -> Answer:
        fields = call.json
        if call.content_type != JSON or fields is None:
            return error_answer("invalid_request", "a JSON object is expected")
        if "client_secret" in fields or call.authorization[0] == "basic":
            return error_answer("invalid_request", "no client secret is expected")
        if fields.get("grant_type") != "refresh_token" or not self.settings.refresh_tokens:
            return error_answer("unsupported_grant_type")
        if fields.get("client_id") != CLIENT_ID:
            return error_answer("invalid_client", status=401)
        answer = self.renew(str(fields.get("refresh_token", "")))
        return error_answer("invalid_grant") if answer is None else json_answer(answer)

    def authorize(self, call: Call) -> Answer | None:
        grant = self.ledger.holder(call.bearer or "")
        if grant is None or grant.expired(call.now):
            return json_answer({"message": "Unauthorized"}, 401)
        return None

    def over_quota(self) -> Answer:
        return json_answer({"message": "Rate limit exceeded"}, 422)

    def missing(self, call: Call, status: int) -> Answer:  # noqa: ARG002 - says the same of every path
        return json_answer({"message": "Not Found" if status == 404 else "Method Not Allowed"}, status)

    def finished(self, call: Call, answer: Answer) -> Answer:
        """What is left; with a quota set, the burst is what is left of that."""
        day, burst, quota = self._day.add(call.now), self._burst.add(call.now), self.settings.quota_per_minute
        left = _BURST - burst if quota is None else quota - self.minutes["all"].count
        return answer.plus(
            oc_api_daily_remaining=str(max(0, _DAILY - day)),
            oc_api_burst_remaining=str(max(0, left)),
        )

    def _list_chains(self, call: Call) -> Answer:  # noqa: ARG002 - a handler
        return json_answer({"data": list(self._chains.values())})

    def _show_chain(self, call: Call, pk: str) -> Answer:
        return self._one(call, self._chains, pk)

    def _show_run(self, call: Call, pk: str) -> Answer:
        return self._one(call, self._runs, pk)

    def _start(self, call: Call, pk: str) -> Answer:
        if pk not in self._chains:
            return self.missing(call, 404)
        self.counters.add("runs")
        number = len(self._runs) + 9001
        self._runs[str(number)] = {"id": number, "chainId": self._chains[pk]["id"], "status": "running"}
        return self._one(call, self._runs, str(number))

    def _one(self, call: Call, things: dict[str, data.Item], pk: str) -> Answer:
        return json_answer({"data": things[pk]}) if pk in things else self.missing(call, 404)
