"""A path told in other ways than by the path: none of them leads out of a route, nor to another server (D3, D4)."""

from __future__ import annotations

from collections import Counter
from itertools import product
from urllib.parse import urlsplit

import pytest

from tests.e2e.confinement.caller import Outcome
from tests.e2e.confinement.conftest import BASE, Site
from tests.e2e.confinement.grammar import climbs, corpus, disguises, harmless
from tests.e2e.confinement.judging import counted, request, strays, without_gaps
from tests.e2e.confinement.servers import METHOD_FIELDS, PATH_FIELDS
from tests.e2e.conftest import listening, port_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLE = [*climbs()[::9], *disguises()[::9], *harmless()[::4]]
ELSEWHERE = ("/token", "/api/v1/oauth2/token/", "//x/token", "http://localhost/token", "../../token")
AUTHORITIES = (
    *("localhost", "LOCALHOST:80", "evil.example", "evil.example:{port}", "127.0.0.1:{port}", "[::1]:{port}", "h."),
    *("wsgi.internal", "WSGI.internal.:1", "files.internal", "xwsgi.internal", "wsgi.internal.evil.example"),
    *("", ":{port}", "user@localhost", "localhost@127.0.0.1:{port}", "localhost:80@127.0.0.1:{port}", "a:b:c", "[::1"),
    *("localhost\\@127.0.0.1:{port}", "localhost%2f..", "localhost%00", "%6cocalhost", "0", "0x7f000001:{port}", "a;b"),
    *("localhost,127.0.0.1:{port}", "localhost:65536", "localhost:-1", "localhost:+80", "localhost:8x", "\xff"),
)
SCHEMES = (
    *("http://", "https://", "HTTP://", "hTtPs://", "ws://", "ftp://", "file://", "javascript:"),
    *("http:/", "http:///", "//", "\\\\"),
)
LIKE_A_REQUEST = b"GET /token HTTP/1.1\r\nHost: localhost\r\n\r\n"


def spellings(name: str) -> list[str]:
    """A field's name as CGI and its like take it for the same."""
    return [name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "_", 1).lower()]


def port_in(url: str) -> int:
    """The port of an origin."""
    return urlsplit(url).port or 0


@pytest.mark.parametrize("field", PATH_FIELDS)
async def test_path_in_a_field(site: Site, field: str) -> None:
    """It does not reach a server that would heed it, however the field is written and however often."""
    pairs = [f"{name}: {path}" for name, path in product(spellings(field), ELSEWHERE)]
    raws = [request("/wsgi/based/x", pair) for pair in pairs]
    raws += [request("/wsgi/based/x", pair, pair, f"{field}: /x", f"Connection: {field}") for pair in pairs]
    async with site.caller() as caller:
        outcomes = await caller.ask(raws)
    assert {(200, (f"{BASE}/x",))} == {(one.status, one.paths) for one in outcomes}


@pytest.mark.parametrize("field", PATH_FIELDS)
async def test_server_that_heeds_a_path_in_a_field(site: Site, field: str) -> None:
    """It goes astray when nobody stands before it: the test before this one has something to find."""
    async with site.caller(port_in(site.origins["wsgi"])) as caller:
        (one,) = await caller.ask([request("/x", f"{field.replace('-', '_')}: /token")])
    assert "/token" in one.paths


@pytest.mark.parametrize("field", METHOD_FIELDS)
async def test_method_in_a_field(site: Site, field: str) -> None:
    """It does not reach a server by a route that has its methods limited."""
    raws = [request("/wsgi/read/x", f"{name}: DELETE") for name in spellings(field)]
    async with site.caller() as caller:
        outcomes = await caller.ask(raws)
        refused = await caller.ask([request("/wsgi/read/x", f"{field}: GET", method="DELETE")])
    assert {"GET"} == {one.method for one in outcomes}
    assert [405] == [one.status for one in refused]


@pytest.mark.parametrize("name", ["_method", "%5Fmethod", "+_method", "_%6dethod%20"])
@pytest.mark.parametrize(
    "query", ["?{}=DELETE", "?a&{}=DELETE", "?a;{}=DELETE", "?{}=PUT&{}=DELETE;{}=PUT", "??{}=1&{}=PUT"]
)
async def test_method_in_the_query(site: Site, name: str, query: str) -> None:
    """It does not reach a server by a route that has its methods limited; where they are not, it does."""
    text = query.replace("{}", name)
    async with site.caller() as caller:
        limited, free = await caller.ask([request("/wsgi/read/x" + text), request("/wsgi/based/x" + text)])
    assert ("GET", True) == (limited.method, free.method in ("DELETE", "PUT"))


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_absolute_form(site: Site, scheme: str) -> None:
    """Its authority chooses a route at most: nothing leaves its route, and nobody else is called."""
    with listening() as elsewhere:
        hosts = [authority.format(port=port_of(elsewhere)) for authority in AUTHORITIES]
        targets = [f"{scheme}{host}/wsgi/based{path}" for host, path in product(hosts, SAMPLE[::6])]
        async with site.caller() as caller:
            outcomes = await caller.ask([request(target) for target in targets])
        assert {} == strays(targets, outcomes, BASE)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    assert counted(outcomes)["refused"] > 50
    assert (counted(outcomes)["arrived"] > 50) is (scheme.lower() in ("http://", "https://"))


async def test_host(site: Site) -> None:
    """It chooses a route at most, whatever it says, and however often."""
    with listening() as elsewhere:
        hosts = [authority.format(port=port_of(elsewhere)) for authority in AUTHORITIES]
        hosts += [
            f"{host}{more}" for host in ("localhost", "wsgi.internal") for more in ("/..", "/token", "?a", "#", " x")
        ]
        heads = [f"GET /wsgi/based/x HTTP/1.1\r\nHost: {host}\r\n" for host in hosts]
        heads += [f"{head}Host: {host}\r\n" for head, host in zip(heads, hosts[1:], strict=False)]
        heads += [f"{head}X-Forwarded-Host: {host}\r\n" for head, host in zip(heads, hosts, strict=False)]
        async with site.caller() as caller:
            outcomes = await caller.ask([f"{head}\r\n".encode("latin-1") for head in heads])
        assert {} == strays(heads, outcomes, BASE)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    assert counted(outcomes)["refused"] > 30
    assert counted(outcomes)["arrived"] > 10


@pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",)], ids=["closing", "kept"])
async def test_old_protocol(site: Site, fields: tuple[str, ...]) -> None:
    """HTTP/1.0 leads nowhere else."""
    async with site.caller() as caller:
        outcomes = await caller.ask([request("/wsgi/based" + path, *fields, version="HTTP/1.0") for path in SAMPLE])
    assert {} == strays(SAMPLE, outcomes, BASE)
    assert {"refused", "arrived"} <= {*counted(outcomes)}


@pytest.mark.parametrize("way", ["own listener", "host", "host in the target"])
async def test_whole_path_of_a_route(site: Site, way: str) -> None:
    """Where a route takes whole paths, none leaves its base path."""
    start = "http://wsgi.internal" if way == "host in the target" else ""
    host = "wsgi.internal" if way == "host" else "localhost"
    port = site.own_ports["wsgi"] if way == "own listener" else None
    targets = [start + path for path in corpus()]
    async with site.caller(port) as caller:
        outcomes = await caller.ask(
            [request(one).replace(b"Host: localhost", b"Host: " + host.encode()) for one in targets]
        )
    assert {} == strays(targets, outcomes, BASE)
    assert counted(outcomes)["refused"] > 150
    assert counted(outcomes)["arrived"] > 200


async def test_between_good_requests(site: Site) -> None:
    """Sent all at once, good requests between bad ones get their own answers, and nothing else arrives."""
    raws, expected = [], []
    for number, path in enumerate(corpus()):
        bad = request(f"/wsgi/based{path}", f"Content-Length: {len(LIKE_A_REQUEST)}", method="POST")
        raws += [request(f"/wsgi/based/good-{number}"), bad + LIKE_A_REQUEST]
        expected.append(f"{BASE}/good-{number}")
    async with site.caller() as caller:
        outcomes = await caller.ask(raws)
    assert expected == ["".join(one.paths) for one in outcomes[::2]]
    assert {} == strays(corpus(), outcomes[1::2], BASE)
    assert without_gaps(outcomes)
    methods: Counter[str] = Counter(one.method for one in outcomes[1::2])
    assert {"", "POST", "PUT", "DELETE"} >= {*methods}


async def test_outcomes_are_told_apart(site: Site) -> None:
    """What a server answers and what the proxy refuses are not the same to these tests."""
    async with site.caller() as caller:
        arrived, refused, none = await caller.ask(
            [request("/wsgi/whole-x"), request("/wsgi/based/.."), request("/nowhere")]
        )
    assert Outcome(200, False, ("/whole-x",), "GET", number=arrived.number) == arrived
    assert [Outcome(400, True), Outcome(404, True)] == [refused, none]
