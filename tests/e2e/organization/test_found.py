"""`{org_pk}` and `@me` stand for ReadyCloud's Org ID: it is found out once, kept, and looked for anew when it fails."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.beside import until
from tests.support.processes import Proxy
from tests.support.vendor import Control

from .conftest import LIST, ME, ORDERS, ORG, get, targets


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


async def test_an_organization_that_is_no_more(proxy: Proxy, control: Control) -> None:
    """The vendor's 404 goes to its caller; those who come then wait for a look-up, and are served."""
    gone = {"count": 1, "next": None, "previous": None, "results": [{"url": "/api/v2/orgs/gone/", "name": "Gone"}]}
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


async def test_a_caller_who_hangs_up_during_the_look_up(proxy: Proxy, control: Control) -> None:
    """The look-up goes on, for those who come after."""
    await control.fault(on="api", fault="stall", when="before")
    first = asyncio.create_task(get(proxy, "/orders/"))
    await control.wait("stalled", 1)
    first.cancel()
    await asyncio.wait([first])
    await until(lambda: re.search("caller_hung_up|GET /orders/ 499", proxy.log) is not None, "the first has gone")
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
