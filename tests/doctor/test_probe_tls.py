"""Probes of an upstream over TLS: certificates good and bad, and handshakes that come to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import time

import pytest
import trustme

from proxy.config import Upstream
from proxy.doctor.facts import Failure

from .conftest import SHORT, head, see, serving


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def presenting(ca: trustme.CA, name: str = "127.0.0.1", *, begins: float = -10, ends: float = 90) -> ssl.SSLContext:
    """A server's context whose certificate begins and ends so many days from now."""
    now = dt.datetime.now(dt.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(
        name, not_before=now + dt.timedelta(days=begins), not_after=now + dt.timedelta(days=ends)
    ).configure_cert(context)
    return context


async def test_a_good_certificate(ca, trusting):
    """It is known how long it lasts."""
    async with serving(head(), tls=presenting(ca, ends=20)) as server:
        seen = await see(server.origin("https"), trusting)
    assert (None, 200) == (seen.failure, seen.status)
    assert seen.certificate_until is not None
    assert 19.9 < (seen.certificate_until - time.time()) / 86400 < 20.1


@pytest.mark.parametrize(
    ("name", "days", "expected"),
    [
        ("127.0.0.1", {"begins": -10, "ends": -1}, Failure.EXPIRED),
        ("127.0.0.1", {"begins": 1, "ends": 10}, Failure.NOT_YET_VALID),
        ("127.0.0.2", {}, Failure.WRONG_NAME),
        ("other.example", {}, Failure.WRONG_NAME),
    ],
)
async def test_a_bad_certificate(ca, trusting, name, days, expected):
    """It is said which way it is bad, and nothing is asked."""
    async with serving(head(), tls=presenting(ca, name, **days)) as server:
        assert expected is (await see(server.origin("https"), trusting)).failure
    assert [] == server.heads


async def test_a_certificate_for_another_host_name(ca, trusting):
    """A name that the certificate does not have is told as such."""
    async with serving(head(), tls=presenting(ca, "other.example")) as server:
        assert Failure.WRONG_NAME is (await see(server.origin("https", "localhost"), trusting)).failure


async def test_an_authority_that_nobody_trusts(ca):
    """The CA is good, but not this machine's."""
    async with serving(head(), tls=presenting(ca)) as server:
        assert Failure.UNTRUSTED is (await see(server.origin("https"))).failure
    assert [] == server.heads


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_tls_with_garbage(said):
    """What answers a handshake with something else, or ends it, fails it at once."""

    async def talk(reader, writer):
        await reader.read(1)
        writer.write(said)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert Failure.TLS_FAILED is (await see(Upstream("https", "127.0.0.1", port))).failure


async def test_tls_that_never_comes():
    """A server that says nothing is known to have failed before there was a connection to ask on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = await see(Upstream("https", "127.0.0.1", listener.getsockname()[1]), limit=SHORT)
    assert Failure.CONNECT_TIMEOUT is seen.failure
