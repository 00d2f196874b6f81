"""When a token cannot be had or renewed: the caller is told whose it is, which side failed, and what to do."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from proxy.sandbox import CLIENT_ID, Sandbox
from tests.support.processes import Proxy, free_port, sandbox_config
from tests.support.vendor import Control

CHAINS = "/onecloud/api/v1/chains"
STACKS = "/cloud66/api/3/stacks.json"


async def get(url: str) -> tuple[int, Any, bytes]:
    """One GET, bounded in time."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session, session.get(url) as response:
        return response.status, response.headers, await response.read()


async def test_a_vendor_that_cannot_be_renewed(proxy: Proxy, vendors: Sandbox) -> None:
    """Cloud 66's own 401, empty as it is, reaches the caller, with Proxy-Status naming the credential."""
    control = Control(vendors, "cloud66")
    await control.expire()
    status, headers, body = await get(proxy.url + STACKS)
    direct, its_own, _ = await get(vendors.url("cloud66") + "/api/3/stacks.json")
    assert direct == status == 401
    assert b"" == body
    assert "invalid_token" in headers["WWW-Authenticate"]
    assert its_own["WWW-Authenticate"].split(",")[0] == headers["WWW-Authenticate"].split(",")[0]
    assert (
        'details="login required for cloud66: the vendor gave no refresh token; run: bearer-proxy login cloud66"'
        in headers["Proxy-Status"]
    )
    assert 0 == (await control.state())["exchanges"]
    told = await proxy.credential("cloud66")
    assert ("login required", "run: bearer-proxy login cloud66") == (told["state"], told["next_step"])
    ready, _, reasons = await get(proxy.admin_url + "/readyz?credential=cloud66")
    assert (503, b"login required" in reasons) == (ready, True)
    assert "WARNING login required for cloud66" in proxy.log
    assert "login required" in (await proxy.command("status")).out


async def test_a_vendor_that_takes_the_token_again(proxy: Proxy, vendors: Sandbox) -> None:
    """A rejection that was not meant for good is forgotten as soon as a request succeeds."""
    await Control(vendors, "cloud66").fault(on="api", fault="fail", when="before", status=401)
    assert 401 == (await get(proxy.url + STACKS))[0]
    assert "login required" == (await proxy.credential("cloud66"))["state"]
    assert 200 == (await get(proxy.url + STACKS))[0]
    assert "ok" == (await proxy.credential("cloud66"))["state"]


async def test_a_revoked_grant(proxy: Proxy, vendors: Sandbox) -> None:
    """A refused grant is asked for once; the vendor's 401 comes through from then on."""
    control = Control(vendors, "readycloud")
    await control.revoke()
    for _ in range(3):
        status, headers, body = await get(proxy.url + "/readycloud/api/v2/orgs/")
        assert 401 == status
        assert "invalid_token" == json.loads(body)["error"]
        assert 'details="login required for readycloud' in headers["Proxy-Status"]
    assert 1 == (await control.state())["exchanges"]
    assert "login required" == (await proxy.credential("readycloud"))["state"]


async def test_a_new_import_ends_the_trouble(proxy: Proxy, vendors: Sandbox) -> None:
    """A running proxy takes up tokens that another process imports."""
    control = Control(vendors, "readycloud")
    await control.revoke()
    assert 401 == (await get(proxy.url + "/readycloud/api/v2/orgs/"))[0]
    await proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    async with aiohttp.ClientSession() as session:
        state = ""
        while state != "ok":
            async with session.get(proxy.admin_url + "/api/credentials") as response:
                state = next(one for one in (await response.json())["credentials"] if one["name"] == "readycloud")[
                    "state"
                ]
    assert 200 == (await get(proxy.url + "/readycloud/api/v2/orgs/"))[0]


async def test_a_dead_token_endpoint(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Nothing was sent: 503 with Retry-After at once, and the credential is not uncertain."""
    text = sandbox_config(vendors).replace(
        vendors.url("onecloud") + "/oauth2/token", f"http://127.0.0.1:{free_port()}/token"
    )
    bare_proxy.configure(text)
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    await bare_proxy.start()
    assert 200 == (await get(bare_proxy.url + CHAINS))[0]
    await Control(vendors, "onecloud").expire()
    status, headers, body = await get(bare_proxy.url + CHAINS)
    told = json.loads(body)
    assert 503 == status
    assert "application/problem+json" == headers["Content-Type"]
    assert int(headers["Retry-After"]) >= 1
    assert "renewal_delayed" == told["error"]
    assert "the token endpoint refuses connections" in told["error_description"]
    assert "token endpoint failed" in told["details"]
    assert headers["Proxy-Status"].startswith("bearer-proxy; error=")
    assert "retrying" == (await bare_proxy.credential("onecloud"))["state"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_trouble_at_the_token_endpoint(proxy: Proxy, vendors: Sandbox, status: int) -> None:
    """Retry-After of the token endpoint is honoured, and nobody waits for it."""
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="fail", when="before", times=9, status=status, headers={"Retry-After": "120"})
    await control.expire()
    for _ in range(5):
        code, headers, _ = await get(proxy.url + CHAINS)
        assert 503 == code
        assert 115 <= int(headers["Retry-After"]) <= 121
    assert 1 == (await control.state())["exchanges"]


async def test_a_refused_client(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A wrong client secret is remembered until it changes; the grant is not lost by it."""
    wrong = sandbox_config(vendors).replace("client_secret: sandbox-secret", "client_secret: wrong-secret")
    bare_proxy.configure(wrong)
    await bare_proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await bare_proxy.start()
    control = Control(vendors, "readycloud")
    await control.expire()
    for _ in range(3):
        status, headers, _ = await get(bare_proxy.url + "/readycloud/api/v2/orgs/")
        assert 401 == status
        assert (
            "login required for readycloud: the vendor refused this client (invalid_client)" in headers["Proxy-Status"]
        )
    assert 1 == (await control.state())["exchanges"]
    await bare_proxy.stop()
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.start()
    assert 200 == (await get(bare_proxy.url + "/readycloud/api/v2/orgs/"))[0]


async def test_nobody_has_signed_in(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Without a token nothing is sent: 503, login_required, and the command that helps."""
    bare_proxy.configure(sandbox_config(vendors))
    await bare_proxy.start()
    status, headers, body = await get(bare_proxy.url + CHAINS)
    told = json.loads(body)
    assert 503 == status
    assert "login_required" == told["error"]
    assert "bearer-proxy import onecloud" in told["details"]
    assert "login required for onecloud" in headers["Proxy-Status"]
    assert [] == await Control(vendors, "onecloud").requests()


async def test_a_credential_that_is_not_configured(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Its routes answer 503 and name the missing key; the others serve."""
    bare_proxy.configure(sandbox_config(vendors).replace(", client_secret: sandbox-secret", "", 1))
    await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
    await bare_proxy.start()
    status, _, body = await get(bare_proxy.url + "/readycloud/api/v2/orgs/")
    assert 503 == status
    assert "not_configured" == json.loads(body)["error"]
    assert "it lacks client_secret" in json.loads(body)["error_description"]
    assert 200 == (await get(bare_proxy.url + CHAINS))[0]
    ready, _, _ = await get(bare_proxy.admin_url + "/readyz")
    one, _, reasons = await get(bare_proxy.admin_url + "/readyz?credential=readycloud")
    assert 200 == ready
    assert 503 == one
    assert "it lacks client_secret" in json.loads(reasons)["reasons"][0]


async def test_client_credentials_need_no_sign_in(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A credential that can get a token by itself does so on the first request."""
    url = vendors.url("onecloud")
    bare_proxy.configure(
        f"""
providers:
  chains: {{upstream: "{url}", token_url: "{url}/nowhere", grant: client_credentials, renew: client_credentials}}
credentials:
  chains: {{provider: chains, client_id: {CLIENT_ID}, client_secret: s}}
routes:
  - {{prefix: /chains, credential: chains}}
"""
    )
    await bare_proxy.start()
    status, _, body = await get(bare_proxy.url + "/chains/api/v1/chains")
    assert 503 == status
    assert "renewal_delayed" == json.loads(body)["error"]
    assert "HTTP 404" in json.loads(body)["error_description"]
