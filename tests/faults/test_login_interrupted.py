"""`login` that is cut short - by a signal, by kill -9, by the vendor - leaves the old tokens in force, whole."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.beside import running
from tests.support.person import person
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import register, stored
from tests.support.vendor import Control

from .conftest import works

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize("number", SIGNALS)
async def test_login_before_consent(signing: Proxy, number: signal.Signals) -> None:
    """Nothing was stored, and the callback's port is free again."""
    before = stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login:
        await login.url()
        login.process.send_signal(number)
        assert 0 != (await login.done(5)).code
    assert before == stored(signing, "cloud66")
    assert await works(signing, "cloud66")


@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGINT, "after"), (signal.SIGTERM, "before"), (signal.SIGKILL, "before"), (signal.SIGKILL, "after")],
)
async def test_login_while_the_code_is_exchanged(
    signing: Proxy, vendors: Sandbox, number: signal.Signals, when: str
) -> None:
    """Killed, the old tokens stand; asked to end, it waits for the vendor's answer and keeps what that brings."""
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when=when)
    before = stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login, person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await visitor.decide(await login.url())))
        await control.wait("stalled", 1)
        login.process.send_signal(number)
        if number is signal.SIGKILL:
            assert -number == (await login.done(5)).code
            await control.release()
            with pytest.raises(aiohttp.ClientError):
                await arriving
            assert before == stored(signing, "cloud66")
        else:
            await control.release()
            assert 0 == (await login.done(5)).code, login.err
            assert "Signed in" in await arriving
            assert before[0] + 1 == stored(signing, "cloud66")[0]
    assert await works(signing, "cloud66")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_login_while_the_vendor_never_answers(
    bare_proxy: Proxy, vendors: Sandbox, number: signal.Signals
) -> None:
    """Asked to end, it waits no longer than exchange_timeout, and has changed nothing."""
    bare_proxy.configure(sandbox_config(vendors, "exchange_timeout: 500ms"))
    await register(vendors, bare_proxy)
    await bare_proxy.bring_tokens("cloud66", vendors.grant("cloud66"))
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="before")
    before = stored(bare_proxy, "cloud66")
    async with running(bare_proxy, "login", "cloud66", "--no-browser", "--paste") as login, person() as visitor:
        login.type(await visitor.decide(await login.url()) + "\n")
        await control.wait("stalled", 1)
        login.process.send_signal(number)
        done = await login.done(5)
    assert (1, 1) == (done.code, len(done.err.splitlines()))
    assert "the token endpoint did not answer in 0.5 s" in done.err
    assert before == stored(bare_proxy, "cloud66")


@pytest.mark.parametrize(
    ("fault", "when"), [("drop", "before"), ("truncate", "after"), ("garbage", "after"), ("fail", "before")]
)
async def test_an_answer_that_is_lost(signing: Proxy, vendors: Sandbox, fault: str, when: str) -> None:
    """Page and command say what happened; the old tokens stay in force, and another sign-in works."""
    await Control(vendors, "cloud66").fault(on="token", fault=fault, when=when)
    before = stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login, person() as visitor:
        address = await visitor.decide(await login.url())
        page = await visitor.come_back(address)
        done = await login.done()
    assert (1, 400, 1) == (done.code, visitor.status, len(done.err.splitlines()))
    assert done.err.strip() in page
    assert "the code could not be exchanged: " in done.err
    assert "sign in again" in done.err
    assert before == stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login, person() as visitor:
        assert "Signed in" in await visitor.come_back(await visitor.decide(await login.url()))
        assert 0 == (await login.done()).code
    assert before[0] + 1 == stored(signing, "cloud66")[0]
