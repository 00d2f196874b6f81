"""The control plane's pages over HTTP: what a person's browser asks for, and what anybody else's may not."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import AsyncIterator
from html import escape

import aiohttp
import pytest
import pytest_asyncio

from proxy.sandbox import CLIENT_SECRET
from tests.support.processes import Proxy, localhost, sandbox_config
from tests.support.signing import (
    Person,
    Site,
    fragment_of,
    person,
    query_of,
    raw,
    register,
    running,
    site,
    tokens_of,
)
from tests.support.vendor import Control

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIGN_IN = ("readycloud", "cloud66")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """What all tests of this module share."""
    credentials = {"readycloud": "scopes: [order, company]"}
    async with site(tmp_path_factory.mktemp("site"), "renewal_guard: 0", credentials=credentials) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def here(shared: Site) -> AsyncIterator[Site]:
    """The running proxy; at the end nothing secret that the vendors gave is in its log."""
    await shared.reset()
    yield shared
    assert [] == re.findall(r"(?:rc|c66|oc)-(?:at|rt|code)-\w+", shared.proxy.log)
    assert CLIENT_SECRET not in shared.proxy.log


@pytest_asyncio.fixture(loop_scope="module")
async def visitor() -> AsyncIterator[Person]:
    """Somebody with a browser; no page of ours shows them a token or the client's secret."""
    async with person() as visitor:
        yield visitor
    ours = "\n".join(part for part in visitor.seen.split("\n") if "Location" not in part)
    assert [] == re.findall(r"(?:rc|c66|oc)-(?:at|rt)-\w+", ours)
    assert CLIENT_SECRET not in ours


async def begun(site: Site, visitor: Person, name: str) -> str:
    """Begin a sign-in on its page, and give the vendor's address."""
    await visitor.press(f"{site.url}/login/{name}", f"/login/{name}")
    assert 303 == visitor.status, visitor.seen
    return visitor.location


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


@pytest.mark.parametrize("form", ["none", "of another browser", "made up", "empty"])
@pytest.mark.parametrize(
    "action", ["/login/cloud66", "/login/cloud66/paste", "/login/cloud66/cancel", "/logout/cloud66"]
)
async def test_a_form_without_its_token(here: Site, visitor: Person, action: str, form: str) -> None:
    """Nothing is done by a form that this browser was not given."""
    await here.bring_tokens("cloud66")
    found = re.search(r'value="([0-9a-f]{64})"', await visitor.open(f"{here.url}/login/cloud66"))
    assert found
    async with person() as other:
        theirs = re.search(r'value="([0-9a-f]{64})"', await other.open(f"{here.url}/login/cloud66"))
        assert theirs
        assert found[1] != theirs[1]
        token = {"of another browser": theirs[1], "made up": "0" * 64, "empty": ""}.get(form)
    fields = {"pasted": "abc"} | ({} if token is None else {"csrf_token": token})
    before = await here.generation("cloud66")
    said = await visitor.post(here.url + action, fields, headers={"Origin": here.url})
    assert 403 == visitor.status
    assert "this form is not one that was given to this browser" in said
    assert before == await here.generation("cloud66")
    await visitor.post(here.url + action, {**fields, "csrf_token": found[1]}, headers={"Origin": here.url})
    assert 403 != visitor.status, "the right one would have done"


async def test_what_links_do(here: Site, visitor: Person) -> None:
    """No GET changes anything."""
    await visitor.open(f"{here.url}/login/cloud66")
    before = {name: await here.generation(name) for name in SIGN_IN}
    for path in ("/login/cloud66/paste?pasted=abc", "/login/cloud66/cancel", "/refresh/cloud66", "/logout/cloud66"):
        await visitor.open(here.url + path)
        assert 405 == visitor.status, path
    assert before == {name: await here.generation(name) for name in SIGN_IN}


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
    await visitor.press(page_url, action, pasted="x" * 200_000 + "ü")
    assert (400, before) == (visitor.status, await here.generation("onecloud"))


async def test_a_credential_that_does_not_exist(here: Site, visitor: Person) -> None:
    """It is a 404 that repeats nothing, for a GET and for a form."""
    for path in ("/login/nobody", "/login/%3Cscript%3E"):
        said = await visitor.open(here.url + path)
        assert (404, False) == (visitor.status, "script" in said)
    page = await visitor.open(f"{here.url}/login/cloud66")
    form = page.replace("/login/cloud66", "/login/nobody")
    await visitor.submit(f"{here.url}/login/nobody", form, "/login/nobody")
    assert 404 == visitor.status


@pytest.mark.parametrize(
    "path", ["/", "/login/cloud66", "/login/onecloud", "/callback", "/callback?code=a&state=b", "/nowhere", "/healthz"]
)
async def test_fields_of_every_page(here: Site, visitor: Person, path: str) -> None:
    """None is kept, framed, or sniffed, and no script runs but our own."""
    await visitor.open(here.url + path)
    assert ("no-store", "nosniff", "DENY", "same-origin") == tuple(
        visitor.headers.get(name)
        for name in ("Cache-Control", "X-Content-Type-Options", "X-Frame-Options", "Cross-Origin-Resource-Policy")
    )
    cookie = visitor.headers.get("Set-Cookie", "")
    assert not cookie or ("HttpOnly" in cookie and "SameSite=Lax" in cookie), cookie
    assert bool(cookie) == (path == "/" or path.startswith("/login"))
    policy = visitor.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert visitor.headers.get("Referrer-Policy") in ("same-origin", "no-referrer")


@pytest.mark.parametrize(
    ("expected", "host"),
    [
        (200, "127.0.0.1:{port}"),
        (200, "localhost:{port}"),
        (200, "LOCALHOST"),
        (200, "[::1]:{port}"),
        (403, "evil.test:{port}"),
        (403, "evil.test"),
        (403, "127.0.0.1.evil.test:{port}"),
        (403, "localhost.evil.test"),
        (403, "192.168.0.1"),
        (403, ""),
        (403, "127.0.0.1@evil.test"),
        (403, "evil.test\nHost: 127.0.0.1"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/callback", "/api/credentials", "/login/cloud66"])
async def test_dns_rebinding(here: Site, expected: int, host: str, path: str) -> None:
    """A page whose name leads to 127.0.0.1 is answered nothing that it could use."""
    host = host.format(port=here.proxy.admin_port)
    status, answer = await raw(here.proxy.admin_port, f"GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n\n")
    assert (status == 200) == (expected == 200), answer
    assert status in (200, 400, 403)
    if status != 200:
        assert [] == [name for name in ("readycloud", "csrf", "bearer_proxy_session") if name in answer]


CROSS = {"Sec-Fetch-Site": "cross-site"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("expected", "method", "path", "fields"),
    [
        (200, "GET", "/", {**CROSS, **NAVIGATION}),
        (200, "GET", "/callback", {**CROSS, **NAVIGATION}),
        (200, "GET", "/login/cloud66", {"Sec-Fetch-Site": "none", **NAVIGATION}),
        (403, "GET", "/", {**CROSS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
        (403, "GET", "/", {**CROSS, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
        (403, "GET", "/callback", {**CROSS, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
        (403, "GET", "/callback", {**CROSS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}),
        (403, "GET", "/login/cloud66", {**CROSS, **NAVIGATION}),
        (403, "GET", "/api/credentials", {**CROSS, **NAVIGATION}),
        (403, "GET", "/api/credentials", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
        (403, "GET", "/api/credentials", {"Origin": "http://evil.test"}),
        (403, "GET", "/api/credentials", {"Origin": "null"}),
        (403, "POST", "/callback", {"Origin": "http://evil.test"}),
        (403, "POST", "/callback", {"Origin": "null"}),
        (403, "POST", "/callback", {"Origin": "http://127.0.0.1:1"}),
        (403, "POST", "/callback", {**CROSS, **NAVIGATION}),
        (403, "POST", "/login/cloud66", {"Origin": "http://evil.test", **CROSS, **NAVIGATION}),
        (403, "POST", "/logout/cloud66", {"Origin": "http://localhost:1"}),
    ],
)
async def test_requests_of_other_origins(
    here: Site, visitor: Person, expected: int, method: str, path: str, fields: dict[str, str]
) -> None:
    """Only a person's navigation may come from elsewhere, and only to the entrances; no answer may be read there."""
    ask = visitor.open if method == "GET" else visitor.post
    await ask(here.url + path, headers=fields)
    assert expected == visitor.status
    assert "Access-Control-Allow-Origin" not in visitor.headers


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"state=\xff\xfe&code=1"),
        ("text/plain; charset=nonsense", b"state=1&code=1"),
        ("application/x-www-form-urlencoded; charset=utf-16", b"odd"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=csrf_token\r\n\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n1\r\n--x--',
        ),
        ("application/x-www-form-urlencoded", b"a" * 3_000_000),
        ("application/x-www-form-urlencoded", b"&".join([b"state=1"] * 100_000)),
        ("application/json", b"{" * 10_000),
    ],
)
@pytest.mark.parametrize("path", ["/callback", "/login/cloud66/paste"])
async def test_bodies_that_are_no_forms(here: Site, path: str, kind: str, body: bytes) -> None:
    """They are refused as the caller's mistake; nothing breaks, and nothing of them is logged."""
    sent = io.BytesIO(body)  # bytes of that size would be a warning
    async with (
        aiohttp.ClientSession() as session,
        session.post(here.url + path, data=sent, headers={"Content-Type": kind}) as answer,
    ):
        assert 400 <= answer.status < 500, await answer.text()
    assert "Error handling request" not in here.proxy.log


async def test_a_callback_with_markup(here: Site, visitor: Person) -> None:
    """Nothing of what comes in the address stands in the page."""
    for query in ("code=<script>canary</script>&state=<b>canary", "error=<script>canary&error_description=canary"):
        said = await visitor.open(f"{here.url}/callback?{query}".replace("<", "%3C").replace(">", "%3E"))
        assert 400 == visitor.status
        assert "canary" not in said
        assert escape("canary<") not in said


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


async def test_beyond_loopback(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As in a container: the pages want the admin_key, Basic or Bearer; health and the callback do not."""
    proxy = Proxy(tmp_path_factory.mktemp("container"))
    key = "correct horse battery staple"
    async with site(tmp_path_factory.mktemp("vendors")) as other:
        vendors = other.vendors
        proxy.configure(sandbox_config(vendors, f"admin_key: {key}"))
        path = proxy.folder / "config.yaml"
        path.write_text(path.read_text().replace("admin: 127.0.0.1:", "admin: 0.0.0.0:"))
        await register(vendors, proxy)
        await proxy.start()
        try:
            basic = base64.b64encode(f"admin:{key}".encode()).decode()
            async with person() as nobody:
                for page in ("/", "/login/cloud66", "/api/credentials", "/nowhere"):
                    assert "admin_key" in await nobody.open(proxy.admin_url + page)
                    assert (401, True) == (nobody.status, "Basic" in nobody.headers["WWW-Authenticate"])
                for wrong in ("Basic " + basic[:-4], "Bearer x", f"Digest {key}", "Basic ü", "Bearer", f"Basic {key}"):
                    await nobody.open(proxy.admin_url + "/", headers={"Authorization": wrong})
                    assert 401 == nobody.status, wrong
                for page in ("/healthz", "/callback"):
                    await nobody.open(proxy.admin_url + page)
                    assert 200 == nobody.status
                await nobody.open(proxy.admin_url + "/", headers={"Authorization": f"Bearer {key}"})
                assert 200 == nobody.status
            async with person(headers={"Authorization": f"Basic {basic}"}) as operator:
                for name in SIGN_IN:
                    await operator.press(f"{proxy.admin_url}/login/{name}", f"/login/{name}")
                    address = operator.location
                    async with person() as at_vendor:
                        address = await at_vendor.decide(address)
                    assert "Signed in" in await operator.come_back(address)
            async with running(proxy, "login", "cloud66", "--no-browser") as login:
                assert f"{proxy.admin_url}/login/cloud66" == await login.url()
                login.process.terminate()
                assert 1 == (await login.done()).code
            assert key not in proxy.log
        finally:
            assert 0 == await proxy.stop(), proxy.log


async def test_callback_without_the_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The vendor's redirect bears no key: the browser that began the sign-in completes it by its cookie alone."""
    key = "an-admin-key"
    async with site(tmp_path_factory.mktemp("key"), f"admin_key: {key}") as keyed, person() as visitor:
        how = {"Authorization": f"Bearer {key}"}
        page = await visitor.open(f"{keyed.url}/login/readycloud", headers=how)
        token = re.findall(r'name="csrf_token" value="(\w+)"', page)[0]
        await visitor.post(f"{keyed.url}/login/readycloud", {"csrf_token": token}, headers={**how, "Origin": keyed.url})
        assert "Signed in" in await visitor.come_back(await visitor.decide(visitor.location))
