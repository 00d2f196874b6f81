"""`login` by the callback: consent at the emulated vendor's page, and the browser's way back to the command."""

from __future__ import annotations

import re

import pytest

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.support.beside import running
from tests.support.person import Person, query_of, tokens_of, told_nothing
from tests.support.processes import Proxy, sandbox_config
from tests.support.servers import between
from tests.support.site import call, register, status, stored
from tests.support.vendor import Control

YEAR = "it expires in 365 d"


async def test_readycloud_by_callback(signing: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """The fragment is handed over by the callback page; the tokens are stored, and good at the vendor."""
    async with running(signing, "login", "readycloud", "--no-browser") as login:
        url = await login.url()
        assert ("token", "sandbox-app") == (query_of(url)["response_type"], query_of(url)["client_id"])
        assert not {"redirect_uri", "code_challenge"} & query_of(url).keys()
        address = await visitor.decide(url)
        assert address.startswith(f"{signing.admin_url}/callback?state={query_of(url)['state']}#access_token=")
        visitor.seen = ""
        assert f'"Signed in to readycloud", "lines": ["an access token, a refresh token; {YEAR}"]' in (
            await visitor.come_back(address)
        )
        done = await login.done()
    assert (0, "") == (done.code, done.err)
    assert done.out.endswith(f"signed in to readycloud: an access token, a refresh token; {YEAR}\n")
    told_nothing(done, address)
    assert [] == [token for token in tokens_of(address) if token in visitor.seen]
    found = await status(signing, "readycloud")
    assert ("ok", 1, "login") == (found["state"], found["generation"], found["origin"])
    assert 0 == (await Control(vendors, "readycloud").state())["exchanges"]
    await signing.start()
    assert 200 == await call(signing, "readycloud")


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
async def test_cloud66_by_callback(bare_proxy: Proxy, vendors: Sandbox, visitor: Person, form: bool) -> None:
    """The code comes in the query and is exchanged with its PKCE verifier, whatever form the answer has."""
    target = f"{vendors.url('cloud66')}/oauth/token"
    async with between(target, without="Accept" if form else "") as stands:
        text = sandbox_config(vendors, credentials={"cloud66": "scopes: [public, redeploy]"})
        bare_proxy.configure(text.replace(target, stands.url))
        await register(vendors, bare_proxy)
        async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
            url = await login.url()
            query = query_of(url)
            assert ("code", "public redeploy", "S256") == tuple(
                query[key] for key in ("response_type", "scope", "code_challenge_method")
            )
            assert f"{bare_proxy.admin_url}/callback" == query["redirect_uri"]
            address = await visitor.decide(url)
            assert query["state"] == query_of(address)["state"]
            page = await visitor.come_back(address)
            assert "<p>an access token; its lifetime is not known</p>" in page
            assert "when this one expires, a person has to sign in again" in page
            done = await login.done()
    assert 0 == done.code
    assert "signed in to cloud66: an access token; its lifetime is not known" in done.out
    assert "scopes" not in done.err
    told_nothing(done, address)
    (sent,) = stands.forms
    assert ("authorization_code", query_of(address)["code"]) == (sent["grant_type"], sent["code"])
    assert (CLIENT_SECRET, query["redirect_uri"]) == (sent["client_secret"], sent["redirect_uri"])
    assert re.fullmatch("[A-Za-z0-9._~-]{43,128}", sent["code_verifier"])
    assert sent["code_verifier"] not in url + done.out + done.err + visitor.seen
    assert ["application/x-www-form-urlencoded" if form else "application/json"] == stands.content_types
    await bare_proxy.start()
    assert 200 == await call(bare_proxy, "cloud66")


@pytest.mark.parametrize(
    ("provider", "settings", "expected"),
    [
        ("redirect_parameter: redirect_url", {"redirect_parameter": "redirect_url"}, {"scope": "public redeploy"}),
        ("scope_separator: comma", {"redirect_parameter": "redirect_uri"}, {"scope": "public,redeploy"}),
    ],
)
async def test_cloud66_by_other_settings(
    bare_proxy: Proxy,
    vendors: Sandbox,
    visitor: Person,
    provider: str,
    settings: dict[str, str],
    expected: dict[str, str],
) -> None:
    """The redirect goes by the name that the vendor wants, scopes are separated as it wants."""
    credentials = {"cloud66": "scopes: [public, redeploy]"}
    bare_proxy.configure(sandbox_config(vendors, providers={"cloud66": provider}, credentials=credentials))
    await register(vendors, bare_proxy)
    await Control(vendors, "cloud66").settings(**settings)
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        url = await login.url()
        assert expected["scope"] == query_of(url)["scope"]
        assert settings["redirect_parameter"] in query_of(url)
        assert "Signed in" in await visitor.come_back(await visitor.decide(url))
        done = await login.done()
    assert 0 == done.code, done.err
    assert "scopes" not in done.err
    assert "public redeploy" == (await status(bare_proxy, "cloud66"))["scope"]


async def test_a_registered_redirect_of_another_path(bare_proxy: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """Cloud 66 compares the host alone, so the browser comes to our callback whatever path is registered."""
    registered = f"{bare_proxy.admin_url}/some/where"
    bare_proxy.configure(sandbox_config(vendors, credentials={"cloud66": f'redirect_uri: "{registered}"'}))
    await register(vendors, bare_proxy, "/some/where")
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        assert "Signed in" in await visitor.come_back(await visitor.decide(await login.url()))
        assert 0 == (await login.done()).code


async def test_a_redirect_by_name(bare_proxy: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """A callback that is registered as localhost is heard on both of its addresses."""
    origin = f"http://localhost:{bare_proxy.admin_port}"
    bare_proxy.configure(sandbox_config(vendors, credentials={"cloud66": f'redirect_uri: "{origin}/callback"'}))
    await Control(vendors, "cloud66").settings(redirect_uri=f"{origin}/callback")
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        address = await visitor.decide(await login.url())
        assert address.startswith(f"{origin}/callback?code=")
        assert "Signed in" in await visitor.come_back(address.replace("localhost", "127.0.0.1"))
        assert 0 == (await login.done()).code


@pytest.mark.parametrize(("vendor", "state"), [("readycloud", None), ("readycloud", "another"), ("cloud66", "another")])
async def test_a_state_that_is_not_ours(
    signing: Proxy, vendors: Sandbox, visitor: Person, vendor: str, state: str | None
) -> None:
    """What comes with a wrong state, or none, is not taken: page and command say why, and the sign-in goes on."""
    async with running(signing, "login", vendor, "--no-browser") as login:
        address = await visitor.decide(await login.url())
        theirs = f"state={query_of(address)['state']}"
        page = await visitor.come_back(address.replace(theirs, f"state={state}" if state else ""))
        assert 400 == visitor.status
        assert 0 == stored(signing, vendor)[0]
        assert 0 == (await Control(vendors, "cloud66").state())["exchanges"]
        assert "Signed in" in await visitor.come_back(address)
        done = await login.done()
    why = "its state was never given out" if state else "the vendor's answer bears no state"
    assert 0 == done.code
    assert why in page
    assert why in done.err
    told_nothing(done, address)
    assert 1 == stored(signing, vendor)[0]


@pytest.mark.parametrize("query", ["error=x", "error=access_denied&state=x", "code=x", "code=x&state=", "state=x"])
async def test_what_anybody_can_send_to_the_callback(
    signing: Proxy, vendors: Sandbox, visitor: Person, query: str
) -> None:
    """A page elsewhere, or another program, ends no sign-in, and fills no terminal: that is told once."""
    led_there = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    async with running(signing, "login", "cloud66", "--no-browser") as login:
        url = await login.url()
        callback = f"{signing.admin_url}/callback"
        for _ in range(3):
            await visitor.open(f"{callback}?{query}", headers=led_there)
            await visitor.post(callback, query)
            assert 400 == visitor.status
        assert "Signed in" in await visitor.come_back(await visitor.decide(url))
        done = await login.done()
    assert 0 == done.code
    assert 1 == done.err.count("something came to the callback that ends nothing: ")


async def test_consent_that_is_denied(signing: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """The vendor's error bears our state, and so it ends the command."""
    async with running(signing, "login", "cloud66", "--no-browser") as login:
        address = await visitor.decide(await login.url(), "deny")
        assert "error=access_denied" in address
        await visitor.come_back(address)
        done = await login.done()
    assert (1, "consent was denied at the vendor: nothing has changed; sign in again to consent\n") == (
        done.code,
        done.err,
    )


async def test_fewer_scopes_than_asked_for(bare_proxy: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """What the vendor withholds is a warning, on page and terminal, and no failure."""
    bare_proxy.configure(sandbox_config(vendors, credentials={"readycloud": "scopes: [order, company]"}))
    await register(vendors, bare_proxy)
    await Control(vendors, "readycloud").settings(withholds="company")
    async with running(bare_proxy, "login", "readycloud", "--no-browser") as login:
        page = await visitor.come_back(await visitor.decide(await login.url()))
        done = await login.done()
    warning = "its scopes are not those of the configuration: lacking: company; more: -"
    assert (0, f"warning: {warning}\n") == (done.code, done.err)
    assert warning in page
    assert "order" == (await status(bare_proxy, "readycloud"))["scope"]
