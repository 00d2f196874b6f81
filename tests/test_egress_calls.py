"""Token exchanges and look-ups of organizations by the way that the environment names, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from proxy.config import CredentialConfig, Provider, TlsFiles
from proxy.credentials.answers import Granted, Outcome, Passing, Uncertain
from proxy.credentials.exchange import TokenEndpoint
from proxy.credentials.orglist import OrgsEndpoint
from proxy.egress import Egress
from proxy.errors import EgressProxyError
from proxy.secret import Secret

CANARY = "c4nary"
HOST = "api.vendor.example"
PATIENCE = 20.0  # seconds after which a test that waits fails instead of hanging


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> Path:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


class ForwardProxy:
    """A forward proxy that leads every tunnel to one port, unless it is told to answer otherwise."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.heads: list[str] = []
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self._target = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answer)
            if self.answer.startswith(b"HTTP/1.1 200"):
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
                await asyncio.gather(pour(reader, back), pour(there, writer))
        writer.close()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Vendor:
    """A token endpoint and a list of organizations over TLS. It answers with `answer`, and closes."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.answer = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
        writer.close()


@pytest.fixture
async def vendor(ca: trustme.CA) -> AsyncIterator[Vendor]:
    vendor, tls = Vendor(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST).configure_cert(tls)
    async with await asyncio.start_server(vendor.serve, "127.0.0.1", 0, ssl=tls) as server:
        vendor.port = server.sockets[0].getsockname()[1]
        yield vendor


@pytest.fixture
async def forward(vendor: Vendor) -> AsyncIterator[ForwardProxy]:
    forward = ForwardProxy(vendor.port)
    async with await asyncio.start_server(forward.serve, "127.0.0.1", 0) as server:
        forward.port = server.sockets[0].getsockname()[1]
        yield forward


def json_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


CREDENTIAL = CredentialConfig(
    "acme",
    Provider(upstream=f"https://{HOST}", token_url=f"https://{HOST}/token", orgs_path="/orgs/"),
    "our-id",
    Secret("our-secret"),
)


async def exchange(ca_file: Path, port: int) -> Outcome:
    """Make one exchange through a proxy that wants a user and a password."""
    egress = Egress.of(TlsFiles(ca=ca_file), {"HTTPS_PROXY": f"http://user:{CANARY}@127.0.0.1:{port}"})
    async with asyncio.timeout(PATIENCE):
        return await TokenEndpoint(PATIENCE, egress)(CREDENTIAL, Secret("refresh"))


async def test_exchange(ca_file: Path, forward: ForwardProxy, vendor: Vendor) -> None:
    """It goes through the proxy, which sees where to and its own password, and nothing else."""
    vendor.answer = json_answer(b'{"access_token": "new", "token_type": "bearer"}')
    assert isinstance(await exchange(ca_file, forward.port), Granted)
    (head,) = forward.heads
    line, *fields = head.strip().split("\r\n")
    assert f"CONNECT {HOST}:443 HTTP/1.1" == line
    assert "Proxy-Authorization: Basic dXNlcjpjNG5hcnk=" in fields
    assert "secret" not in head
    (request,) = vendor.requests
    assert b"proxy-authorization" not in request.lower()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("did not connect to the token endpoint (407)", b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"),
        ("did not connect to the token endpoint (502)", b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"),
        ("did not connect to the token endpoint", b"what?\r\n\r\n"),
        ("did not connect to the token endpoint", b""),
    ],
)
async def test_exchange_that_the_proxy_refuses(
    ca_file: Path, forward: ForwardProxy, vendor: Vendor, words: str, answer: bytes
) -> None:
    """Nothing was sent, so that the refresh token can be sent again; the variable is named, its value is not."""
    forward.answer = answer
    outcome = await exchange(ca_file, forward.port)
    assert isinstance(outcome, Passing)
    assert outcome.reason.startswith("the proxy that HTTPS_PROXY names ")
    assert words in outcome.reason
    assert [] == vendor.requests


async def test_exchange_by_a_proxy_that_is_down(ca_file: Path, unused_tcp_port: int) -> None:
    """Nothing was sent."""
    expected = Passing("the proxy that HTTPS_PROXY names did not connect to the token endpoint")
    assert expected == await exchange(ca_file, unused_tcp_port)


async def test_exchange_that_breaks_off_inside_the_tunnel(ca_file: Path, forward: ForwardProxy, vendor: Vendor) -> None:
    """What was sent may have been used."""
    vendor.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    expected = Uncertain("the connection to the token endpoint broke before its answer was complete")
    assert expected == await exchange(ca_file, forward.port)
    assert 1 == len(vendor.requests)


async def test_exchange_with_somebody_else_inside_the_tunnel(tmp_path: Path, forward: ForwardProxy) -> None:
    """A certificate of an authority that nobody named ends it, with nothing sent."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    expected = Passing("the token endpoint's certificate is not trusted")
    assert expected == await exchange(tmp_path / "other.pem", forward.port)


async def test_exchange_with_a_variable_that_cannot_be_used() -> None:
    """Nothing was sent, and the variable is named."""
    endpoint = TokenEndpoint(PATIENCE, Egress.of(TlsFiles(), {"ALL_PROXY": f"socks5://{CANARY}"}))
    outcome = await endpoint(CREDENTIAL, Secret("refresh"))
    assert isinstance(outcome, Passing)
    assert outcome.reason.startswith("ALL_PROXY ")
    assert CANARY not in outcome.reason


async def organizations(ca_file: Path, value: str) -> tuple[int, bytes]:
    egress = Egress.of(TlsFiles(ca=ca_file), {"HTTPS_PROXY": value})
    async with asyncio.timeout(PATIENCE):
        return await OrgsEndpoint(PATIENCE, egress)(CREDENTIAL, Secret("token"))


async def test_list_of_organizations(ca_file: Path, forward: ForwardProxy, vendor: Vendor) -> None:
    """It is asked for by the same way."""
    vendor.answer = json_answer(b"{}")
    assert (200, b"{}") == await organizations(ca_file, f"http://127.0.0.1:{forward.port}")
    assert [f"CONNECT {HOST}:443 HTTP/1.1"] == [head.split("\r\n")[0] for head in forward.heads]
    assert "token" not in forward.heads[0]
    assert b"Authorization: Bearer token" in vendor.requests[0]


async def test_list_of_organizations_that_the_proxy_refuses(ca_file: Path, forward: ForwardProxy) -> None:
    """It is the proxy that is blamed."""
    forward.answer = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(EgressProxyError, match=r"the proxy that HTTPS_PROXY names did not connect to it \(403\)"):
        await organizations(ca_file, f"http://127.0.0.1:{forward.port}")


async def test_list_of_organizations_by_a_proxy_that_is_down(ca_file: Path, unused_tcp_port: int) -> None:
    """It is the proxy that is blamed."""
    with pytest.raises(EgressProxyError, match="the proxy that HTTPS_PROXY names cannot be connected to"):
        await organizations(ca_file, f"http://127.0.0.1:{unused_tcp_port}")
