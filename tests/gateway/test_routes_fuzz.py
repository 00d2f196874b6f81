"""Whatever a target is, it is refused or stays within its route, as far as any server may read it (D3)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.config import ORG_PK, Address, CredentialConfig, Provider, RouteConfig, Upstream
from proxy.errors import CallerError
from proxy.gateway.routes import MAIN, Place, RouteTable, make_route
from tests.e2e.confinement.grammar import CLOSED, corpus
from tests.e2e.confinement.readings import escapes, readings
from tests.e2e.confinement.strategies import beginnings, many, paths, queries, some

ORIGIN = "https://api.acme.example"
ORG = "7kQ2f"
OWN = Address("127.0.0.1", 8066)
PROVIDER = Provider(
    upstream=ORIGIN,
    authorize_url=f"{ORIGIN}/oauth/authorize",
    token_url=f"{ORIGIN}/token",
    oauth_paths=["/api/v1/oauth2"],
    orgs_path="/api/v2/orgs/",
)
LIMITED = frozenset({"GET", "HEAD"})
CONFIGS = (
    RouteConfig("based", "acme", Upstream.parse(f"{ORIGIN}/api/v2/orgs/XXX"), "/based"),
    RouteConfig("whole", "acme", Upstream.parse(ORIGIN), "/whole"),
    RouteConfig("above", "acme", Upstream.parse(f"{ORIGIN}/api"), "/above"),
    RouteConfig("org", "acme", Upstream.parse(f"{ORIGIN}/api/v2/orgs/{ORG_PK}/orders"), "/org"),
    RouteConfig("deep", "acme", Upstream.parse(f"{ORIGIN}/deep/er"), "/whole/api/v2"),
    RouteConfig("read", "acme", Upstream.parse(f"{ORIGIN}/api/v2"), "/read", methods=LIMITED),
    RouteConfig("host", "acme", Upstream.parse(ORIGIN), host="h"),
    RouteConfig("host-based", "acme", Upstream.parse(f"{ORIGIN}/b"), "/b", host="h"),
    RouteConfig("own", "acme", Upstream.parse(f"{ORIGIN}/api/v2/orgs/XXX"), listen=(OWN,)),
)
ALL = [make_route(config, CredentialConfig("acme", PROVIDER)) for config in CONFIGS]
TABLE = RouteTable(ALL)
BASES = {config.name: (config.upstream or Upstream.parse(ORIGIN)).base.replace(ORG_PK, ORG) for config in CONFIGS}
# How a request can come in: the listener, the Host field, and how its path begins.
WAYS = [(MAIN, "localhost", f"/{name}") for name in ("based", "whole", "above", "org", "read")]
WAYS += [(MAIN, "localhost", "/whole/api/v2"), (MAIN, "h", ""), (MAIN, "h", "/b"), (str(OWN), "localhost", "")]


def placed(way: tuple[str, str, str], target: str, beginning: str = "", table: RouteTable = TABLE) -> Place | None:
    """Where a request goes, None where it is refused."""
    listener, host, start = way
    try:
        return table.place("GET", beginning + start + target, host, listener)
    except CallerError:
        return None


def onward(place: Place) -> tuple[str, str]:
    """The path and the query that the upstream gets."""
    text = place.target if place.after_org is None else place.target + ORG + place.after_org
    path, mark, query = text.partition("?")
    return path, mark + query


def escaped(place: Place) -> list[str]:
    """The paths outside its scope that some server may take it for."""
    return escapes(readings(onward(place)[0]), BASES[place.route.name], CLOSED)


@pytest.mark.parametrize("way", WAYS)
def test_corpus(way: tuple[str, str, str]) -> None:
    """No path of it leaves any route; many are refused, and many pass."""
    outcomes: Counter[bool] = Counter()
    found = {}
    for target in corpus():
        place = placed(way, target)
        outcomes[place is not None] += 1
        if place is not None and escaped(place):
            found[target] = escaped(place)
    assert {} == found
    assert outcomes[False] > 200
    assert outcomes[True] > 70


@many
@given(way=st.sampled_from(WAYS), beginning=beginnings, path=paths, query=queries)
@example(way=(MAIN, "h", ""), beginning="", path="/api;%2fx/v1/oauth2/token/", query="")
@example(way=(MAIN, "h", ""), beginning="", path="/api;\\x/v1/oauth2/token/", query="")
@example(way=(MAIN, "h", ""), beginning="", path="/api%3b%5cx/v1/oauth2", query="")
@example(way=(MAIN, "h", ""), beginning="", path="//x/api/v1/oauth2/token/", query="")
@example(way=(MAIN, "h", ""), beginning="", path="/token%00x", query="")
@example(way=(MAIN, "h", ""), beginning="", path="/token%3fx", query="")
@example(way=(MAIN, "localhost", "/based"), beginning="", path="/..%00x", query="")
@example(way=(MAIN, "localhost", "/based"), beginning="", path="/..%23x", query="")
def test_any_target(way: tuple[str, str, str], beginning: str, path: str, query: str) -> None:
    """It is refused, or every reading of what goes on lies within its route; and what goes on is how it came."""
    place = placed(way, path + query, beginning)
    if place is None:
        return
    assert [] == escaped(place)
    assert ORIGIN == place.upstream.origin
    sent = (beginning + way[2] + path + query).partition("?")[0]
    after = onward(place)[0].removeprefix(BASES[place.route.name])
    after = after if place.after_org is None else place.after_org.partition("?")[0].removeprefix("/orders")
    assert sent.endswith(after) or (after == "/" and not path.startswith("/"))


@many
@given(text=st.text(max_size=40), host=st.text(max_size=12), listener=st.sampled_from([MAIN, str(OWN)]))
def test_any_text(text: str, host: str, listener: str) -> None:
    """It is refused with an error of the caller's, or stays within its route."""
    try:
        place = TABLE.place("GET", text, host, listener)
    except CallerError:
        return
    assert [] == escaped(place)


@some
@given(start=st.sampled_from([way[2] for way in WAYS]), path=paths)
def test_table_that_has_seen_a_path(start: str, path: str) -> None:
    """It takes the path as a new one does, whichever listener and host it has seen it on before."""
    ways = [(listener, host, start) for listener, host in ((MAIN, "h"), (MAIN, "localhost"), (str(OWN), "h"))]
    warm = RouteTable(ALL)
    for way in (*ways, *reversed(ways)):
        assert placed(way, path, table=RouteTable(ALL)) == placed(way, path, table=warm)
