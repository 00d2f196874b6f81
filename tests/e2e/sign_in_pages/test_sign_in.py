"""Signing in on the control plane's pages over HTTP, as a person's browser does."""

from __future__ import annotations

import json
import re

import aiohttp
import pytest

from tests.support.person import Person, fragment_of, person, query_of, tokens_of
from tests.support.processes import localhost
from tests.support.site import Site, site
from tests.support.vendor import Control

from .conftest import SIGN_IN, begun

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_first_page(here: Site, visitor: Person) -> None:
    """It lists all credentials, with a way to connect each; looking at it begins nothing."""
    page = await visitor.open(here.url + "/")
    assert ["readycloud", "cloud66", "onecloud"] == re.findall(r'<tr id="(\w+)">', page)
    assert ["readycloud", "cloud66", "onecloud"] == re.findall(r'class="[^"]*connect" href="/login/(\w+)"', page)
    for name in SIGN_IN:
        page = await visitor.open(f"{here.url}/login/{name}")
        assert (200, 1) == (visitor.status, page.count('id="begin"'))
        assert "localhost:" in page
    assert "under way" not in visitor.seen


@pytest.mark.parametrize("name", SIGN_IN)
async def test_a_sign_in(here: Site, visitor: Person, name: str) -> None:
    """Page, form, vendor, callback: signed in, the tokens good; the same answer is worth nothing a second time."""
    before = await here.generation(name)
    address = await visitor.decide(await begun(here, visitor, name))
    assert f"Signed in to {name}" in await visitor.come_back(address)
    assert before + 1 == await here.generation(name)
    assert 200 == await here.call(name)
    said = await visitor.come_back(address)
    assert 400 == visitor.status
    assert "this is no sign-in that is under way here" in said
    assert before + 1 == await here.generation(name)


@pytest.mark.parametrize("name", SIGN_IN)
async def test_a_sign_in_that_was_begun_by_another_name(here: Site, visitor: Person, name: str) -> None:
    """Begun at localhost it comes back to 127.0.0.1, which has other cookies, and is completed all the same."""
    before = await here.generation(name)
    await visitor.press(f"{localhost(here.url)}/login/{name}", f"/login/{name}")
    assert "Signed in" in await visitor.come_back(await visitor.decide(visitor.location))
    assert before + 1 == await here.generation(name)


@pytest.mark.parametrize("name", SIGN_IN)
async def test_the_answer_in_another_browser(here: Site, visitor: Person, name: str) -> None:
    """A browser that did not begin it cannot end it, with the right state neither; who began it still can."""
    before = await here.generation(name)
    address = await visitor.decide(await begun(here, visitor, name))
    async with person() as thief:
        said = await thief.come_back(address)
        assert 400 == thief.status
        assert "this sign-in was begun in another browser" in said
    assert before == await here.generation(name)
    assert "Signed in" in await visitor.come_back(address)


async def test_cancel(here: Site, visitor: Person) -> None:
    """A sign-in under way is shown as such; cancelled, what comes back is refused."""
    page_url = f"{here.url}/login/cloud66"
    address = await visitor.decide(await begun(here, visitor, "cloud66"))
    assert "A sign-in is under way" in await visitor.open(page_url)
    await visitor.press(page_url, "/login/cloud66/cancel")
    assert (303, "/") == (visitor.status, visitor.location)
    assert "under way" not in await visitor.open(page_url)
    before = await here.generation("cloud66")
    assert "this is no sign-in that is under way here" in await visitor.come_back(address)
    assert before == await here.generation("cloud66")
    assert 0 == (await Control(here.vendors, "cloud66").state())["exchanges"]


@pytest.mark.parametrize(("name", "what"), [("readycloud", "address"), ("cloud66", "address"), ("cloud66", "code")])
async def test_the_paste_form(here: Site, visitor: Person, name: str, what: str) -> None:
    """The final address, or the code, completes the sign-in that this browser has begun."""
    before = await here.generation(name)
    address = await visitor.decide(await begun(here, visitor, name))
    pasted = address if what == "address" else query_of(address)["code"]
    said = await visitor.press(f"{here.url}/login/{name}", f"/login/{name}/paste", pasted=f" {pasted} ")
    assert 200 == visitor.status
    assert f"Signed in to {name}" in said
    assert [] == [token for token in tokens_of(address) if token in said]
    assert before + 1 == await here.generation(name)
    assert "under way" not in await visitor.open(f"{here.url}/login/{name}")


async def test_pastes_that_fail(here: Site, visitor: Person) -> None:
    """Each has its own sentence, repeats nothing of what was pasted, and changes nothing."""
    before = {name: await here.generation(name) for name in SIGN_IN}

    async def paste(name: str, text: str, *, begin: bool = True) -> str:
        if begin:
            await begun(here, visitor, name)
        said = await visitor.press(f"{here.url}/login/{name}", f"/login/{name}/paste", pasted=text)
        assert 400 == visitor.status
        assert "canary" not in said
        found = re.findall(r'<p class="bad">(.*?)</p>', said)
        assert len(found) == 1, said
        return str(found[0])

    said = [
        await paste("readycloud", ""),
        await paste("readycloud", "canary words"),
        await paste("readycloud", "https://x.test/?code=canary"),
        await paste("readycloud", "https://x.test/#access_token=canary%20canary"),
        await paste("readycloud", "https://x.test/?state=canary#access_token=canary"),
        await paste("cloud66", "canary-code"),
        await paste("cloud66", "https://x.test/?error=access_denied&error_description=canary"),
        await paste("cloud66", "https://x.test/?error=%3Cscript%3Ecanary"),
    ]
    await visitor.press(f"{here.url}/login/cloud66", "/login/cloud66/cancel")
    said.append(await paste("cloud66", "canary-code", begin=False))
    assert len(said) == len(set(said)), said
    assert before == {name: await here.generation(name) for name in SIGN_IN}


async def test_denied(here: Site, visitor: Person) -> None:
    """A denial is told with what it means, for either way in which vendors bring it."""
    for name in SIGN_IN:
        before = await here.generation(name)
        address = await visitor.decide(await begun(here, visitor, name), "deny")
        said = await visitor.come_back(address)
        assert 400 == visitor.status
        assert "consent was denied at the vendor: nothing has changed; sign in again to consent" in said
        assert before == await here.generation(name)


async def test_fewer_scopes_than_asked_for(here: Site, visitor: Person) -> None:
    """The page warns of it; the sign-in stands."""
    await Control(here.vendors, "readycloud").settings(withholds="company")
    said = await visitor.come_back(await visitor.decide(await begun(here, visitor, "readycloud")))
    assert 200 == visitor.status
    assert "lacking: company; more: -" in said


async def test_renew_and_log_out(here: Site, visitor: Person) -> None:
    """Renew now is one exchange, Log out forgets; then there is nothing to renew, and calls say what to do."""
    before = await here.bring_tokens("onecloud")
    page_url = here.url + "/"
    await visitor.press(page_url, "/refresh/onecloud")
    assert (303, "/") == (visitor.status, visitor.location)
    assert 1 == (await Control(here.vendors, "onecloud").state())["exchanges"]
    assert before + 1 == await here.generation("onecloud")
    assert 200 == await here.call("onecloud")
    await visitor.press(page_url, "/logout/onecloud")
    assert (303, before + 2) == (visitor.status, await here.generation("onecloud"))
    assert 503 == await here.call("onecloud")
    page = await visitor.open(page_url)
    assert "/refresh/onecloud" not in page
    assert "/logout/onecloud" not in page
    assert "it was logged out" in page


async def test_tokens_that_the_vendor_shows(here: Site, visitor: Person) -> None:
    """OneCloud's form takes both tokens and the lifetime, or the whole answer."""
    page_url, action = f"{here.url}/login/onecloud", "/login/onecloud/paste"
    tokens = {key: str(value) for key, value in here.vendors.grant("onecloud").items()}
    single = {"pasted": tokens["access_token"], "refresh_token": tokens["refresh_token"], "expires_in": "60"}
    said = await visitor.press(page_url, action, **single)
    assert "an access token, a refresh token; it expires in 60 s" in said
    assert 200 == await here.call("onecloud")
    said = await visitor.press(page_url, action, pasted=json.dumps(here.vendors.grant("onecloud")))
    assert "it expires in 24 h" in said
    before = await here.generation("onecloud")
    assert "a lifetime is a number" in await visitor.press(page_url, action, **{**single, "expires_in": "soon"})
    assert before == await here.generation("onecloud")
    await visitor.press(page_url, action, pasted="x" * 60_000 + "ü")
    assert (400, before) == (visitor.status, await here.generation("onecloud"))


async def test_a_head_of_the_callback(here: Site, visitor: Person) -> None:
    """What only looks - a link preview, a scanner - redeems no code."""
    address = await visitor.decide(await begun(here, visitor, "cloud66"))
    async with aiohttp.ClientSession() as session, session.head(address) as answer:
        assert 405 == answer.status
    assert "Signed in" in await visitor.come_back(address)


async def test_two_sign_ins_of_one_browser(here: Site, visitor: Person) -> None:
    """Both may be completed, in any order; each answer goes to its own."""
    before = await here.generation("cloud66")
    one, other = [await visitor.decide(await begun(here, visitor, "cloud66")) for _ in range(2)]
    mixed = one.replace(query_of(one)["state"], query_of(other)["state"])
    assert "the vendor refuses the code" in await visitor.come_back(mixed), "the verifier is the other's"
    assert "Signed in" in await visitor.come_back(one)
    assert before + 1 == await here.generation("cloud66")


async def test_what_came_back_for_another_credential(here: Site, visitor: Person) -> None:
    """Tokens of one vendor do not become those of another by a state of that other's."""
    before = {name: await here.generation(name) for name in SIGN_IN}
    implicit = await visitor.decide(await begun(here, visitor, "readycloud"))
    code = query_of(await begun(here, visitor, "cloud66"))["state"]
    tokens = fragment_of(implicit)
    said = await visitor.come_back(f"{here.url}/callback?state={code}#access_token={tokens['access_token']}")
    assert 400 == visitor.status, said
    assert before == {name: await here.generation(name) for name in SIGN_IN}


async def test_a_sign_in_that_took_too_long(tmp_path_factory: pytest.TempPathFactory, visitor: Person) -> None:
    """After login_timeout its answer is refused, and the sentence says how long there was."""
    async with site(tmp_path_factory.mktemp("short"), "login_timeout: 1ms") as short:
        said = await visitor.come_back(await visitor.decide(await begun(short, visitor, "cloud66")))
        assert 400 == visitor.status
        assert "it is over, took longer than" in said
