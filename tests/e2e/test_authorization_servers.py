"""User-defined providers at authorization servers that others wrote: django-oauth-toolkit and Authlib.

What was issued and refused is counted at the servers. At django-oauth-toolkit the second use of a refresh token kills
the grant, so that a race there is seen for good.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.servers.running import AUTHLIB, CLIENTS, TOOLKIT, Kind, Server, config, serving
from tests.support.processes import Proxy

KINDS = pytest.mark.parametrize("kind", [TOOLKIT, AUTHLIB], ids=["django-oauth-toolkit", "authlib"])
WAYS = pytest.mark.parametrize("way", ["basic", "body"])
CALLERS = 50
LIFETIME = 2  # seconds, where tokens expire by themselves


@pytest.fixture
def kind() -> Kind:
    """Which server a test runs against, unless it is parametrized."""
    return TOOLKIT


@pytest.fixture
def lifetime() -> int:
    """How long access tokens live, in seconds, unless a test is parametrized."""
    return 3600


@pytest.fixture
def server(kind: Kind, lifetime: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running authorization server that has issued nothing yet."""
    with serving(kind, tmp_path_factory.mktemp("server"), lifetime) as server:
        yield server


async def greet(proxy: Proxy, client: str, callers: int = 1) -> list[tuple[int, bytes]]:
    """Call the API through the proxy, all callers at once; give the different answers."""
    url = proxy.url + f"/{client}/api/hello"
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=callers)

    async def call(session: aiohttp.ClientSession) -> tuple[int, bytes]:
        async with session.get(url) as response:
            body = await response.read()
            said = json.loads(body)["hello"].encode() if response.status == 200 else body
            return response.status, said

    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        return sorted(set(await asyncio.gather(*(call(session) for _ in range(callers)))))


MACHINE, PERSON = [(200, b"machine")], [(200, b"ada")]


@KINDS
@WAYS
async def test_a_machine(bare_proxy: Proxy, server: Server, way: str) -> None:
    """With client credentials nobody signs in, and one expiry costs one exchange, however many call."""
    client = f"machine-{way}"
    bare_proxy.configure(config(server, client, renewal_guard=0))
    await bare_proxy.start()
    assert MACHINE == await greet(bare_proxy, client, CALLERS)
    assert {200: 1} == server.answers("client_credentials")
    for exchanges in (2, 3):
        server.expire()
        assert MACHINE == await greet(bare_proxy, client, CALLERS)
        assert {200: exchanges} == server.answers("client_credentials")
    assert 3 == server.state()["access_tokens"]


@KINDS
async def test_a_secret_with_a_space(bare_proxy: Proxy, server: Server) -> None:
    """A server that decodes only percent signs in Basic authentication understands a space too."""
    bare_proxy.configure(config(server, "machine-spaced-basic"))
    await bare_proxy.start()
    assert MACHINE == await greet(bare_proxy, "machine-spaced-basic")


@KINDS
async def test_a_machine_with_the_wrong_secret(bare_proxy: Proxy, server: Server) -> None:
    """A server that refuses the client is asked once; the caller is told whose fault it is."""
    bare_proxy.configure(config(server, "machine-basic").replace(json.dumps(CLIENTS["machine-basic"]), "wrong"))
    await bare_proxy.start()
    for _ in range(3):
        ((status, body),) = await greet(bare_proxy, "machine-basic")
        assert 503 == status
        assert b"invalid_client" in body
    assert {401: 1} == server.answers("client_credentials")


@KINDS
@pytest.mark.parametrize("lifetime", [LIFETIME])
async def test_tokens_that_expire_by_themselves(bare_proxy: Proxy, server: Server) -> None:
    """No caller sees that tokens live for two seconds only."""
    clients = {"machine-basic": MACHINE, "person-body": PERSON}
    bare_proxy.configure(config(server, *clients))
    tokens = server.sign_in("person-body")
    await bare_proxy.bring_tokens("person-body", tokens)
    await bare_proxy.start()
    end = time.monotonic() + 2.5 * LIFETIME
    while time.monotonic() < end:
        for client, expected in clients.items():
            assert expected == await greet(bare_proxy, client, 3)
    assert 401 == server.greet(tokens["access_token"]).status_code
    for grant_type in ("client_credentials", "refresh_token"):
        ((status, exchanges),) = server.answers(grant_type).items()
        assert 200 == status
        assert 2 <= exchanges <= 6  # five seconds: at each expiry, or a little ahead of it
    assert 1 == server.state()["live_refresh_tokens"]


@KINDS
@WAYS
async def test_a_person(bare_proxy: Proxy, server: Server, way: str) -> None:
    """Imported tokens are rotated once an expiry, however many call; none is used twice, by hand neither."""
    client = f"person-{way}"
    bare_proxy.configure(config(server, client, renewal_guard=0))
    await bare_proxy.bring_tokens(client, server.sign_in(client))
    await bare_proxy.start()
    assert PERSON == await greet(bare_proxy, client, CALLERS)
    assert {} == server.answers("refresh_token")
    for rotations in (1, 2):
        server.expire()
        assert PERSON == await greet(bare_proxy, client, CALLERS)
        assert {200: rotations} == server.answers("refresh_token")
    done = await bare_proxy.command("refresh", client)
    assert 0 == done.code, done.err
    # The rotation by hand took the token from the running proxy; it finds the new one in the store.
    assert PERSON == await greet(bare_proxy, client, CALLERS)
    assert {200: 3} == server.answers("refresh_token")
    state = server.state()
    assert (4, 1) == (state["refresh_tokens"], state["live_refresh_tokens"])


async def test_two_proxies_with_one_store(
    bare_proxy: Proxy, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Processes that share a store rotate once an expiry between them."""
    other = Proxy(tmp_path_factory.mktemp("other"))
    store = f"sqlite:{bare_proxy.folder / 'tokens.db'}"
    for proxy in (bare_proxy, other):
        proxy.configure(config(server, "person-basic", renewal_guard=0, store=store))
    await bare_proxy.bring_tokens("person-basic", server.sign_in("person-basic"))
    try:
        await bare_proxy.start()
        await other.start()
        for rotations in range(1, 6):
            server.expire()
            both = await asyncio.gather(*(greet(proxy, "person-basic", CALLERS) for proxy in (bare_proxy, other)))
            assert [PERSON, PERSON] == both
            assert {200: rotations} == server.answers("refresh_token")
    finally:
        assert 0 == await other.stop(), other.log
    assert 1 == server.state()["live_refresh_tokens"]


async def test_reuse_protection_bites(server: Server) -> None:
    """Without the proxy: a refresh token used twice costs the whole grant, new tokens and all."""
    first = server.sign_in("person-basic")
    renewal = server.token_call("person-basic", grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert 200 == renewal.status_code
    second = renewal.json()
    assert (401, 200) == tuple(server.greet(one["access_token"]).status_code for one in (first, second))
    assert 1 == server.state()["live_refresh_tokens"]
    for spent in (first, second):
        answer = server.token_call("person-basic", grant_type="refresh_token", refresh_token=spent["refresh_token"])
        assert (400, "invalid_grant") == (answer.status_code, answer.json()["error"])
    assert 401 == server.greet(second["access_token"]).status_code
    assert 0 == server.state()["live_refresh_tokens"]


async def test_a_grant_that_somebody_else_spent(bare_proxy: Proxy, server: Server) -> None:
    """A refused refresh token is sent once; the server's 401 comes through until new tokens are brought."""
    client = "person-body"
    bare_proxy.configure(config(server, client, renewal_guard=0))
    tokens = server.sign_in(client)
    await bare_proxy.bring_tokens(client, tokens)
    await bare_proxy.start()
    stolen = server.token_call(client, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert 200 == stolen.status_code
    for _ in range(2):
        assert [(401, b"")] == await greet(bare_proxy, client, CALLERS)
    assert {200: 1, 400: 1} == server.answers("refresh_token")
    told = await bare_proxy.credential(client)
    assert "login required" == told["state"], told
    await bare_proxy.bring_tokens(client, server.sign_in(client))
    end = time.monotonic() + 10
    while await greet(bare_proxy, client) != PERSON:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert {200: 1, 400: 1} == server.answers("refresh_token")
