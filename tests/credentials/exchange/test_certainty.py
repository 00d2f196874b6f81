"""One call of a token endpoint: what is certain when its answer, or the way to it, goes wrong (T5)."""

import asyncio
import contextlib
import ssl

import pytest
import trustme

from proxy.credentials.answers import MAX_ANSWER, Passing, Refused, Uncertain
from proxy.credentials.record import TroubleKind
from tests.credentials.conftest import within
from tests.support.loops import deaf, full

from .conftest import GOOD, GRANTED, Endpoint, answer, exchange

BROKEN = "the connection to the token endpoint broke before its answer was complete"


async def test_answer_that_is_complete(endpoint):
    """It is read, from one request on one connection."""
    assert GRANTED == await exchange(endpoint.port)
    assert (1, 1) == (endpoint.connections, len(endpoint.requests))
    assert "POST /oauth/token/ HTTP/1.1" == endpoint.head[0]
    assert "Accept: application/json" in endpoint.head


async def test_second_exchange(endpoint):
    """It goes on a connection of its own, and carries no cookie of the first."""
    endpoint.reply = answer(headers="Set-Cookie: session=1; Path=/\r\nConnection: keep-alive\r\n")
    await exchange(endpoint.port)
    await exchange(endpoint.port)
    assert 2 == endpoint.connections
    assert not any(line.lower().startswith("cookie") for line in endpoint.head)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirect(endpoint, status):
    """It is not followed: the refresh token goes to one place."""
    endpoint.reply = answer(b"", status, f"Location: http://127.0.0.1:{endpoint.port}/elsewhere\r\n")
    assert Refused(TroubleKind.REFUSED, f"HTTP {status[:3]}") == await exchange(endpoint.port)
    assert 1 == len(endpoint.requests)


async def test_answer_in_gzip_or_chunks(endpoint):
    """It is read."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (GOOD[:9], GOOD[9:], b""))
    endpoint.reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert GRANTED == await exchange(endpoint.port)


async def test_answer_that_ends_with_the_connection(endpoint):
    """It is read."""
    endpoint.reply = b"HTTP/1.0 200 OK\r\n\r\n" + GOOD
    assert GRANTED == await exchange(endpoint.port)


@pytest.mark.parametrize(
    ("more", "expected"), [(0, GRANTED), (1, Uncertain("the token endpoint's answer is too long"))]
)
@pytest.mark.parametrize("known", [True, False], ids=["with a length", "without a length"])
async def test_answer_that_is_long(endpoint, more, expected, known):
    """It is read up to 1 MiB; beyond, what it says is not known."""
    body = GOOD + b" " * (MAX_ANSWER - len(GOOD) + more)
    endpoint.reply = answer(body) if known else b"HTTP/1.0 200 OK\r\n\r\n" + body
    assert expected == await exchange(endpoint.port)


async def test_answer_without_an_end(endpoint):
    """It is given up at once, not read on."""
    endpoint.reply, endpoint.silent = answer(b" " * (2 * MAX_ANSWER), length=1 << 40), True
    assert Uncertain("the token endpoint's answer is too long") == await exchange(endpoint.port)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        answer(GOOD[:20], length=len(GOOD)),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=["none", "half a head", "truncated", "half a chunk", "bad chunk", "no HTTP", "bad gzip", "huge head"],
)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_answer_that_is_not_complete(endpoint, reply, reset):
    """The token was sent: uncertain."""
    endpoint.reply, endpoint.reset = reply, reset
    assert Uncertain(BROKEN) == await exchange(endpoint.port)
    assert 1 == len(endpoint.requests)


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 200 OK\r\n", answer(GOOD, length=1000)], ids=["none", "head", "part"]
)
async def test_answer_that_takes_too_long(endpoint, reply):
    """The token was sent: uncertain, when the time for the whole exchange is over."""
    endpoint.reply, endpoint.silent = reply, True
    assert Uncertain("the token endpoint did not answer in 0.3 s") == await exchange(endpoint.port, timeout=0.3)
    assert 1 == len(endpoint.requests)


async def test_connection_that_is_refused():
    """Nothing was sent: passing."""
    with deaf() as port:
        assert Passing("the token endpoint refuses connections") == await exchange(port)


async def test_connection_that_takes_too_long():
    """Nothing was sent: passing."""
    with full() as port:
        assert Passing("the token endpoint did not answer in 0.3 s") == await exchange(port, timeout=0.3)


async def test_name_that_does_not_resolve():
    """Nothing was sent: passing."""
    outcome = await exchange(1, token_url="https://nowhere.invalid/token")
    assert Passing("the token endpoint's name cannot be resolved") == outcome


@pytest.mark.parametrize(
    ("answers", "reason"),
    [(True, "TLS with the token endpoint failed"), (False, "the token endpoint did not answer in 0.3 s")],
)
async def test_tls_with_a_server_that_speaks_none(answers, reason):
    """Nothing was sent: passing, though a connection stood."""
    over = asyncio.Event()

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" if answers else b"")
            await reader.read()
            writer.close()
            await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        outcome = await exchange(server.sockets[0].getsockname()[1], scheme="https", timeout=10 if answers else 0.3)
        await within(over.wait())
    assert Passing(reason) == outcome


async def test_certificate_that_is_not_trusted():
    """Nothing was sent: passing, in words that say why."""
    made, context = Endpoint(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context) as server:
        outcome = await exchange(server.sockets[0].getsockname()[1], scheme="https")
    assert Passing("the token endpoint's certificate is not trusted") == outcome
    assert [] == made.requests


async def test_exchange_that_is_cancelled(endpoint):
    """It ends as cancelled, its connection with it."""
    endpoint.reply, endpoint.silent = b"", True
    task = asyncio.create_task(exchange(endpoint.port))
    await within(endpoint.arrived.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
