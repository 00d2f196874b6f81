"""`login` by each vendor's own way: consent at the emulated vendor's page, and the way back to the command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.support.processes import Done, Proxy, environment, free_port, sandbox_config
from tests.support.signing import (
    PATHS,
    PATIENCE,
    Person,
    between,
    fragment_of,
    person,
    query_of,
    register,
    running,
    script,
    serving,
    stored,
    tokens_of,
    until,
    watched_arguments,
)
from tests.support.vendor import Control

OOB = "urn:ietf:wg:oauth:2.0:oob"
YEAR = "it expires in 365 d"


@pytest.fixture
async def visitor() -> AsyncIterator[Person]:
    """Somebody with a browser."""
    async with person() as visitor:
        yield visitor


@pytest.fixture
async def signing(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A configured proxy that does not run, its callback registered at the vendors."""
    bare_proxy.configure(sandbox_config(vendors))
    await register(vendors, bare_proxy)
    return bare_proxy


async def status(proxy: Proxy, name: str) -> dict[str, object]:
    """How a credential is in the store, by `status --json`."""
    told = json.loads((await proxy.command("status", "--json")).out)["credentials"]
    return dict(next(one for one in told if one["name"] == name))


async def call(proxy: Proxy, name: str) -> int:
    """Call the vendor's API through the running proxy."""
    url = f"{proxy.url}/{name}{PATHS[name]}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


def told_nothing(done: Done, address: str) -> None:
    """No token, no code and no client secret was written."""
    secrets = tokens_of(address) | {CLIENT_SECRET}
    assert len(secrets) > 1
    assert [] == [secret for secret in secrets if secret in done.out + done.err]


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


async def test_a_code_that_is_shown(bare_proxy: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """With the out-of-band redirect the code that the vendor's page shows is pasted, and nothing listens."""
    bare_proxy.configure(sandbox_config(vendors, credentials={"cloud66": f'redirect_uri: "{OOB}"'}))
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        url = await login.url()
        assert OOB == query_of(url)["redirect_uri"]
        shown = await visitor.open(await visitor.decide(url))
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", bare_proxy.admin_port)
        code = re.findall(r'<code id="authorization_code">([^<]+)</code>', shown)[0]
        login.type(f"  {code}\n")
        done = await login.done()
    assert 0 == done.code, done.err
    told_nothing(done, f"x:?code={code}")


@pytest.mark.parametrize(
    ("page", "state"), [("ours", "kept"), ("the vendor's", "kept"), ("the vendor's", "left out"), ("ours", "another")]
)
async def test_readycloud_by_paste(signing: Proxy, vendors: Sandbox, visitor: Person, page: str, state: str) -> None:
    """The final address is pasted, from our callback page or the vendor's; only a wrong state is refused."""
    if page == "the vendor's":
        await Control(vendors, "readycloud").settings(redirect_uri="")
    async with running(signing, "login", "readycloud", "--no-browser", "--paste") as login:
        url = await login.url()
        address = await visitor.decide(url)
        assert ("/callback?" if page == "ours" else "/api/v1/oauth2/auth_code?") in address
        pasted = {
            "kept": address,
            "left out": re.sub(r"\?state=[^#]*", "", address),
            "another": re.sub(r"\?state=[^#]*", "?state=another", address),
        }[state]
        assert (pasted == address) == (state == "kept")
        login.type(pasted + "\n")
        done = await login.done()
    told_nothing(done, address)
    if state == "another":
        assert (1, 1) == (done.code, len(done.err.splitlines()))
        assert "the sign-in is aborted: the state that came back is not the one that was sent" in done.err
        assert 0 == stored(signing, "readycloud")[0]
    else:
        assert (0, f"signed in to readycloud: an access token, a refresh token; {YEAR}") == (
            done.code,
            done.out.splitlines()[-1],
        )


@pytest.mark.parametrize("what", ["address", "address without state", "code"])
async def test_cloud66_by_paste(signing: Proxy, vendors: Sandbox, visitor: Person, what: str) -> None:
    """The final address will do as well as the code in it."""
    async with running(signing, "login", "cloud66", "--no-browser", "--paste") as login:
        address = await visitor.decide(await login.url())
        code = query_of(address)["code"]
        bare = f"{signing.admin_url}/callback?code={code}"
        login.type({"address": address, "address without state": bare, "code": code}[what] + "\n")
        done = await login.done()
    assert 0 == done.code, done.err
    told_nothing(done, address)


@pytest.mark.parametrize(("vendor", "state"), [("readycloud", None), ("readycloud", "another"), ("cloud66", "another")])
async def test_a_state_that_is_not_ours(
    signing: Proxy, vendors: Sandbox, visitor: Person, vendor: str, state: str | None
) -> None:
    """What comes to the callback with a wrong state, or none, aborts the sign-in, and page and command say why."""
    async with running(signing, "login", vendor, "--no-browser") as login:
        address = await visitor.decide(await login.url())
        theirs = f"state={query_of(address)['state']}"
        page = await visitor.come_back(address.replace(theirs, f"state={state}" if state else ""))
        assert 400 == visitor.status
        done = await login.done()
    why = "its state was never given out" if state else "the vendor's answer bears no state"
    assert 1 == done.code
    assert why in page
    assert why in done.err
    told_nothing(done, address)
    assert 0 == stored(signing, vendor)[0]
    assert 0 == (await Control(vendors, "cloud66").state())["exchanges"]


async def test_no_browser_is_opened_unasked(signing: Proxy) -> None:
    """--no-browser prints the address and starts nothing."""
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
    async with running(signing, "login", "readycloud", "--no-browser", env=env) as login:
        assert (await login.url()).startswith("http://localhost:")
        login.process.send_signal(signal.SIGTERM)
        assert 1 == (await login.done()).code
    assert not opened.exists()


async def test_the_browser_of_the_environment(signing: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """$BROWSER is started with the printed address; nothing secret is ever in the arguments of any process."""
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
    with watched_arguments() as arguments:
        async with running(signing, "login", "cloud66", env=env) as login:
            url = await login.url()
            await until(lambda: opened.exists() and bool(opened.read_text()), "a browser that was opened")
            assert url == opened.read_text()
            address = await visitor.decide(url)
            assert "Signed in" in await visitor.come_back(address)
            assert 0 == (await login.done()).code
        async with running(signing, "login", "readycloud", "--paste") as login:
            implicit = await visitor.decide(await login.url())
            login.type(implicit + "\n")
            assert 0 == (await login.done()).code
        assert 0 == (await signing.command("logout", "readycloud")).code
        await signing.bring_tokens("readycloud", fragment_of(implicit))
    secrets = tokens_of(address) | tokens_of(implicit) | {CLIENT_SECRET}
    assert [] == [line for line in arguments.seen for secret in secrets if secret in line]
    assert any("login cloud66" in line for line in arguments.seen), "nothing was watched"


@pytest.mark.parametrize("end", ["callback", "time", signal.SIGINT])
async def test_a_browser_that_stays(
    bare_proxy: Proxy, vendors: Sandbox, visitor: Person, end: str | signal.Signals
) -> None:
    """A browser that is not in the background holds nothing up: the sign-in ends when it is done, late or cancelled."""
    bare_proxy.configure(sandbox_config(vendors, "login_timeout: 1s" if end == "time" else ""))
    await register(vendors, bare_proxy)
    opened = bare_proxy.folder / "opened"
    env = {"BROWSER": script(bare_proxy.folder / "browser", f"echo $$ > {shlex.quote(str(opened))}\nexec sleep 60")}
    async with running(bare_proxy, "login", "cloud66", env=env) as login:
        url = await login.url()
        await until(lambda: opened.exists() and opened.read_text().endswith("\n"), "a browser that was opened")
        try:
            if end == "callback":
                assert "Signed in" in await visitor.come_back(await visitor.decide(url))
            elif end != "time":
                login.process.send_signal(int(end))
            # Its output stays open as long as the browser has it, so `done` would wait for that.
            await until(lambda: login.process.returncode is not None, "the end", 10)
            assert (0 if end == "callback" else 1) == login.process.returncode
        finally:
            os.kill(int(opened.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("arguments", [(), ("--paste",)])
async def test_nobody_signs_in(bare_proxy: Proxy, vendors: Sandbox, arguments: tuple[str, ...]) -> None:
    """After login_timeout it gives up, says so, and has changed nothing."""
    bare_proxy.configure(sandbox_config(vendors, "login_timeout: 1s"))
    await bare_proxy.bring_tokens("readycloud", vendors.grant("readycloud"))
    began = time.monotonic()
    async with running(bare_proxy, "login", "readycloud", "--no-browser", *arguments) as login:
        done = await login.done()
    assert 1 <= time.monotonic() - began < 10
    assert 1 == done.code
    assert done.err.startswith("nobody signed in within 1 s: nothing has changed.")
    assert 1 == stored(bare_proxy, "readycloud")[0]


@pytest.mark.parametrize(
    ("number", "arguments"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--paste",)), (signal.SIGHUP, ())]
)
async def test_login_that_is_cancelled(signing: Proxy, number: signal.Signals, arguments: tuple[str, ...]) -> None:
    """A signal ends it in order: one sentence, exit 1, no port held any more."""
    async with running(signing, "login", "readycloud", "--no-browser", *arguments) as login:
        await login.url()
        login.process.send_signal(number)
        done = await login.done(5)
    assert (1, "cancelled: nothing has changed\n") == (done.code, done.err)
    with socket.create_server(("127.0.0.1", signing.admin_port)):
        pass


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


async def test_client_credentials_need_no_sign_in(bare_proxy: Proxy) -> None:
    """That is said, and nothing is opened."""
    bare_proxy.configure(
        "providers: {acme: {upstream: 'http://localhost:1', token_url: 'http://localhost:1/t', "
        "grant: client_credentials, renew: client_credentials}}\n"
        "credentials: {acme: {provider: acme, client_id: a, client_secret: b}}\n"
    )
    done = await bare_proxy.command("login", "acme")
    assert (0, "") == (done.code, done.err)
    assert "acme needs no sign-in" in done.out


@pytest.mark.parametrize(
    ("command", "form"), [("import", "json"), ("import", "file"), ("login", "form"), ("login", "address")]
)
async def test_tokens_that_the_vendor_shows(signing: Proxy, vendors: Sandbox, command: str, form: str) -> None:
    """OneCloud's are given to `import` or `login` alike, in any form, to `import` as a file too."""
    tokens = vendors.grant("onecloud")
    query = urlencode({key: str(value) for key, value in tokens.items()})
    text = {"form": query, "address": f"https://example.com/done?x=1#{query}"}.get(form, json.dumps(tokens, indent=1))
    if form == "file":
        (signing.folder / "tokens.json").write_text(text)
        done = await signing.command(command, "onecloud", "tokens.json")
    else:
        done = await signing.command(command, "onecloud", stdin=text)
    assert 0 == done.code, done.err
    assert "imported for onecloud: an access token, a refresh token; it expires in 24 h" in done.out
    assert [] == [token for token in tokens.values() if str(token) in done.out + done.err and "-t" in str(token)]
    assert 0 == (await signing.command("refresh", "onecloud")).code


@pytest.mark.parametrize("vendor", ["readycloud", "cloud66"])
async def test_a_running_serve_takes_the_sign_in(
    signing: Proxy, vendors: Sandbox, visitor: Person, vendor: str
) -> None:
    """Where serve holds the callback's port, its page is opened, and `login` ends when that sign-in is done."""
    await signing.start()
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f'printf "%s" "$@" > {shlex.quote(str(opened))}')}
    async with running(signing, "login", vendor, env=env) as login:
        page = await login.url()
        assert f"{signing.admin_url}/login/{vendor}" == page
        await until(lambda: opened.exists() and bool(opened.read_text()), "a browser that was opened")
        assert page == opened.read_text()
        await visitor.press(page, f"/login/{vendor}")
        assert 303 == visitor.status
        assert "Signed in" in await visitor.come_back(await visitor.decide(visitor.location))
        done = await login.done(5)
    assert 0 == done.code, done.err
    assert f"signed in to {vendor}: an access token" in done.out
    assert 200 == await call(signing, vendor)


async def test_a_paste_beside_a_running_serve(signing: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """Where serve holds the port, --paste works as ever, and serve has the tokens within a second."""
    await signing.start()
    async with running(signing, "login", "readycloud", "--no-browser", "--paste") as login:
        login.type(await visitor.decide(await login.url()) + "\n")
        assert 0 == (await login.done()).code
    await _within_a_second(signing, "readycloud", 200)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, read, and never answer."""
    await reader.read()
    writer.close()


FOREIGN = {
    "another server": lambda: web.Response(text="{}", content_type="application/json"),
    "one that says it is ours": lambda: web.Response(
        text="[]", content_type="application/json", headers={"Server": "bearer-proxy"}
    ),
    "an older one of ours": lambda: web.Response(
        text='{"credentials": [{}]}', content_type="application/json", headers={"Server": "bearer-proxy"}
    ),
}


@pytest.mark.parametrize("what", [*FOREIGN, "silent"])
async def test_a_foreign_program_on_the_port(signing: Proxy, what: str) -> None:
    """Whatever it is, that is one clear sentence, and no browser opens before."""
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f"touch {shlex.quote(str(opened))}")}

    async def answer(_: web.Request) -> web.Response:
        return FOREIGN[what]()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    if what == "silent":
        server = await asyncio.start_server(silent, "127.0.0.1", signing.admin_port)
        async with server, running(signing, "login", "cloud66", env=env) as login:
            done = await login.done()
    else:
        async with serving(app, signing.admin_port), running(signing, "login", "cloud66", env=env) as login:
            done = await login.done()
    assert (1, 1) == (done.code, len(done.err.splitlines())), done.err
    assert "sign in with --paste" in done.err
    assert f"127.0.0.1:{signing.admin_port}" in done.err
    assert "" == done.out
    assert not opened.exists()


@pytest.mark.parametrize("other", ["another store", "an older configuration"])
async def test_a_serve_of_another_configuration(
    signing: Proxy, vendors: Sandbox, other: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A serve that would not store the sign-in where this command looks: a clear sentence, and no browser opens."""
    text = sandbox_config(vendors)
    expected = "it is no bearer-proxy on this store. Or sign in with --paste"
    if other == "an older configuration":
        text = re.sub(r"\bcloud66: \{provider", "before: {provider", text).replace("al: cloud66", "al: before")
        text += f'store: "sqlite:{signing.folder / "tokens.db"}"\n'
        expected = "does not know cloud66 yet: restart it, or sign in with --paste"
    stranger = Proxy(tmp_path_factory.mktemp("other"), admin_port=signing.admin_port)
    stranger.configure(text)
    opened = signing.folder / "opened"
    env = {"BROWSER": script(signing.folder / "browser", f"touch {shlex.quote(str(opened))}")}
    try:
        await stranger.start()
        async with running(signing, "login", "cloud66", env=env) as login:
            done = await login.done()
    finally:
        assert 0 == await stranger.stop()
    assert (1, 1) == (done.code, len(done.err.splitlines())), done.err
    assert expected in done.err
    assert not opened.exists()


async def _within_a_second(proxy: Proxy, name: str, expected: int) -> None:
    """A request through the running proxy gets that answer, within a second from now."""
    end = time.monotonic() + 1
    found = 0
    while time.monotonic() < end:
        found = await call(proxy, name)
        if found == expected:
            return
        await asyncio.sleep(0.02)
    assert expected == found, "a second was not enough"


@pytest.mark.parametrize("vendor", ["readycloud", "onecloud"])
async def test_what_other_processes_store(signing: Proxy, vendors: Sandbox, visitor: Person, vendor: str) -> None:
    """A running serve has the tokens of `login` and `import` within a second, and forgets them as fast."""
    await signing.start()
    assert 503 == await call(signing, vendor)
    if vendor == "readycloud":
        async with running(signing, "login", vendor, "--no-browser", "--paste") as login:
            login.type(await visitor.decide(await login.url()) + "\n")
            assert 0 == (await login.done()).code
    else:
        assert 0 == (await signing.command("login", vendor, stdin=json.dumps(vendors.grant(vendor)))).code
    await _within_a_second(signing, vendor, 200)
    assert 0 == (await signing.command("logout", vendor)).code
    await _within_a_second(signing, vendor, 503)
    await signing.bring_tokens(vendor, vendors.grant(vendor))
    await _within_a_second(signing, vendor, 200)


async def _failing(proxy: Proxy, vendor: str, paste: str, *, decision: str = "allow", wait: float = 0) -> str:
    """Sign in by --paste, and fail; give the sentence. `paste` may name `{address}` and `{code}`."""
    async with person() as visitor, running(proxy, "login", vendor, "--no-browser", "--paste") as login:
        address = await visitor.decide(await login.url(), decision)
        if wait:
            await asyncio.sleep(wait)  # for a code that has a lifetime at the vendor
        login.type(paste.format(address=address, code=query_of(address).get("code")) + "\n")
        done = await login.done()
    assert (1, 1) == (done.code, len(done.err.splitlines())), done.err
    assert "Traceback" not in done.err
    for token in tokens_of(address):
        assert token not in done.out + done.err
    return done.err


async def test_every_failure_has_its_own_sentence(signing: Proxy, vendors: Sandbox) -> None:
    """What was pasted wrongly, expired, spent, denied or refused is told apart, with what to do; nothing is stored."""
    control = Control(vendors, "cloud66")
    sentences = {
        "nothing": await _failing(signing, "cloud66", ""),
        "words": await _failing(signing, "readycloud", "hello world"),
        "denied": await _failing(signing, "cloud66", "{address}", decision="deny"),
        "state": await _failing(signing, "cloud66", "{address}x"),
    }
    await control.settings(code_lifetime=0.01)
    sentences["expired code"] = await _failing(signing, "cloud66", "{address}", wait=0.02)
    await control.settings(code_lifetime=600)
    path = signing.folder / "config.yaml"
    path.write_text(path.read_text().replace(CLIENT_SECRET, "wrong-secret"))
    sentences["client"] = await _failing(signing, "cloud66", "{address}")
    path.write_text(path.read_text().replace("wrong-secret", CLIENT_SECRET))
    await control.fault(on="token", fault="fail", status=400, body={"error": "invalid_scope"})
    sentences["request"] = await _failing(signing, "cloud66", "{address}")
    path.write_text(path.read_text().replace(vendors.url("cloud66") + "/oauth", f"http://127.0.0.1:{free_port()}"))
    sentences["gone"] = await _failing(signing, "cloud66", "{address}")
    assert len(sentences) == len(set(sentences.values())), sentences
    said = {
        "nothing": "nothing was given: paste",
        "words": "there is no access_token in it: paste the whole answer or the whole address",
        "denied": "consent was denied at the vendor: nothing has changed; sign in again to consent",
        "expired code": "a code works once and only for minutes; sign in again",
        "state": "the state that came back is not the one that was sent",
        "client": "check client_id and client_secret",
        "request": "check redirect_uri, token_url and token_request",
        "gone": "the token endpoint refuses connections; sign in again",
    }
    assert {} == {key: (text, sentences[key]) for key, text in said.items() if text not in sentences[key]}
    assert (0, 0) == (stored(signing, "readycloud")[0], stored(signing, "cloud66")[0])


async def test_a_client_that_the_vendor_does_not_know(bare_proxy: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """Its page says so and leads nowhere; when the time is over, `login` says where to look."""
    text = sandbox_config(vendors, "login_timeout: 1s").replace("client_id: sandbox-app", "client_id: another-app")
    bare_proxy.configure(text)
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        page = await visitor.open(await login.url())
        assert (401, True) == (visitor.status, "There is no application 'another-app'" in page)
        done = await login.done()
    assert 1 == done.code
    assert "If the vendor's page refused the client, check client_id, and the redirect" in done.err


async def test_what_is_lacking(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """A sign-in that cannot work is not begun: exit 2, and the keys that are missing."""
    bare_proxy.configure(sandbox_config(vendors).replace(", client_secret: sandbox-secret", ""))
    done = await bare_proxy.command("login", "cloud66", "--no-browser")
    assert (2, "") == (done.code, done.out)
    assert "credentials.cloud66: to sign in, set client_secret" in done.err


@pytest.mark.parametrize("arguments", [("import",), ("login", "--paste", "--no-browser")])
async def test_an_input_without_end(signing: Proxy, arguments: tuple[str, ...]) -> None:
    """What is longer than any token is refused, and not cut to what would be one."""
    done = await signing.command(*arguments, "readycloud", stdin="a" * (3 << 20))
    assert 1 == done.code
    assert "this is longer than 1048576 characters, and so no token" in done.err
    assert 0 == stored(signing, "readycloud")[0]


@pytest.mark.parametrize("arguments", [("import",), ("login", "--paste", "--no-browser")])
async def test_no_standard_input_at_all(signing: Proxy, arguments: tuple[str, ...]) -> None:
    """As some supervisors start programs: the same sentence as for an empty one."""
    command = shlex.join([sys.executable, "-m", "proxy", *arguments, "readycloud"])
    process = await asyncio.create_subprocess_shell(
        f"exec {command} <&-", cwd=signing.folder, env=environment(), stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (1, True) == (process.returncode, err.startswith(b"nothing was given: paste")), err
