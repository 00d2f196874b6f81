"""SIGHUP takes a configuration over as a whole, or not at all."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.e2e.listener_tls import Tls, listening_tls
from tests.support.tls import Authority, der
from tests.support.upstream import Upstream

KEY, FOREIGN_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "c2l4dGVlbi1zaXh0ZWVuLXNpeHRlZW4tc2l4dGVlbi0="
ERP = [x509.DNSName("erp.internal")]
OLD, NEW = "old-key-0123456789", "new-key-0123456789"


async def seen(tls: Tls) -> tuple[list[int], bytes, list[str]]:
    """How the two keys are answered, which certificate is presented, and which credentials there are."""
    told = (await tls.call("GET /api/credentials", port=tls.proxy.admin_port)).json()["credentials"]
    async with tls.tls_caller() as caller:
        statuses = []
        for key in (OLD, NEW):
            await caller.send(tls.head("GET /t/ HTTP/1.1", b"Authorization: Bearer " + key.encode()))
            statuses.append((await caller.answer()).status)
        return statuses, caller.writer.get_extra_info("ssl_object").getpeercert(True), [one["name"] for one in told]


@pytest.mark.parametrize("what", ["store_key", "certificate"])
async def test_one_thing_that_cannot_be_used(tmp_path: Path, listener: socket.socket, what: str) -> None:
    """Neither certificates nor clients nor keys of the store are others then, until that is mended."""
    authority = Authority(tmp_path)
    before: dict[str, Any] = {"store_key": KEY, "anonymous": "none", "clients": {"erp": {"key": OLD}}}
    one = {"provider": "test", "client_id": "id", "client_secret": "secret"}
    after = {"store_key": [FOREIGN_KEY, KEY], "clients": {"erp": {"key": NEW}}, "credentials": {"test": one, "b": one}}
    after = {**before, **after}
    async with listening_tls(authority, listener, **before) as tls, Upstream(tls.tokens).serving(listener):
        old = der(tmp_path / "c.pem")
        assert ([200, 401], old, ["test"]) == await seen(tls)
        authority.listener()
        new, key = der(tmp_path / "c.pem"), (tmp_path / "k.pem").read_bytes()
        if what == "certificate":
            (tmp_path / "k.pem").write_bytes(b"no key")
            tls.configure(**after)
        else:
            tls.configure(**{**after, "store_key": FOREIGN_KEY})
        assert "as before" in await tls.hang_up()
        assert ([200, 401], old, ["test"]) == await seen(tls)
        (tmp_path / "k.pem").write_bytes(key)
        tls.configure(**after)
        assert "is read again" in await tls.hang_up()
        assert ([401, 200], new, ["test", "b"]) == await seen(tls)


async def test_certificate_that_is_named_no_more(tmp_path: Path, listener: socket.socket) -> None:
    """The listeners with TLS are there until a restart: without it nothing is taken over, with it all else is."""
    before: dict[str, Any] = {"anonymous": "none", "clients": {"erp": {"key": OLD}}}
    async with listening_tls(Authority(tmp_path), listener, **before) as tls, Upstream(tls.tokens).serving(listener):
        old = der(tmp_path / "c.pem")
        after = {**before, "clients": {"erp": {"key": NEW}}, "listen": f"127.0.0.1:{tls.proxy.port}"}
        tls.configure(**after, ssl_certificate=None, ssl_certificate_key=None)
        said = await tls.hang_up()
        assert (True, True) == ("ssl_certificate: until a restart" in said, "as before" in said), said
        assert ([200, 401], old, ["test"]) == await seen(tls)
        tls.configure(**after)
        assert "at the next start only: listen\n" in await tls.hang_up()
        assert ([401, 200], old, ["test"]) == await seen(tls)


async def test_authorities_of_a_listener_that_is_named_no_more(tmp_path: Path, listener: socket.socket) -> None:
    """While it still listens, it goes by the new ones; and a client that is gone has no certificate there."""
    authority = Authority(tmp_path)
    one, two = Authority(tmp_path, name="one.pem"), Authority(tmp_path, name="two.pem")
    first, second = (authority.trust(by.proof(f"{by.file.stem}.proof", ERP)) for by in (one, two))
    keys: dict[str, Any] = {"anonymous": "none", "ssl_client_certificate": "one.pem"}
    named, other = ({"erp": {"key": OLD, "certificate": name}} for name in ("erp.internal", "other.internal"))
    async with (
        listening_tls(authority, listener, **keys, clients=named) as tls,
        Upstream(tls.tokens).serving(listener),
    ):
        assert 200 == await certified(tls, first)
        keys["listen"] = f"127.0.0.1:{tls.proxy.port}"
        tls.configure(**keys, clients=other)
        assert "at the next start only: listen\n" in await tls.hang_up()
        assert 401 == await certified(tls, first)
        keys["ssl_client_certificate"] = "two.pem"
        tls.configure(**keys, clients=named)
        await tls.hang_up()
        assert "TLSV1_ALERT_UNKNOWN_CA" == await tls.refusal(first)
        assert 200 == await certified(tls, second)


async def certified(tls: Tls, proof: ssl.SSLContext) -> int:
    """How a caller is answered that shows a certificate and no key."""
    async with tls.tls_caller(proof) as caller:
        await caller.send(tls.head("GET /t/ HTTP/1.1"))
        return (await caller.answer()).status
