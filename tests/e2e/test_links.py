"""Links to the upstream lead back through the proxy, in fields and in JSON, from wherever the caller came (D8)."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Answer, Gateway, Settings, port_of
from tests.support.processes import free_port
from tests.support.upstream import Do, Step, Upstream, chunk, reply

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json"
ORG = "7kQ2f"
PAGES = 5


@dataclass(frozen=True)
class Way:
    """How a caller comes: a port, a Host, what stands before the upstream's paths, and what of them that covers."""

    port: int
    host: str
    prefix: str
    base: str = ""

    @property
    def local(self) -> str:
        return f"http://{self.host}{self.prefix}"


@pytest.fixture(scope="module")
def own_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def settings(listener: socket.socket, own_port: int) -> Settings:
    url = f"http://127.0.0.1:{port_of(listener)}"
    place: dict[str, Any] = {"upstream": url, "token_url": f"{url}/token", "map_links": True}
    app = {**place, "grant": "client_credentials", "renew": "client_credentials", "orgs_path": "/api/orgs"}
    secret = {"client_id": "id", "client_secret": "secret"}
    return {
        "shutdown_timeout": "2s",
        "providers": {
            "test": {**place, "grant": "manual"},
            "app": app,
            "off": {**app, "map_links": False},
        },
        "credentials": {
            "org": {"provider": "app", "org_pk": ORG, **secret},
            "plain": {"provider": "off", **secret},
        },
        "routes": [
            {"listen": f"127.0.0.1:{own_port}", "credential": "test"},
            {"host": "vendor.internal", "credential": "test"},
            {"prefix": "/orders", "credential": "org", "upstream": f"{url}/api/orgs/{{org_pk}}/orders"},
            {"prefix": "/off", "credential": "plain"},
        ],
    }


@pytest.fixture
def ways(gateway: Gateway, own_port: int) -> dict[str, Way]:
    port = gateway.proxy.port
    return {
        "prefix": Way(port, f"127.0.0.1:{port}", "/t"),
        "host": Way(port, f"vendor.internal:{port}", ""),
        "own listener": Way(own_port, f"127.0.0.1:{own_port}", ""),
        "organization": Way(port, f"localhost:{port}", "/orders", f"/api/orgs/{ORG}/orders"),
    }


WAYS = pytest.mark.parametrize("name", ["prefix", "host", "own listener", "organization"])


@pytest.fixture
def url(gateway: Gateway) -> str:
    """The upstream's origin."""
    return f"http://127.0.0.1:{gateway.upstream_port}"


async def ask(gateway: Gateway, way: Way, target: str = "/a", *fields: bytes, method: str = "GET") -> Answer:
    return await gateway.call(f"{method} {way.prefix}{target}", b"Host: " + way.host.encode(), *fields, port=way.port)


@WAYS
async def test_fields(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str, name: str) -> None:
    """Links in fields come back absolute where they were, and relative to the host where they were that."""
    way = ways[name]
    at = f"{url}{way.base}"
    fields = [
        f"Location: {at}/x/?a=%2F&b=1#f",
        f"Content-Location: {way.base}/y",
        f'Link: <{at}/2>; rel="next", <https://elsewhere.example/>; rel=help',
        f"Refresh: 5; url={at}/z",
        f"Set-Cookie: a=1; Path={way.base or ''}/in; Domain=127.0.0.1; HttpOnly",
    ]
    upstream.script(reply(302, *[field.encode() for field in fields]))
    answer = await ask(gateway, way)
    found = {
        key: answer.values(key.encode())[0].decode() for key in ("location", "content-location", "link", "refresh")
    }
    assert {
        "location": f"{way.local}/x/?a=%2F&b=1#f",
        "content-location": f"{way.prefix}/y",
        "link": f'<{way.local}/2>; rel="next", <https://elsewhere.example/>; rel=help',
        "refresh": f"5; url={way.local}/z",
    } == found
    assert [f"a=1; Path={way.prefix}/in; HttpOnly".encode()] == answer.values(b"set-cookie")


@WAYS
async def test_json(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str, name: str) -> None:
    """Links to further pages come back local; relative ones, texts and other origins stay."""
    way = ways[name]
    page = {
        "next": f"{url}{way.base}/?page=3",
        "previous": f"{url}{way.base}/?page=1",
        "relative": f"{way.base}/?page=3",
        "text": f"see {url}{way.base}/",
        "other": "https://elsewhere.example/",
    }
    upstream.script(reply(200, JSON, body=json.dumps(page).encode()))
    answer = await ask(gateway, way)
    local = {"next": f"{way.local}/?page=3", "previous": f"{way.local}/?page=1"}
    assert page | local == answer.json()
    assert ([], [b"chunked"]) == (answer.values(b"content-length"), answer.values(b"transfer-encoding"))


async def test_beyond_the_route(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str) -> None:
    """What the caller cannot reach by this credential stays as it is."""
    body = json.dumps({"next": f"{url}/api/orgs/other/orders/"}).encode()
    upstream.script(reply(200, JSON, f"Location: {url}/elsewhere".encode(), body=body))
    answer = await ask(gateway, ways["organization"])
    assert ([f"{url}/elsewhere".encode()], body) == (answer.values(b"location"), answer.body)


async def test_switched_off(gateway: Gateway, upstream: Upstream, url: str) -> None:
    """Without map_links the body passes byte for byte, with its length and ETag; fields are mapped all the same."""
    body = json.dumps({"next": f"{url}/2"}).encode()
    upstream.script(reply(200, JSON, b'ETag: "e"', f"Location: {url}/2".encode(), body=body))
    answer = await gateway.call("GET /off/a")
    assert (body, [b'"e"']) == (answer.body, answer.values(b"etag"))
    assert [f"{gateway.proxy.url}/off/2".encode()] == answer.values(b"location")


async def test_gzip(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str) -> None:
    """A compressed page is mapped too, and comes plain."""
    body = gzip.compress(json.dumps({"next": f"{url}/2", "more": "x" * 100_000}).encode())
    upstream.script(reply(200, JSON, b"Content-Encoding: gzip", b'ETag: "e"', body=body))
    answer = await ask(gateway, ways["prefix"], "/a", b"Accept-Encoding: gzip, br, zstd")
    assert f"{ways['prefix'].local}/2" == answer.json()["next"]
    assert ([], [b'W/"e"']) == (answer.values(b"content-encoding"), answer.values(b"etag"))
    assert [b"gzip"] == upstream.requests[0].values(b"accept-encoding")


async def test_gzip_cut_off(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str) -> None:
    """A compressed page that ends too soon does not look whole."""
    body = gzip.compress(json.dumps({"next": f"{url}/2"}).encode())[:-6]
    upstream.script(reply(200, JSON, b"Content-Encoding: gzip", body=body))
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await ask(gateway, ways["prefix"])


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
async def test_borders(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str, escaped: bool) -> None:
    """A link cut in two anywhere between chunks is found, and the rest goes on at once."""
    written = url.replace("/", r"\/") if escaped else url
    slash = r"\/" if escaped else "/"
    page = f'{{"next": "{written}{slash}2"}}'.encode()
    local = ways["prefix"].local.replace("/", slash)
    for cut in range(1, len(page)):
        gate = asyncio.Event()
        steps: list[Step] = [OK + JSON + b"\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(page[:cut]), gate]
        upstream.script([Do.READ, *steps, chunk(page[cut:]), chunk(b"")])
        async with gateway.caller() as caller:
            await caller.send(gateway.head("GET /t/a HTTP/1.1"))
            head = await caller.head()
            gate.set()
            answer = await caller.body(head)
        assert f'{{"next": "{local}{slash}2"}}'.encode() == answer.body


async def test_head(gateway: Gateway, upstream: Upstream, ways: dict[str, Way]) -> None:
    """The head of an answer to HEAD is that of a GET: no length of what would be mapped."""
    upstream.script([Do.READ, OK + JSON + b'\r\nETag: "e"\r\nContent-Length: 99\r\n\r\n'])
    answer = await ask(gateway, ways["prefix"], method="HEAD")
    assert ([], [b'W/"e"']) == (answer.values(b"content-length"), answer.values(b"etag"))


async def test_range(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str) -> None:
    """Who asks for a range gets the upstream's bytes, whether it answers with a part or with all."""
    body = json.dumps({"next": f"{url}/2"}).encode()
    upstream.script(reply(206, JSON, b'ETag: "e"', body=body), reply(200, JSON, body=body))
    for _ in range(2):
        answer = await ask(gateway, ways["prefix"], "/a", b"Range: bytes=0-")
        assert (body, [b"%d" % len(body)]) == (answer.body, answer.values(b"content-length"))


async def test_not_modified(gateway: Gateway, upstream: Upstream, ways: dict[str, Way]) -> None:
    """A caller that comes back with the weak ETag is answered 304, which has no body to map."""
    upstream.script([Do.READ, b'HTTP/1.1 304 Same\r\nETag: "e"\r\nContent-Type: application/json\r\n\r\n'])
    answer = await ask(gateway, ways["prefix"], "/a", b'If-None-Match: W/"e"')
    assert (304, b"") == (answer.status, answer.body)
    assert [b'W/"e"'] == upstream.requests[0].values(b"if-none-match")


async def test_http_1_0(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str) -> None:
    """For a caller of HTTP/1.0 a mapped body ends with the connection."""
    upstream.script(reply(200, JSON, body=json.dumps({"next": f"{url}/2"}).encode()))
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.0", b"Connection: keep-alive"))
        answer = await caller.answer()
    assert {"next": f"{ways['prefix'].local}/2"} == answer.json()
    assert ([b"close"], []) == (answer.values(b"connection"), answer.values(b"transfer-encoding"))


async def test_kept_connection(gateway: Gateway, upstream: Upstream, ways: dict[str, Way], url: str) -> None:
    """Mapped pages and others follow one another on one connection, through an expiry."""
    page = reply(200, JSON, body=json.dumps({"next": f"{url}/2"}).encode())
    upstream.script(page, reply(401), page, reply())
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/a HTTP/1.1") * 3)
        answers = [await caller.answer() for _ in range(3)]
    assert [f"{ways['prefix'].local}/2"] * 2 == [answer.json()["next"] for answer in answers[:2]]
    assert (b"ok", 1) == (answers[2].body, upstream.exchanges)


@pytest.fixture
def pages(upstream: Upstream, url: str) -> list[int]:
    """A list in pages, the third of which is moved and asked for with a token that has expired."""
    bodies = [
        json.dumps({"page": number, "next": f"{url}/l?page={number + 1}" if number < PAGES else None}).encode()
        for number in range(1, PAGES + 1)
    ]
    answers = [reply(200, JSON, body=body) for body in bodies]
    answers.insert(2, reply(307, f"Location: {url}/moved?page=3".encode(), body=b""))
    answers.insert(2, reply(401))
    upstream.script(*answers)
    return [*range(1, PAGES + 1)]


@pytest.mark.parametrize("name", ["prefix", "own listener"])
async def test_requests_follows_pages(
    gateway: Gateway, upstream: Upstream, ways: dict[str, Way], pages: list[int], name: str
) -> None:
    """A session of `requests` that knows nothing goes through all pages, and follows redirects by itself."""

    def walk(session: requests.Session, link: str | None) -> list[int]:
        found = []
        while link:
            page = session.get(link, timeout=15).json()
            found.append(page["page"])
            link = page["next"]
        return found

    with requests.Session() as session:
        assert pages == await asyncio.to_thread(walk, session, f"{ways[name].local}/l?page=1")
    assert 1 == upstream.exchanges
    assert b"/moved?page=3" in [seen.target for seen in upstream.requests]
