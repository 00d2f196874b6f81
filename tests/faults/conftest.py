"""A proxy with tokens in force, at which sign-ins are cut short."""

from __future__ import annotations

import pytest

from proxy.sandbox import Sandbox
from tests.support.person import Person
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import call, register


@pytest.fixture
async def signing(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A proxy that does not run, with tokens for Cloud 66, its callback registered at the vendors."""
    bare_proxy.configure(sandbox_config(vendors))
    await register(vendors, bare_proxy)
    await bare_proxy.bring_tokens("cloud66", vendors.grant("cloud66"))
    return bare_proxy


async def works(proxy: Proxy, name: str) -> bool:
    """Whether the vendor takes the token that is in force, through a proxy that is started for that."""
    if proxy.process is None:
        await proxy.start()
    return await call(proxy, name) == 200


async def begun(proxy: Proxy, visitor: Person, name: str) -> str:
    """Begin on the page of the running proxy, consent, and give the address that leads back."""
    await visitor.press(f"{proxy.admin_url}/login/{name}", f"/login/{name}")
    return await visitor.decide(visitor.location)
