"""SIGHUP, and what listeners marked ssl then go by: the new files for new connections, or the old ones for all."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.e2e.conftest import Caller
from tests.e2e.listener_tls import Tls, listening_tls
from tests.support.tls import VERSIONS, Authority, der, elliptic, pem
from tests.support.upstream import Do, Upstream, reply

ERP = [x509.DNSName("erp.internal")]
both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
async def gateway(tmp_path: Path, listener: socket.socket) -> AsyncIterator[Tls]:
    """A proxy with TLS, and of this test alone."""
    async with listening_tls(Authority(tmp_path), listener) as tls:
        yield tls


@pytest.fixture
def presented(gateway: Tls) -> Path:
    """The file of the certificate that is to be presented."""
    return gateway.proxy.folder / "c.pem"


def shown_to(caller: Caller) -> Any:
    return caller.writer.get_extra_info("ssl_object").getpeercert(True)


async def answered(gateway: Tls, caller: Caller) -> int:
    """The status of an answer on a connection."""
    await caller.send(gateway.head("GET /t/ HTTP/1.1"))
    return (await caller.answer()).status


@both_versions
async def test_certificate(gateway: Tls, upstream: Upstream, presented: Path, version: Any) -> None:
    """New connections get the new one, and those that are open go on."""
    before, trust = der(presented), gateway.authority.trust(version=version)
    async with gateway.tls_caller(trust) as old:
        assert (200, before) == (await answered(gateway, old), shown_to(old))
        gateway.authority.listener()
        assert before != der(presented)
        assert "is read again" in await gateway.hang_up()
        assert 200 == await answered(gateway, old)
    async with gateway.tls_caller(trust) as new:
        assert (200, der(presented)) == (await answered(gateway, new), shown_to(new))
    assert 3 == len(upstream.requests)


@pytest.mark.parametrize("spoilt", ["c.pem", "k.pem", "other"])
async def test_file_that_cannot_be_used(gateway: Tls, upstream: Upstream, presented: Path, spoilt: str) -> None:
    """The old certificate stays, the log says why and nothing of what is in the file, and mending it helps."""
    before = der(presented)
    why = "holds no PEM certificate" if spoilt == "c.pem" else "holds no PEM private key"
    if spoilt == "other":
        (gateway.proxy.folder / "k.pem").write_bytes(pem(elliptic()))
        why = "is not that of the first certificate"
    else:
        (gateway.proxy.folder / spoilt).write_text("CANARY")
    logged = await gateway.hang_up()
    key = "ssl_certificate" if spoilt == "c.pem" else "ssl_certificate_key"
    assert (True, True, False) == (f": {key}: " in logged, why in logged, "CANARY" in logged)
    async with gateway.tls_caller() as caller:
        assert (200, before) == (await answered(gateway, caller), shown_to(caller))
    gateway.authority.listener()
    assert "is read again" in await gateway.hang_up()
    async with gateway.tls_caller() as caller:
        assert (200, der(presented)) == (await answered(gateway, caller), shown_to(caller))


async def test_configuration_that_is_refused_for_another_reason(tmp_path: Path, listener: socket.socket) -> None:
    """Good new files are not used either: it is all or nothing."""
    keys = [base64.b64encode(bytes([number] * 32)).decode() for number in range(2)]
    async with listening_tls(Authority(tmp_path), listener, store_key=keys[0]) as gateway:
        before = der(tmp_path / "c.pem")
        gateway.authority.listener()
        gateway.configure(store_key=keys[1])
        assert "as before" in await gateway.hang_up()
        async with gateway.tls_caller() as caller:
            assert before == shown_to(caller)


@both_versions
async def test_authorities_of_callers(gateway: Tls, upstream: Upstream, version: Any) -> None:
    """They come, are replaced and go while it runs; who has shown a certificate has to show it anew."""
    ours = gateway.authority
    one, two = Authority(ours.folder, name="one.pem"), Authority(ours.folder, name="two.pem")
    first, second = (ours.trust(by.proof(f"{by.file.stem}.proof", ERP), version) for by in (one, two))
    more = {"anonymous": "none", "clients": {"erp": {"certificate": "erp.internal"}}}
    gateway.configure(**more, ssl_client_certificate="one.pem", ssl_verify_client="on")
    await gateway.hang_up()
    assert "TLSV1_ALERT_UNKNOWN_CA" == await gateway.refusal(second)
    async with gateway.tls_caller(first) as old:
        assert 200 == await answered(gateway, old)
        gateway.configure(**more, ssl_client_certificate="two.pem")
        await gateway.hang_up()
        assert b"" == await old.reader.read()
    assert "TLSV1_ALERT_UNKNOWN_CA" == await gateway.refusal(first)
    async with gateway.tls_caller(second) as new:
        assert 200 == await answered(gateway, new)
    gateway.configure()
    await gateway.hang_up()
    async with gateway.tls_caller(first) as last:
        assert 200 == await answered(gateway, last)
    assert 3 == len(upstream.requests)


async def test_client_of_an_open_connection(gateway: Tls, upstream: Upstream) -> None:
    """Whose its certificate is, is looked up anew."""
    ours = gateway.authority
    proof = ours.trust(Authority(ours.folder, name="one.pem").proof("proof.pem", ERP))
    more = {"anonymous": "none", "ssl_client_certificate": "one.pem"}
    gateway.configure(**more, clients={"erp": {"certificate": "erp.internal"}})
    await gateway.hang_up()
    async with gateway.tls_caller(proof) as caller:
        assert 200 == await answered(gateway, caller)
        gateway.configure(**more, clients={"erp": {"certificate": "other.internal"}})
        await gateway.hang_up()
        assert b"" == await caller.reader.read()
    async with gateway.tls_caller(proof) as caller:
        assert 401 != await answered(gateway, caller) != 200
    assert 1 == len(upstream.requests)


@pytest.mark.parametrize("pipelined", [True, False])
async def test_client_that_is_removed_in_its_answer(gateway: Tls, upstream: Upstream, pipelined: bool) -> None:
    """The answer goes on to its end, and no other request of that connection is heard."""
    ours = gateway.authority
    proof = ours.trust(Authority(ours.folder, name="one.pem").proof("proof.pem", ERP))
    more = {"anonymous": "none", "ssl_client_certificate": "one.pem"}
    gateway.configure(**more, clients={"erp": {"certificate": "erp.internal"}})
    await gateway.hang_up()
    goes_on = asyncio.Event()
    head = b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\nab"
    upstream.script([Do.READ, head, goes_on, b"cd"], reply())
    async with gateway.tls_caller(proof) as caller:
        asked = gateway.head("GET /t/ HTTP/1.1")
        await caller.send(asked)
        answer = await caller.head()
        if pipelined:
            await caller.send(asked)
        gateway.configure(**more, clients={"erp": {"certificate": "other.internal"}})
        await gateway.hang_up()
        goes_on.set()
        assert (200, b"abcd", b"") == (answer.status, await caller.reader.readexactly(4), await caller.reader.read())
    assert 1 == len(upstream.requests)


async def test_handshake_that_a_reload_overtakes(gateway: Tls, upstream: Upstream) -> None:
    """Who proves itself to authorities that are replaced before it is done is not heard."""
    ours = gateway.authority
    one, _ = (Authority(ours.folder, name=name) for name in ("one.pem", "two.pem"))
    more = {"anonymous": "any", "clients": {"erp": {"certificate": "erp.internal"}}}
    gateway.configure(**more, ssl_client_certificate="one.pem")
    await gateway.hang_up()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ours.trust(one.proof("proof.pem", ERP), ssl.TLSVersion.TLSv1_3)
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.tls_port)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    writer.write(outgoing.read())
    while True:
        incoming.write(await reader.read(1 << 16))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
            break
    gateway.configure(**more, ssl_client_certificate="two.pem")
    await gateway.hang_up()
    session.write(gateway.head("GET /t/ HTTP/1.1"))
    writer.write(outgoing.read())
    while data := await reader.read(1 << 16):
        incoming.write(data)
    with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLWantReadError):
        assert b"" == session.read()
    writer.close()
    assert [] == upstream.requests
