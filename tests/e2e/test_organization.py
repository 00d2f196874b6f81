"""ReadyCloud's Org ID, which callers need not know: `{org_pk}` and `@me` stand for it, and it is found out once."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest
from yarl import URL

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, sandbox_config
from tests.support.vendor import Control

LIST = "/api/v2/orgs/"
ORG, OTHER = "7kQ2f", "9~x.B"
ORDERS = f"/api/v2/orgs/{ORG}/orders/"
ME = "/readycloud/api/v2/orgs/@me/orders/"
ONE = {"count": 1, "next": None, "previous": None}


def config(vendors: Sandbox, more: str = "") -> str:
    """The usual configuration, and a route `/orders` to an organization's orders."""
    upstream = vendors.url("readycloud") + "/api/v2/orgs/{org_pk}/orders"
    route = f'  - {{prefix: /orders, credential: readycloud, upstream: "{upstream}"}}'
    return sandbox_config(vendors, f"{route}\nshutdown_timeout: 1s\nrenewal_guard: 0\n{more}")


@pytest.fixture
async def proxy(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A running proxy, signed in to ReadyCloud."""
    bare_proxy.configure(config(vendors))
    await bare_proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await bare_proxy.start()
    return bare_proxy


@pytest.fixture
def control(vendors: Sandbox) -> Control:
    return Control(vendors, "readycloud")


async def get(proxy: Proxy, target: str, method: str = "GET") -> tuple[int, Any, Any]:
    """One request, its target byte for byte; the status, the fields, and the body, read if it is JSON."""
    url = URL.build(scheme="http", host="127.0.0.1", port=proxy.port, path=target, encoded=True)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        session.request(method, url, allow_redirects=False) as response,
    ):
        body = await response.read()
        return response.status, response.headers, json.loads(body) if "json" in response.content_type else body


async def targets(control: Control) -> list[str]:
    """What reached the vendor, in order."""
    return [seen["target"] for seen in await control.requests()]


async def lists(control: Control) -> int:
    """How often the list was asked for."""
    return (await targets(control)).count(LIST)


async def until_generation(proxy: Proxy, more_than: object) -> None:
    """Return as soon as the serve has taken over what a command stored."""
    async with asyncio.timeout(15):
        while (await proxy.credential("readycloud"))["generation"] == more_than:
            await asyncio.sleep(0.02)


async def test_a_hundred_first_requests(proxy: Proxy, control: Control) -> None:
    """They make one look-up, by a route and by @me alike, and each is answered."""
    await control.fault(on="api", fault="stall", when="before")
    calls = [asyncio.create_task(get(proxy, "/orders/" if number % 2 else ME)) for number in range(100)]
    await control.wait("stalled", 1)
    await control.release()
    assert {200} == {status for status, _, _ in await asyncio.gather(*calls)}
    assert [LIST, *[ORDERS] * 100] == await targets(control)


async def test_what_was_found_is_kept(proxy: Proxy, control: Control) -> None:
    """It holds over a restart, over an exchange, and over a restart after that."""
    assert 200 == (await get(proxy, "/orders/"))[0]
    for _ in range(2):
        assert 0 == await proxy.stop()
        await proxy.start()
        await control.expire()
        assert 200 == (await get(proxy, ME))[0]
    assert 1 == await lists(control)
    assert 2 == (await control.state())["exchanges"]


async def test_a_token_that_expired_before_the_look_up(proxy: Proxy, control: Control) -> None:
    """It is renewed once for all who wait, and the list asked for again."""
    await control.expire()
    answers = await asyncio.gather(*(get(proxy, "/orders/") for _ in range(30)))
    assert {200} == {status for status, _, _ in answers}
    assert [LIST, LIST, *[ORDERS] * 30] == await targets(control)
    assert 1 == (await control.state())["exchanges"]


async def test_several_organizations(proxy: Proxy, control: Control) -> None:
    """The error names them and says how to choose; nothing is guessed, and the list is not asked for again."""
    await control.settings(orgs=2)
    for target in ("/orders/", ME):
        status, headers, told = await get(proxy, target)
        assert (503, "application/problem+json") == (status, headers["Content-Type"])
        assert ("organization_ambiguous", "readycloud") == (told["error"], told["credential"])
        assert (
            f"readycloud has several organizations: Example Outfitters ({ORG}), Sample Goods ({OTHER}); write a key in "
            "place of @me or {org_pk}, or set org_pk of the credential readycloud"
        ) == told["detail"]
        assert "several organizations" in headers["Proxy-Status"]
    assert [LIST] == await targets(control)
    assert 200 == (await get(proxy, f"/readycloud/api/v2/orgs/{OTHER}/orders/"))[0]


async def test_an_organization_that_is_chosen(bare_proxy: Proxy, vendors: Sandbox, control: Control) -> None:
    """It is used, and no list is ever asked for, after a 404 neither."""
    await control.settings(orgs=2)
    chosen = config(vendors).replace("provider: readycloud,", f'provider: readycloud, org_pk: "{OTHER}",')
    bare_proxy.configure(chosen)
    await bare_proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await bare_proxy.start()
    assert 404 == (await get(bare_proxy, "/orders/1/"))[0]
    assert 200 == (await get(bare_proxy, ME))[0]
    chosen_orders = ORDERS.replace(ORG, OTHER)
    assert [f"{chosen_orders}1/", chosen_orders] == await targets(control)


async def test_a_grant_that_may_not_list_organizations(bare_proxy: Proxy, vendors: Sandbox, control: Control) -> None:
    """The error says which scope lacks, or what to set."""
    await control.settings(scope="order")
    bare_proxy.configure(config(vendors))
    await bare_proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await bare_proxy.start()
    for _ in range(3):
        status, _, told = await get(bare_proxy, "/orders/")
        assert (502, "organization_unknown") == (status, told["error"])
        assert "upstream failed" in told["details"]
        assert "the vendor answered 403" in told["detail"]
        assert "may lack the scope company-read_only; sign in with it, or set org_pk" in told["detail"]
        assert "insufficient_scope" not in json.dumps(told)
    assert [LIST] == await targets(control)
    assert 200 == (await get(bare_proxy, f"/readycloud{ORDERS}"))[0]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"fault": "fail", "status": 503}, "upstream_error"),
        ({"fault": "garbage"}, "upstream_error"),
        ({"fault": "drop", "times": 2}, "upstream_error"),
        ({"fault": "truncate", "when": "after"}, "upstream_error"),
        ({"fault": "garbage", "body": {"results": [{"url": "/api/v2/orgs/..%2F../"}]}}, "upstream_error"),
    ],
)
async def test_trouble_during_a_look_up(proxy: Proxy, control: Control, fault: dict[str, Any], error: str) -> None:
    """The caller gets 502 at once; the next one's look-up succeeds."""
    await control.fault(on="api", **fault)
    status, _, told = await get(proxy, "/orders/")
    assert (502, error) == (status, told["error"])
    assert "the organizations of readycloud" in told["detail"] or "list for readycloud" in told["detail"]
    assert 200 == (await get(proxy, "/orders/"))[0]


async def test_nobody_has_signed_in(bare_proxy: Proxy, vendors: Sandbox, control: Control) -> None:
    """It is login_required, as for any other request, and nothing is sent."""
    bare_proxy.configure(config(vendors))
    await bare_proxy.start()
    status, _, told = await get(bare_proxy, ME)
    assert (503, "login_required") == (status, told["error"])
    assert [] == await targets(control)


async def test_an_organization_that_is_no_more(proxy: Proxy, control: Control) -> None:
    """The vendor's 404 goes to its caller; those who come then wait for a look-up, and are served."""
    gone = {**ONE, "results": [{"url": "/api/v2/orgs/gone/", "name": "Gone"}]}
    await control.fault(on="api", fault="garbage", body=gone)
    status, headers, told = await get(proxy, "/orders/")
    assert (404, {"detail": "Not found."}, False) == (status, told, "Proxy-Status" in headers)
    assert 200 == (await get(proxy, "/orders/"))[0]
    assert [LIST, "/api/v2/orgs/gone/orders/", LIST, ORDERS] == await targets(control)


@pytest.mark.parametrize("status", [403, 404])
async def test_requests_that_are_answered_403_or_404(proxy: Proxy, control: Control, status: int) -> None:
    """The list is asked for once more, not once for each; they come through, and none is sent twice."""
    assert 200 == (await get(proxy, "/orders/"))[0]
    for number in range(5):
        await control.fault(on="api", fault="fail", status=status, body="{}")
        assert status == (await get(proxy, f"/orders/{number}/", "DELETE"))[0]
        assert 200 == (await get(proxy, "/orders/"))[0]
    seen = await targets(control)
    assert (2, 13) == (seen.count(LIST), len(seen))


async def test_a_look_up_again_that_fails(proxy: Proxy, control: Control) -> None:
    """What was found before stays in force, and nobody sees an error."""
    assert 200 == (await get(proxy, "/orders/"))[0]
    await control.settings(orgs=2)
    assert 404 == (await get(proxy, "/orders/1/"))[0]
    assert 200 == (await get(proxy, "/orders/"))[0]
    assert 2 == await lists(control)
    assert "the organization of readycloud is not confirmed (organization_ambiguous): it stays in use" in proxy.log
    assert ORG not in proxy.log


async def test_import_and_logout(proxy: Proxy, vendors: Sandbox, control: Control) -> None:
    """Each drops what was found: it belonged to the tokens of before."""
    assert 200 == (await get(proxy, "/orders/"))[0]
    await control.settings(orgs=2)
    await proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await until_generation(proxy, 1)
    assert "organization_ambiguous" == (await get(proxy, "/orders/"))[2]["error"]
    await control.settings(orgs=1)
    assert 0 == (await proxy.command("logout", "readycloud")).code
    await until_generation(proxy, 2)
    assert "login_required" == (await get(proxy, "/orders/"))[2]["error"]
    await proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    await until_generation(proxy, 3)
    assert 200 == (await get(proxy, "/orders/"))[0]
    assert 3 == await lists(control)


async def test_what_only_looks_like_it(proxy: Proxy, control: Control) -> None:
    """It passes byte for byte, and nothing is looked up."""
    onward = [
        "/api/v2/orgs/{org_pk}/orders/{org_pk}?{org_pk}",
        "/api/v2/orgs/%7Borg_pk%7D/@me",
        "/@me/api/v2/orgs/x?@me",
        "/api/v2/orgs/@mex/",
        "/api/v2/orgs/@me;x/",
        "/api/v2//orgs/@me/",
        "/api/v1/orders/?a=/api/v2/orgs/@me/",
    ]
    for target in onward:
        await get(proxy, f"/readycloud{target}")
    assert onward == await targets(control)


async def test_what_stands_around_it(proxy: Proxy, control: Control) -> None:
    """It passes byte for byte."""
    onward = {
        "/readycloud/api/v2/orgs/%40me/%2F+x;y//%zz?q=%zz&{org_pk}=@me&+": "/%2F+x;y//%zz?q=%zz&{org_pk}=@me&+",
        "/readycloud/api/v2/orgs/@me/@me/?": "/@me/?",
        "/readycloud/api/v2/orgs/@me?bearer_token=x": "",
        "/orders/{org_pk}/@me?{org_pk}&@me": "/orders/{org_pk}/@me?{org_pk}&@me",
        "/orders": "/orders",
        "/orders?": "/orders?",
    }
    for target, rest in onward.items():
        await get(proxy, target)
        assert LIST + ORG + rest in await targets(control)


async def test_what_is_refused(proxy: Proxy, control: Control) -> None:
    """It is refused before anything is looked up."""
    refused = {
        "/readycloud/api/v2/orgs/@me/../x": 400,
        "/orders/%2e%2e/x": 400,
        "/readycloud/api/v1/oauth2/token/": 403,
        "/nowhere/api/v2/orgs/@me/": 404,
    }
    assert refused == {target: (await get(proxy, target))[0] for target in refused}
    assert [] == await targets(control)


async def test_a_caller_who_hangs_up_during_the_look_up(proxy: Proxy, control: Control) -> None:
    """The look-up goes on, for those who come after."""
    await control.fault(on="api", fault="stall", when="before")
    first = asyncio.create_task(get(proxy, "/orders/"))
    await control.wait("stalled", 1)
    first.cancel()
    await asyncio.wait([first])
    async with asyncio.timeout(15):
        while not re.search("caller_hung_up|GET /orders/ 499", proxy.log):
            await asyncio.sleep(0.02)
    second = asyncio.create_task(get(proxy, "/orders/"))
    await control.release()
    assert 200 == (await second)[0]
    assert [LIST, ORDERS] == await targets(control)


async def test_a_proxy_that_stops_during_the_look_up(proxy: Proxy, control: Control) -> None:
    """It ends in its time and in order."""
    await control.fault(on="api", fault="stall", when="before")
    call = asyncio.create_task(get(proxy, "/orders/"))
    await control.wait("stalled", 1)
    async with asyncio.timeout(10):
        assert 0 == await proxy.stop()
    with pytest.raises(aiohttp.ClientError):
        await call
    assert "Traceback" not in proxy.log
    assert "never retrieved" not in proxy.log
    await control.release()


async def test_the_log(proxy: Proxy) -> None:
    """It shows what the caller wrote; the organization is not in it."""
    for target in (ME, "/orders/", "/orders/1/"):
        await get(proxy, target)
    async with asyncio.timeout(10):
        while "GET /orders/1/ 404" not in proxy.log:  # a line is written after the answer
            await asyncio.sleep(0.02)
    assert f"GET {ME} 200" in proxy.log
    assert ORG not in proxy.log
