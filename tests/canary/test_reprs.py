"""No object of a running proxy shows a secret to whoever prints it: all are looked at while there is work."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import aiohttp
import pytest
from cryptography.fernet import Fernet

from .conftest import REJECTED, Inside, Run, reply

SEEN_AT_LEAST = {
    "Admission",
    "Claim",
    "ClientConfig",
    "Config",
    "Connection",
    "ControlPlane",
    "CredentialConfig",
    "CredentialCore",
    "DataPlane",
    "Forwarder",
    "Keeper",
    "Lookup",
    "Memo",
    "_Plan",
    "KeyHash",
    "Outbound",
    "Place",
    "Record",
    "Request",
    "Secret",
    "Response",
    "SignIn",
    "Store",
    "Attempt",
    "Turn",
    "Upstream",
}


def ours() -> Iterator[object]:
    """Give every living object of a class of ours."""
    for one in gc.get_objects():
        module = str(type(one).__module__)
        if module.startswith("proxy.") and not module.startswith("proxy.sandbox"):
            yield one


def shown(one: object) -> str:
    """Give all that printing an object shows."""
    return f"{one!r} {one!s}"


async def at_work(proxy: Inside) -> list[asyncio.Task[str]]:
    """Have requests, an exchange, a sign-in under way that bear all kinds of secrets."""
    secret, key = proxy.canaries["query"], proxy.canaries["client-key"]
    fields = (f"Cookie: session={proxy.canaries['cookie']}", f"X-Secret: {proxy.canaries['field']}")
    proxy.vendor.answers = {
        "/api": reply("200 Fine", f"Set-Cookie: a={proxy.canaries['set-cookie']}", "Content-Length: 2", body="ok"),
        "/rejected": REJECTED,
        "/token": b"",
        "/stalls": b"",
        "/half": f"HTTP/1.1 200 Fine\r\nSet-Cookie: a={proxy.canaries['set-cookie']}\r\n\r\nhalf".encode(),
    }
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for path in ("/t/api", f"/t/api?a={secret}") * 2:  # kept alive, so that heads are remembered
            async with session.get(f"http://127.0.0.1:{proxy.port}{path}") as answer:
                await answer.read()
    page = await proxy.ask("GET /login/t")
    cookie = page.partition("Set-Cookie: ")[2].partition(";")[0]
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    begun = await proxy.ask("POST /login/t", f"Cookie: {cookie}", FORM, body=f"csrf_token={token}")
    assert begun.startswith("HTTP/1.1 303")
    proxy.canaries.add("session", cookie.partition("=")[2])
    proxy.canaries.add("state", begun.partition("state=")[2].partition("&")[0].split("\r")[0])
    asked = len(proxy.vendor.heads)
    calls = [
        proxy.call(f"GET /t/half?a={secret}", *fields),
        proxy.call(f"GET /t/stalls?a={secret}&access_token={key}", *fields),
        proxy.call(f"GET /t/rejected?a={secret}", f"Authorization: Bearer {key}", *fields),
        proxy.call(f"POST /t/stalls?a={secret}", f"Authorization: Bearer {key}", *fields, body=proxy.canaries["body"]),
    ]
    tasks = [asyncio.create_task(one) for one in calls]
    await proxy.vendor.asked(asked + 5)
    return tasks


OF_ASYNCIO = (asyncio.Future, asyncio.Handle, asyncio.BaseTransport)
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize("debug", [False, True], ids=["as ever", "asyncio debug"])
async def test_all_objects(run: Run, canaries, debug):
    """Nothing of ours that lives shows one, and no task, handle or generator that asyncio would name."""
    loop = asyncio.get_running_loop()
    loop.set_debug(debug)
    store_key = Fernet.generate_key().decode()
    canaries.add("store-key", store_key)
    async with run(store_key=store_key, shutdown_timeout="1s", exchange_timeout="2s") as proxy:
        tasks = await at_work(proxy)
        gc.collect()
        living = [*ours(), *asyncio.all_tasks()]
        living += [one for one in gc.get_objects() if issubclass(type(one), OF_ASYNCIO)]
        kinds = {type(one).__name__ for one in living}
        leaks = {f"{type(one).__name__}: {found}" for one in living for found in canaries.found(shown(one))}
        proxy.vendor.release()
        await asyncio.gather(*tasks)
    loop.set_debug(False)
    assert [] == sorted(leaks)
    assert set() == SEEN_AT_LEAST - kinds
