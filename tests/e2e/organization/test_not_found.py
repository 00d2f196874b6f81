"""Where it is not known which organization is meant: callers are told why and what to do; a choice settles it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy
from tests.support.vendor import Control

from .conftest import LIST, ME, ORDERS, ORG, OTHER, config, get, start, targets


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
    await start(bare_proxy, vendors, chosen)
    assert 404 == (await get(bare_proxy, "/orders/1/"))[0]
    assert 200 == (await get(bare_proxy, ME))[0]
    chosen_orders = ORDERS.replace(ORG, OTHER)
    assert [f"{chosen_orders}1/", chosen_orders] == await targets(control)


async def test_a_grant_that_may_not_list_organizations(bare_proxy: Proxy, vendors: Sandbox, control: Control) -> None:
    """The error says which scope lacks, or what to set."""
    await control.settings(scope="order")
    await start(bare_proxy, vendors, config(vendors))
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
    "fault",
    [
        {"fault": "fail", "status": 503},
        {"fault": "garbage"},
        {"fault": "drop", "times": 2},
        {"fault": "truncate", "when": "after"},
        {"fault": "garbage", "body": {"results": [{"url": "/api/v2/orgs/..%2F../"}]}},
    ],
)
async def test_trouble_during_a_look_up(proxy: Proxy, control: Control, fault: dict[str, Any]) -> None:
    """The caller gets 502 at once; the next one's look-up succeeds."""
    await control.fault(on="api", **fault)
    status, _, told = await get(proxy, "/orders/")
    assert (502, "upstream_error") == (status, told["error"])
    assert "the organizations of readycloud" in told["detail"] or "list for readycloud" in told["detail"]
    assert 200 == (await get(proxy, "/orders/"))[0]


async def test_nobody_has_signed_in(bare_proxy: Proxy, vendors: Sandbox, control: Control) -> None:
    """It is login_required, as for any other request, and nothing is sent."""
    bare_proxy.configure(config(vendors))
    await bare_proxy.start()
    status, _, told = await get(bare_proxy, ME)
    assert (503, "login_required") == (status, told["error"])
    assert [] == await targets(control)
