"""No secret gets out: canaries are seeded everywhere, and looked for in everything that the proxy writes."""

from __future__ import annotations

import json

import aiohttp
import pytest
from yarl import URL

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, sandbox_config
from tests.support.vendor import Control

QUERY = "canary-query-value"
CALLERS = "canary-callers-token"


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_whole_life_leaves_no_secret(bare_proxy: Proxy, vendors: Sandbox, log_format: str) -> None:
    """Success, expiry, refusals that echo the token, lost answers, errors and hang-ups: no line bears a secret."""
    bare_proxy.configure(sandbox_config(vendors) + f"log_format: {log_format}\nlog_level: debug\nrenewal_guard: 0\n")
    secrets = {QUERY, CALLERS, "sandbox-secret"}
    for name in ("readycloud", "onecloud", "cloud66"):
        tokens = vendors.grant(name)
        secrets |= {str(tokens[key]) for key in ("access_token", "refresh_token") if key in tokens}
        await bare_proxy.bring_tokens(name, tokens)
    await bare_proxy.start()
    answers = []
    headers = {"Authorization": f"Bearer {CALLERS}", "Cookie": f"bearer_proxy_session={CALLERS}"}
    paths = [f"/readycloud/api/v2/orgs/?a={QUERY}", "/onecloud/api/v1/chains", "/cloud66/api/3/stacks.json", "/none"]
    async with aiohttp.ClientSession(headers=headers, auto_decompress=False) as session:

        async def call_all() -> None:
            for path in paths:
                async with session.get(bare_proxy.url + path) as response:
                    body = await response.read()
                    if response.status >= 400:
                        answers.append(f"{response.status} {response.headers} {body!r}")

        await call_all()
        for name in ("readycloud", "onecloud"):
            await Control(vendors, name).expire()
        await call_all()
        echo = json.dumps({"error": f"odd {CALLERS}", "error_description": f"bad token {CALLERS}"})
        await Control(vendors, "onecloud").fault(on="token", fault="fail", when="after", body=echo, status=400)
        await Control(vendors, "readycloud").fault(on="token", fault="garbage", when="after", body=f"x {CALLERS}")
        for name in ("readycloud", "onecloud", "cloud66"):
            await Control(vendors, name).expire()
        await call_all()
        await Control(vendors, "readycloud").revoke()
        await call_all()
        hostile = URL(f"{bare_proxy.url}/readycloud/%2e%2e/x?b={QUERY}", encoded=True)
        async with session.get(hostile) as response:
            assert 400 == response.status
            answers.append(await response.text())
    for name in ("readycloud", "onecloud"):
        secrets |= {
            one[1].removeprefix("Bearer ")
            for request in await Control(vendors, name).requests()
            for one in request["headers"]
            if one[0].lower() == "authorization"
        }
    commands = [
        await bare_proxy.command(*what)
        for what in (
            ("status",),
            ("status", "--json"),
            ("doctor", "--timeout", "2"),
            ("doctor", "--json", "--timeout", "2"),
            ("refresh", "readycloud"),
        )
    ]
    assert 0 == await bare_proxy.stop()
    written = "\n".join([bare_proxy.log, *answers, *(done.out + done.err for done in commands)])
    assert "exchange for onecloud" in written
    assert "credential onecloud:" in written
    assert "a=" not in written
    assert [] == [secret for secret in secrets if secret in written]


async def test_json_lines(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """With log_format json every line is an object that tells the request's route and status."""
    bare_proxy.configure(sandbox_config(vendors) + "log_format: json\n")
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    await bare_proxy.start()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{bare_proxy.url}/onecloud/api/v1/chains?page=1&x") as response,
    ):
        await response.read()
    await bare_proxy.stop()
    lines = [json.loads(line) for line in bare_proxy.log.splitlines()]
    (line,) = [one for one in lines if "path" in one]
    assert ("/onecloud/api/v1/chains?page", 200, "/onecloud") == (line["path"], line["status"], line["route"])
