"""Every path of the corpus to real servers of many kinds: what arrives lies where it may, all else we refuse (D3)."""

from __future__ import annotations

from itertools import product

import pytest

from tests.e2e.confinement.conftest import COUNTING, ROUTES, SERVERS, Site
from tests.e2e.confinement.grammar import corpus
from tests.e2e.confinement.judging import counted, request, strays, without_gaps

pytestmark = pytest.mark.asyncio(loop_scope="module")

CORPUS = corpus()


@pytest.mark.parametrize(
    ("server", "route"), [*product(SERVERS, ["based", "whole"]), *product(["wsgi"], ["org", "above", "read"])]
)
async def test_paths(site: Site, server: str, route: str) -> None:
    """None gets out of its route; many arrive, and many are refused."""
    start, base = site.start_of(server, route), ROUTES[route][1]
    async with site.caller() as caller:
        outcomes = await caller.ask([request(start + target) for target in CORPUS])
    assert {} == strays(CORPUS, outcomes, base)
    assert server not in COUNTING or without_gaps(outcomes)
    assert route != "read" or {"", "GET"} == {one.method for one in outcomes}
    counts = counted(outcomes)
    assert counts["refused"] > 200
    assert counts["arrived"] > 70
