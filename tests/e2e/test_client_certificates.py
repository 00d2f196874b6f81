"""Callers who show a certificate: who they are then, and how those are refused whose certificate does not hold."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509

from tests.e2e.listener_tls import Tls, listening_tls
from tests.support.processes import Done
from tests.support.tls import HOUR, VERSIONS, Authority, der
from tests.support.upstream import Upstream

KEY = "CANARY-0123456789abcdef"
ERP = [x509.DNSName("first.internal"), x509.DNSName("ERP.internal")]
both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of callers, which is not the listener's."""
    return Authority(tmp_path_factory.mktemp("callers"))


@pytest.fixture(scope="module")
def proofs(issuer: Authority) -> dict[str, Path]:
    """What callers show, by what it is."""
    other = Authority(issuer.folder, name="other.pem")
    return {
        "erp": issuer.proof("erp.pem", ERP),
        "cn": issuer.proof("cn.pem", cn=["The ERP"]),
        "cn beside names": issuer.proof("both.pem", [x509.DNSName("x")], cn=["The ERP"]),
        "mail": issuer.proof("mail.pem", [x509.RFC822Name("erp@example.com")]),
        "uri": issuer.proof("uri.pem", [x509.UniformResourceIdentifier("spiffe://example/erp")]),
        "print": issuer.proof("print.pem", [x509.DNSName("unmapped.internal")]),
        "unmapped": issuer.proof("unmapped.pem", [x509.DNSName("unmapped.internal")]),
        "wildcard": issuer.proof("wildcard.pem", [x509.DNSName("*.internal")]),
        "expired": issuer.proof("expired.pem", ERP, ends=-HOUR),
        "other": other.proof("others.pem", ERP),
    }


def settings(issuer: Authority, proofs: dict[str, Path], **more: Any) -> dict[str, Any]:
    """What the configuration says of callers: nobody is anonymous."""
    fingerprint = hashlib.sha256(der(proofs["print"])).hexdigest().upper()
    return {
        "anonymous": "none",
        "ssl_client_certificate": str(issuer.file),
        "clients": {
            "erp": {"certificate": "erp.internal", "methods": ["GET"]},
            "named": {"certificate": ["The ERP", "erp@example.com", "spiffe://example/erp"]},
            "print": {"certificate": f"sha256:{fingerprint}"},
            "key": {"key": KEY},
        },
        **more,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, listener: socket.socket, issuer: Authority, proofs: dict[str, Path]
) -> AsyncIterator[Tls]:
    """A proxy where certificates are optional."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    async with listening_tls(authority, listener, **settings(issuer, proofs)) as tls:
        yield tls


async def status(gateway: Tls, *arguments: str) -> tuple[int, str]:
    """How curl ends, and the status that it got."""
    done = await gateway.curl("-o", "/dev/null", "-w", "%{http_code}", *arguments)
    return done.code, done.out


@both_versions
@pytest.mark.parametrize("name", ["erp", "cn", "mail", "uri", "print"])
async def test_client(gateway: Tls, upstream: Upstream, proofs: dict[str, Path], name: str, version: Any) -> None:
    """Who is one by its certificate is served, on each request of its connection."""
    async with gateway.tls_caller(gateway.authority.trust(proofs[name], version)) as caller:
        for _ in range(2):
            await caller.send(gateway.head("GET /t/ HTTP/1.1"))
            assert b"ok" == (await caller.answer()).body
    assert [gateway.tokens.access] * 2 == [one.token for one in upstream.requests]


@pytest.mark.parametrize("most", ["1.2", "1.3"])
async def test_curl(gateway: Tls, upstream: Upstream, proofs: dict[str, Path], most: str) -> None:
    """It shows its certificate with --cert, over a unix socket too."""
    show = ("--tls-max", most, "--cert", str(proofs["erp"]))
    assert Done(0, "ok", "") == await gateway.curl(*show, f"{gateway.url}/t/")
    assert Done(0, "ok", "") == await gateway.curl(*show, "--unix-socket", str(gateway.socket), "https://localhost/t/")
    assert 2 == len(upstream.requests)


async def test_what_a_client_may(gateway: Tls, upstream: Upstream, proofs: dict[str, Path]) -> None:
    """Its limits hold; a valid key goes before the certificate."""
    show = ("--cert", str(proofs["erp"]), "-d", "x", f"{gateway.url}/t/")
    done = await gateway.curl(*show)
    assert "access_denied" == json.loads(done.out)["error"]
    assert [] == upstream.requests
    assert Done(0, "ok", "") == await gateway.curl("-u", f"x:{KEY}", *show)


@both_versions
@pytest.mark.parametrize("name", ["", "unmapped", "wildcard", "cn beside names"])
async def test_caller_that_is_no_client(
    gateway: Tls, upstream: Upstream, proofs: dict[str, Path], name: str, version: Any
) -> None:
    """Without a certificate, or with one that nobody has in the configuration, it is asked for a key."""
    async with gateway.tls_caller(gateway.authority.trust(proofs.get(name), version)) as caller:
        await caller.send(gateway.head("GET /t/ HTTP/1.1"))
        assert 401 == (await caller.answer()).status
        await caller.send(gateway.head("GET /t/ HTTP/1.1", b"Authorization: Bearer " + KEY.encode()))
        assert 200 == (await caller.answer()).status
    assert 1 == len(upstream.requests)


@both_versions
@pytest.mark.parametrize(
    ("expected", "name"), [("TLSV1_ALERT_UNKNOWN_CA", "other"), ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "expired")]
)
async def test_certificate_that_does_not_hold(
    gateway: Tls, upstream: Upstream, proofs: dict[str, Path], expected: str, name: str, version: Any
) -> None:
    """It ends the handshake with its alert, though none is required; nothing goes on, and others are served."""
    assert expected == await gateway.refusal(gateway.authority.trust(proofs[name], version))
    code, _ = await status(gateway, "--cert", str(proofs[name]), f"{gateway.url}/t/")
    assert code in (35, 55, 56)
    assert [] == upstream.requests
    assert (0, "200") == await status(gateway, "--cert", str(proofs["erp"]), f"{gateway.url}/t/")


async def test_callers_without_tls(gateway: Tls, upstream: Upstream) -> None:
    """They show nothing, and need a key."""
    assert (0, "401") == await status(gateway, f"{gateway.proxy.url}/t/")
    assert (0, "200") == await status(gateway, "-u", f"x:{KEY}", f"{gateway.proxy.url}/t/")


async def test_certificates_that_are_required(
    tmp_path: Path, listener: socket.socket, issuer: Authority, proofs: dict[str, Path]
) -> None:
    """Without one the alert says so, and a key does not help; with any that holds it goes on as ever."""
    more = settings(issuer, proofs, ssl_verify_client="on")
    async with (
        listening_tls(Authority(tmp_path), listener, **more) as gateway,
        Upstream(gateway.tokens).serving(listener) as upstream,
    ):
        alerts = [await gateway.refusal(gateway.authority.trust(version=version)) for version in VERSIONS]
        assert ["SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV13_ALERT_CERTIFICATE_REQUIRED"] == alerts
        code, _ = await status(gateway, "-u", f"x:{KEY}", f"{gateway.url}/t/")
        assert code in (35, 55, 56)
        found = json.loads((await gateway.proxy.command("doctor", "--json")).out)["findings"]
        assert ["serve is running"] == [one["text"] for one in found if one["check"] == "serve"]
        assert not [one for one in upstream.requests if one.line.startswith(b"GET")]
        assert (0, "200") == await status(gateway, "--cert", str(proofs["erp"]), f"{gateway.url}/t/")
        show = ("--cert", str(proofs["unmapped"]), f"{gateway.url}/t/")
        assert [(0, "401"), (0, "200")] == [await status(gateway, *show), await status(gateway, *show, "-u", f":{KEY}")]
