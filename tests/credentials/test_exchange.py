"""One call of a token endpoint on real sockets: what is sent, and what is certain when the answer goes wrong (T5)."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import pytest
import trustme

from proxy.credentials.answers import MAX_ANSWER, Granted, Outcome, Passing, Refused, Uncertain
from proxy.credentials.exchange import Code, TokenEndpoint, build_code_request, build_request, joined_scopes
from proxy.credentials.record import Tokens, TroubleKind
from proxy.secret import Secret

from .conftest import NOW, credential, within

OLD = Secret("old refresh+token&=")
GOOD = b'{"access_token": "abc", "refresh_token": "new", "expires_in": 60}'
GRANTED = Granted(Tokens(access_token=Secret("abc"), refresh_token=Secret("new"), expires_in=60.0))


def answer(body=GOOD, status="200 OK", headers="", length=None):
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


@dataclass
class Endpoint:
    """A raw server that takes whole requests and answers with bytes, or with what `misbehave` does."""

    reply: bytes = field(default_factory=answer)
    reset: bool = False
    silent: bool = False
    requests: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    port: int = 0

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            self.arrived.set()
            writer.write(self.reply)
            await writer.drain()
            if self.silent:
                await reader.read()
            if self.reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            writer.close()
            await writer.wait_closed()

    @property
    def head(self):
        return self.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")

    @property
    def body(self):
        return self.requests[-1].partition(b"\r\n\r\n")[2]


@pytest.fixture
async def endpoint():
    made = Endpoint()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def exchange(port, refresh_token=OLD, *, timeout=10.0, scheme="http", **changes) -> Outcome:
    call = TokenEndpoint(timeout, clock=lambda: NOW)
    url = f"{scheme}://127.0.0.1:{port}/oauth/token/"
    return await within(call(credential(**{"token_url": url, **changes}), refresh_token))


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


BODY = b"grant_type=refresh_token&refresh_token=old+refresh%2Btoken%26%3D&client_id=our-id&client_secret=our-secret"
FIELDS = {"grant_type": "refresh_token", "refresh_token": OLD.reveal()}
BASIC = "Basic b3VyJTNBaWQ6b3VyJTIwc2VjcmV0"  # our%3Aid:our%20secret


@pytest.mark.parametrize(
    ("changes", "content_type", "authorization", "body"),
    [
        ({}, "x-www-form-urlencoded", None, BODY),
        ({"client_auth": "none"}, "x-www-form-urlencoded", None, BODY.rpartition(b"&")[0]),
        (
            {"client_auth": "basic", "client_id": "our:id", "client_secret": Secret("our secret")},
            "x-www-form-urlencoded",
            BASIC,
            BODY.partition(b"&client_id")[0],
        ),
        ({"scopes": ("order",)}, "x-www-form-urlencoded", None, BODY),
        ({"token_request": "json", "client_auth": "none"}, "json", None, {**FIELDS, "client_id": "our-id"}),
        (
            {"token_request": "json"},
            "json",
            None,
            {**FIELDS, "client_id": "our-id", "client_secret": "our-secret"},
        ),
    ],
    ids=["body", "none", "basic", "scopes are not sent", "JSON none", "JSON body"],
)
async def test_request(endpoint, changes, content_type, authorization, body):
    """It is encoded as the provider wants it, the client named in one place only."""
    assert GRANTED == await exchange(endpoint.port, **changes)
    lines = dict(line.split(": ", 1) for line in endpoint.head[1:])
    assert f"application/{content_type}" == lines["Content-Type"]
    assert authorization == lines.get("Authorization")
    assert body == (json.loads(endpoint.body) if isinstance(body, dict) else endpoint.body)


async def test_request_of_client_credentials(endpoint):
    """It asks for the scopes, and sends no refresh token."""
    assert GRANTED == await exchange(endpoint.port, None, scopes=("a", "b"))
    assert b"grant_type=client_credentials&scope=a+b&client_id=our-id&client_secret=our-secret" == endpoint.body


CODE = Code(Secret("c0de+/&="), Secret("ver1fier"), "http://127.0.0.1:8081/callback")
REDEEM = {
    "grant_type": "authorization_code",
    "code": "c0de+/&=",
    "code_verifier": "ver1fier",
    "redirect_uri": "http://127.0.0.1:8081/callback",
    "client_id": "our-id",
    "client_secret": "our-secret",
}


def less(*keys):
    return {key: value for key, value in REDEEM.items() if key not in keys}


async def redeem(port, *, timeout=10.0, **changes) -> Outcome:
    call = TokenEndpoint(timeout, clock=lambda: NOW)
    config = credential(**{"token_url": f"http://127.0.0.1:{port}/oauth/token/", **changes})
    return await within(call.redeem(config, CODE))


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (REDEEM, {}),
        (REDEEM, {"scopes": ("order",)}),
        (less("redirect_uri"), {"redirect_parameter": "none"}),
        (
            {**less("redirect_uri"), "redirect_url": REDEEM["redirect_uri"]},
            {"redirect_parameter": "redirect_url"},
        ),
        (less("client_secret"), {"client_auth": "none"}),
        (less("client_id", "client_secret"), {"client_auth": "basic"}),
        (REDEEM, {"token_request": "json"}),
    ],
)
async def test_code(endpoint, expected, changes):
    """It is redeemed with the verifier and the redirect of its sign-in, encoded as the provider wants it (RFC 7636)."""
    assert GRANTED == await redeem(endpoint.port, **changes)
    as_json = changes.get("token_request") == "json"
    pairs = list(json.loads(endpoint.body).items()) if as_json else parse_qsl(endpoint.body.decode())
    assert sorted(expected.items()) == sorted(pairs)
    assert ("basic" == changes.get("client_auth")) is any(
        line.startswith("Authorization: Ba") for line in endpoint.head
    )
    assert "POST /oauth/token/ HTTP/1.1" == endpoint.head[0]


@pytest.mark.parametrize(
    ("expected", "reply"),
    [
        (GRANTED, answer(b"access_token=abc&refresh_token=new&expires_in=60&token_type=bearer")),
        (Refused(TroubleKind.GRANT, "invalid_grant"), answer(b'{"error": "invalid_grant"}', "400 Bad Request")),
        (Refused(TroubleKind.GRANT, "invalid_grant"), answer(b'{"error": "invalid_grant"}', "401 Unauthorized")),
        (Refused(TroubleKind.CLIENT, "invalid_client"), answer(b'{"error": "invalid_client"}', "401 Unauthorized")),
        (Refused(TroubleKind.REFUSED, "HTTP 302"), answer(b"", "302 Found", "Location: /elsewhere\r\n")),
        (Passing("the token endpoint answered 503"), answer(b"", "503 Service Unavailable")),
    ],
    ids=["form", "grant", "grant as 401", "client", "redirect", "503"],
)
async def test_answer_to_a_code(endpoint, expected, reply):
    """It is read as any other; the code is sent once, whatever it is."""
    endpoint.reply = reply
    assert expected == await redeem(endpoint.port)
    assert 1 == len(endpoint.requests)


async def test_answer_to_a_code_that_takes_too_long(endpoint):
    """It is waited for as long as for any other, and the code may have been used."""
    endpoint.reply, endpoint.silent = b"", True
    assert Uncertain("the token endpoint did not answer in 0.3 s") == await redeem(endpoint.port, timeout=0.3)
    assert 1 == len(endpoint.requests)


@pytest.mark.parametrize(
    ("expected", "scopes", "separator"),
    [
        ("", (), "space"),
        ("", (), "comma"),
        ("a", ("a",), "comma"),
        ("a b", ("a", "b"), "space"),
        ("a,b", ("a", "b"), "comma"),
    ],
)
def test_scopes(expected, scopes, separator):
    """They are joined in the way of the provider."""
    assert expected == joined_scopes(credential(scopes=scopes, scope_separator=separator))


async def test_scopes_of_client_credentials(endpoint):
    """They are joined in the way of the provider too."""
    assert GRANTED == await exchange(endpoint.port, None, scopes=("a", "b"), scope_separator="comma")
    assert b"&scope=a%2Cb&" in endpoint.body


@pytest.mark.parametrize("request_", [build_request(credential(), OLD), build_code_request(credential(), CODE), CODE])
def test_request_that_is_printed(request_):
    """It tells nothing of what it holds."""
    shown = repr(request_)
    assert [] == [text for text in ("old", "our-secret", "c0de", "ver1fier") if text in shown]


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


BROKEN = "the connection to the token endpoint broke before its answer was complete"


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
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert Passing("the token endpoint refuses connections") == await exchange(unused.getsockname()[1])


async def test_connection_that_takes_too_long():
    """Nothing was sent: passing."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        outcome = await exchange(full.getsockname()[1], timeout=0.3)
    assert Passing("the token endpoint did not answer in 0.3 s") == outcome


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
