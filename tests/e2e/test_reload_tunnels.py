"""SIGHUP, and the tunnels that a key or a certificate has opened: they end where it would open them no more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.e2e.conftest import Caller, Gateway, running
from tests.e2e.listener_tls import listening_tls
from tests.e2e.test_reload import OTHER, changed, reloaded
from tests.support.tls import Authority
from tests.support.upstream import Do, Upstream

KEY = "key-of-the-client-at-hand"
ASKS = (b"Connection: Upgrade", b"Upgrade: echo/1")
GRANTS = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
ERP = [x509.DNSName("erp.internal")]
HERE = {"prefix": "/t", "credential": "test"}


@pytest.fixture
async def gateway(tmp_path: Path, listener: socket.socket) -> AsyncIterator[Gateway]:
    """A proxy for one test alone, since its configuration changes. The client has a key."""
    more = {"clients": {"erp": {"key": KEY}, "other": {"key": OTHER}}, "anonymous": "none"}
    async with running(tmp_path, listener, more) as gateway:
        yield gateway


async def ask(gateway: Gateway, caller: Caller, key: str = "") -> None:
    """Ask for a tunnel."""
    proof = (b"Authorization: Bearer " + key.encode(),) if key else ()
    await caller.send(gateway.head("GET /t/tunnel HTTP/1.1", *ASKS, *proof))


@pytest.mark.parametrize(
    ("goes", "after"),
    [
        (True, {"clients": {"other": {"key": OTHER}}}),
        (True, {"clients": {"erp": {"key": KEY + "2"}}}),
        (True, {"clients": {"erp": {"key": KEY, "methods": ["POST"]}}}),
        (True, {"clients": {"erp": {"key": KEY, "routes": ["/more"]}}, "routes": [HERE, {**HERE, "prefix": "/more"}]}),
        (True, {"clients": {"erp": {"key": KEY}}, "routes": [{**HERE, "prefix": "/more"}]}),
        (False, {"clients": {"erp": {"key": [KEY + "2", KEY]}}}),
        (False, {"clients": {"other": {"key": OTHER}}, "anonymous": "loopback"}),
        (False, {"hosts": ["proxy"]}),
    ],
    ids=["removed", "another key", "another method", "another route", "no route", "rotated", "anonymous", "unchanged"],
)
async def test_key(gateway: Gateway, upstream: Upstream, goes: bool, after: dict[str, object]) -> None:
    """A tunnel ends at the reload if its request would be refused after it, and goes on otherwise."""
    goes_on = asyncio.Event()
    upstream.script([GRANTS, goes_on, b"hello", Do.CLOSE])
    async with gateway.caller() as caller:
        await ask(gateway, caller, KEY)
        assert 101 == (await caller.head()).status
        changed(gateway.proxy, **after)
        await reloaded(gateway.proxy)
        if goes:
            assert b"" == await caller.some(-1)
        goes_on.set()
        assert (b"" if goes else b"hello") == await caller.some(-1)


async def test_another_client(gateway: Gateway, upstream: Upstream) -> None:
    """Of two tunnels the one ends whose client is removed."""
    goes_on = asyncio.Event()
    upstream.script([GRANTS, goes_on, b"hello", Do.CLOSE], [GRANTS, goes_on, b"hello", Do.CLOSE])
    async with gateway.caller() as one, gateway.caller() as two:
        for caller, key in ((one, KEY), (two, OTHER)):
            await ask(gateway, caller, key)
            assert 101 == (await caller.head()).status
        changed(gateway.proxy, clients={"other": {"key": OTHER}})
        await reloaded(gateway.proxy)
        assert b"" == await one.some(-1)
        goes_on.set()
        assert b"hello" == await two.some(-1)


async def test_key_that_is_taken_back_before_the_answer(gateway: Gateway, upstream: Upstream) -> None:
    """The caller hears that it may not, and nothing of what the upstream says."""
    goes_on = asyncio.Event()
    upstream.script([goes_on, GRANTS + b"hello", Do.CLOSE])
    async with gateway.caller() as caller:
        await ask(gateway, caller, KEY)
        await upstream.request()
        changed(gateway.proxy, clients={"other": {"key": OTHER}})
        await reloaded(gateway.proxy)
        goes_on.set()
        answer = await caller.answer()
    assert (403, "access_denied") == (answer.status, answer.json()["error"])


@pytest.mark.parametrize("answered", [False, True])
async def test_certificate(tmp_path: Path, listener: socket.socket, answered: bool) -> None:
    """A client that is removed loses its tunnel, or gets none."""
    ours = Authority(tmp_path)
    proof = ours.trust(Authority(tmp_path, name="one.pem").proof("proof.pem", ERP))
    more = {"anonymous": "none", "ssl_client_certificate": "one.pem"}
    goes_on = asyncio.Event()
    async with (
        listening_tls(ours, listener, **more, clients={"erp": {"certificate": "erp.internal"}}) as gateway,
        Upstream(gateway.tokens).serving(listener) as upstream,
        gateway.tls_caller(proof) as caller,
    ):
        first, then = ((GRANTS, goes_on), ()) if answered else ((goes_on,), (GRANTS,))
        upstream.script([*first, *then, b"hello", Do.CLOSE])
        await ask(gateway, caller)
        await upstream.request()
        if answered:
            assert 101 == (await caller.head()).status
        gateway.configure(**more, clients={"erp": {"certificate": "other.internal"}})
        await gateway.hang_up()
        goes_on.set()
        if answered:
            assert b"" == await caller.some(-1)
        else:
            assert 403 == (await caller.answer()).status
            assert b"" == await caller.some(-1)
