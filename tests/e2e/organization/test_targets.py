"""What callers write where an organization may stand: what is replaced, what passes as it is, what the log shows."""

from __future__ import annotations

from tests.support.beside import until
from tests.support.processes import Proxy
from tests.support.vendor import Control

from .conftest import LIST, ME, ORG, get, targets


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


async def test_the_log(proxy: Proxy) -> None:
    """It shows what the caller wrote; the organization is not in it."""
    for target in (ME, "/orders/", "/orders/1/"):
        await get(proxy, target)
    await until(lambda: "GET /orders/1/ 404" in proxy.log, "logged")  # a line is written after the answer
    assert f"GET {ME} 200" in proxy.log
    assert ORG not in proxy.log
