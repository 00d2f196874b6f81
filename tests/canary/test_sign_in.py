"""No secret of a sign-in gets out: not by log, terminal, page, address or process list, whatever goes well or wrong."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from proxy.sandbox import CLIENT_SECRET, Sandbox
from tests.support.beside import running, watched_arguments
from tests.support.person import person, query_of, tokens_of
from tests.support.processes import Proxy, sandbox_config
from tests.support.servers import between
from tests.support.site import register
from tests.support.vendor import Control

KEY = "canary-admin-key"
ECHO = "canary-echo"


async def test_a_life_of_sign_ins(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Done, denied, refused, garbled, pasted, stolen: no token, code, verifier, secret or key in anything we write."""
    target = f"{vendors.url('cloud66')}/oauth/token"
    control = Control(vendors, "cloud66")
    secrets = {CLIENT_SECRET, KEY, ECHO}
    written: list[str] = []
    async with (
        between(target) as stands,
        person(headers={"Authorization": f"Bearer {KEY}"}) as visitor,
        person() as bare,
    ):
        bare_proxy.configure(sandbox_config(vendors, f"log_level: debug\nadmin_key: {KEY}").replace(target, stands.url))
        await register(vendors, bare_proxy)

        async def consented(url: str, decision: str = "allow") -> str:
            address = await bare.decide(url, decision)
            secrets.update(tokens_of(address))
            return address

        async def by_command(name: str, *arguments: str, decision: str = "allow", paste: str = "") -> None:
            env = {"PYTHONASYNCIODEBUG": "1"}
            async with running(bare_proxy, "login", name, "--no-browser", *arguments, env=env) as login:
                url = await login.url()
                written.append(url)
                address = await consented(url, decision)
                if "--paste" in arguments:
                    login.type((paste or address) + "\n")
                else:
                    await visitor.come_back(address)
                done = await login.done()
            written.append(done.out + done.err)

        async def by_page(name: str, decision: str = "allow") -> None:
            await visitor.press(f"{bare_proxy.admin_url}/login/{name}", f"/login/{name}")
            address = await consented(visitor.location, decision)
            await bare.come_back(address)  # a stranger
            await visitor.come_back(address)
            await visitor.come_back(address)  # again

        async def with_faults() -> None:
            echo = {"error": f"odd {ECHO}", "error_description": f"no such code {ECHO}", "access_token": f"a b {ECHO}"}
            await control.fault(on="token", fault="fail", when="after", status=400, body=echo)
            await by_page("cloud66")
            await control.fault(on="token", fault="garbage", body=f'{{"access_token": "a b {ECHO}"}}')
            await by_page("cloud66")
            await control.fault(on="token", fault="drop", when="after")
            await by_page("cloud66")

        with watched_arguments() as arguments:
            for name in ("readycloud", "cloud66"):
                await by_command(name)
                await by_command(name, decision="deny")
                await by_command(name, "--paste")
            await by_command("cloud66", "--paste", paste=f"https://x.test/?code={ECHO}&state={ECHO}")
            await by_command("readycloud", "--paste", paste=f"hello {ECHO}")
            await control.fault(on="token", fault="fail", when="after", status=401, body={"error": ECHO})
            await by_command("cloud66")
            await bare_proxy.start()
            for name in ("readycloud", "cloud66"):
                await by_page(name)
                await by_page(name, "deny")
            await with_faults()
            for what in (("status", "--json"), ("doctor",), ("check",)):
                done = await bare_proxy.command(*what)
                written.append(done.out + done.err)
        secrets.update(sent["code_verifier"] for sent in stands.forms)
    assert 0 == await bare_proxy.stop()
    assert len(stands.forms) >= 7
    assert len(secrets) > 25
    pages = [part for part in re.split(r"\n(?=\d{3} \{)", visitor.seen) if "bearer-proxy" in part]
    assert len(pages) > 15
    everything = "\n".join([*written, bare_proxy.log, *pages, json.dumps(sorted(arguments.seen))])
    assert "Traceback" not in everything
    addresses = [query_of(line) for line in written if line.startswith("http")]
    assert all(address.get("state") for address in addresses)
    assert [] == [secret for secret in secrets if secret in everything]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /callback?access_token=CANARY&\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /callback HTTP/1.1\r\nHost: localhost\r\nCookie: CANARY\x00\r\n\r\n",
        b"GET /callback?state=CANARY" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CANARY \r\n\r\n",
    ],
    ids=["control byte", "NUL", "too long", "no HTTP"],
)
async def test_what_cannot_be_parsed(signing: Proxy, request_: bytes) -> None:
    """Neither the answer nor the terminal repeats it, and the sign-in goes on."""
    async with running(signing, "login", "cloud66", "--no-browser") as login:
        await login.url()
        reader, writer = await asyncio.open_connection("127.0.0.1", signing.admin_port)
        writer.write(request_)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert b"CANARY" not in answer
        assert login.process.returncode is None
        login.process.terminate()
        done = await login.done()
    assert "CANARY" not in done.out + done.err
    assert "Traceback" not in done.err
