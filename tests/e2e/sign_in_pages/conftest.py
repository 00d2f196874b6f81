"""A proxy whose pages all tests of a module share, and somebody with a browser to whom nothing secret is shown."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proxy.sandbox import CLIENT_SECRET
from tests.support.person import Person, person
from tests.support.site import Site, site

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
