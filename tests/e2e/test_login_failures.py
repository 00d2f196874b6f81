"""`login` that comes to nothing: late, cancelled, refused, or not to be begun; each has its own sentence."""

from __future__ import annotations

import asyncio
import signal
import socket
import time

import pytest

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.support.beside import running
from tests.support.person import Person, person, query_of, tokens_of
from tests.support.processes import Proxy, free_port, sandbox_config
from tests.support.site import stored
from tests.support.vendor import Control


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
    text = sandbox_config(vendors, "login_timeout: 200ms").replace("client_id: sandbox-app", "client_id: another-app")
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
