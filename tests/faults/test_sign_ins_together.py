"""Several sign-ins at one time, and a logout during one: the last stands, whole."""

from __future__ import annotations

import asyncio

from proxy.sandbox import Sandbox
from tests.support.beside import running
from tests.support.person import fragment_of, person, query_of, tokens_of
from tests.support.processes import Proxy
from tests.support.site import stored
from tests.support.vendor import Control

from .conftest import begun, works


async def test_the_later_of_two_logins_wins(signing: Proxy, vendors: Sandbox) -> None:
    """The one that is completed last stands, whichever began first."""
    await signing.bring_tokens("readycloud", vendors.grant("readycloud"))
    before = stored(signing, "readycloud")
    arguments = ("login", "readycloud", "--no-browser", "--paste")
    async with running(signing, *arguments) as first, running(signing, *arguments) as second, person() as visitor:
        late, early = [await visitor.decide(await one.url()) for one in (first, second)]
        second.type(early + "\n")
        assert 0 == (await second.done()).code
        assert (before[0] + 1, fragment_of(early)["access_token"]) == stored(signing, "readycloud")[:2]
        first.type(late + "\n")
        assert 0 == (await first.done()).code
    fields = fragment_of(late)
    assert (before[0] + 2, fields["access_token"], fields["refresh_token"]) == stored(signing, "readycloud")
    assert await works(signing, "readycloud")


async def test_logins_at_the_same_time(signing: Proxy, vendors: Sandbox) -> None:
    """However they fall together, one of them stands whole: its access token with its refresh token."""
    await signing.bring_tokens("readycloud", vendors.grant("readycloud"))
    await signing.start()
    before = stored(signing, "readycloud")
    async with person() as visitor:
        addresses = [await begun(signing, visitor, "readycloud") for _ in range(8)]
        pages = await asyncio.gather(*(visitor.come_back(address) for address in addresses))
    assert 8 == sum("Signed in" in page for page in pages)
    generation, access, refresh = stored(signing, "readycloud")
    assert before[0] + 8 == generation
    assert {access, refresh} in [tokens_of(address) for address in addresses]
    assert await works(signing, "readycloud")


async def test_a_second_login_while_the_first_listens(signing: Proxy) -> None:
    """The callback's port is the first one's: the second says what to do, and takes nothing from the first."""
    async with running(signing, "login", "cloud66", "--no-browser") as first, person() as visitor:
        url = await first.url()
        second = await signing.command("login", "cloud66", "--no-browser")
        assert (1, "") == (second.code, second.out)
        assert "the address is in use" in second.err
        assert "sign in with --paste" in second.err
        assert "Signed in" in await visitor.come_back(await visitor.decide(url))
        assert 0 == (await first.done()).code


async def test_a_logout_while_a_sign_in_is_under_way(signing: Proxy, vendors: Sandbox) -> None:
    """The log-out waits for it, and is the later one: no token is left, and nothing of the old ones comes back."""
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        address = await begun(signing, visitor, "cloud66")
        arriving = asyncio.create_task(visitor.come_back(address))
        await control.wait("stalled", 1)
        leaving = asyncio.create_task(signing.command("logout", "cloud66"))
        assert before == stored(signing, "cloud66")
        await control.release()
        assert "Signed in" in await arriving
        assert 0 == (await leaving).code
    assert query_of(address)["code"] not in str(stored(signing, "cloud66"))
    assert (before[0] + 2, None, None) == stored(signing, "cloud66")
