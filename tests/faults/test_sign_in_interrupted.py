"""Sign-ins on the pages of a serve that ends, is killed, or loses the browser, leave whole tokens in force."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.person import person
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import stored
from tests.support.vendor import Control

from .conftest import begun, works


@pytest.mark.parametrize(("number", "stays"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
async def test_serve_that_ends_while_the_code_is_exchanged(
    signing: Proxy, vendors: Sandbox, number: signal.Signals, stays: bool
) -> None:
    """It waits for the vendor's answer, for longer than for browsers, and what that brings is stored."""
    if not stays:
        signing.configure(sandbox_config(vendors, "shutdown_timeout: 100ms"))
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await begun(signing, visitor, "cloud66")))
        await control.wait("stalled", 1)
        if not stays:
            arriving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await arriving
        assert signing.process is not None
        signing.process.send_signal(number)
        async with asyncio.timeout(10):
            while "stopping" not in signing.log:
                await asyncio.sleep(0.01)
        ended = asyncio.create_task(signing.stop())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), 0.3)  # it does not end meanwhile
        await control.release()
        assert 0 == await ended
        if stays:
            assert "Signed in" in await arriving
    assert before[0] + 1 == stored(signing, "cloud66")[0]
    assert await works(signing, "cloud66")


async def test_serve_that_is_killed_while_the_code_is_exchanged(signing: Proxy, vendors: Sandbox) -> None:
    """The old tokens stand, and the credential is not in doubt: no refresh token was sent."""
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await begun(signing, visitor, "cloud66")))
        await control.wait("stalled", 1)
        await signing.kill()
        with pytest.raises(aiohttp.ClientError):
            await arriving
    await control.release()
    assert before == stored(signing, "cloud66")
    assert await works(signing, "cloud66")
    assert "ok" == (await signing.credential("cloud66"))["state"]


async def test_a_browser_that_goes_away_while_the_code_is_exchanged(signing: Proxy, vendors: Sandbox) -> None:
    """The sign-in belongs to the proxy: it is completed and stored all the same."""
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await begun(signing, visitor, "cloud66")))
        await control.wait("stalled", 1)
        arriving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await arriving
    await control.release()
    async with asyncio.timeout(10):
        while stored(signing, "cloud66")[0] == before[0]:
            await asyncio.sleep(0.02)
    assert await works(signing, "cloud66")
