"""The vendor's list of organizations: what an answer means, as a table, and how it is asked for, on real sockets."""

import asyncio
import json
import ssl

import pytest
import trustme

from proxy.credentials.orglist import MAX_LIST, OrgsEndpoint, rejects, sole
from proxy.errors import (
    OrganizationAmbiguousError,
    OrganizationMissingError,
    OrganizationRefusedError,
    UpstreamCertificateError,
    UpstreamDnsError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamReadTimeoutError,
    UpstreamRefusedError,
    UpstreamTerminatedError,
    UpstreamTlsError,
)
from proxy.secret import Secret

from .conftest import credential, within

CANARY = "canary7f3a9c"


def listing(*results, **more):
    return json.dumps({"count": len(results), "next": None, "previous": None, "results": results, **more}).encode()


def org(key, name="Sample Goods"):
    return {"url": f"/api/v2/orgs/{key}/", "name": name}


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        ("7kQ2f", listing(org("7kQ2f"))),
        ("9~x.B", listing(org("9~x.B"))),
        ("%40x", listing(org("%40x"))),
        ("a", listing({"url": "https://www.readycloud.com/api/v2/orgs/a/?x=y#z"})),
        ("a", listing({"url": "/api/v2/orgs/a"})),
        ("a", listing({"url": "a", "name": 7})),
        ("a", listing(org("a"), org("a", "Another"))),
        ("a", listing(org("a"), count=None, next="")),
        ("a", listing(org("a"), count="2")),
        ("a", listing(org("a"), count=0)),
        ("a", b'{"results": [{"url": "/a/"}]}'),
        ("a", b'\xef\xbb\xbf{"results": [{"url": "/a/"}]}'),
        ("a", '{"results": [{"url": "/a/"}]}'.encode("utf-16")),
    ],
)
@pytest.mark.parametrize("status", [200, 203])
def test_one_organization(expected, body, status):
    """Its key is the last segment of its url."""
    assert expected == sole(status, body, "acme")


@pytest.mark.parametrize(
    ("expected", "more", "body"),
    [
        (["One (1)", "Two (2)"], 0, listing(org("1", "One"), org("2", "Two"))),
        (["1", "2"], 0, listing({"url": "/1/"}, {"url": "/2/", "name": ["x"]})),
        (["One (1)"], 4, listing(org("1", "One"), count=5)),
        (["One (1)"], 1, listing(org("1", "One"), next="https://x/?page=2")),
        (["One (1)"], 1, listing(org("1", "One"), {"name": "no url"})),
        (["One (1)"], 2, listing(org("1", "One"), org(".."), None)),
        ([f"N{n} ({n})" for n in range(10)], 0, listing(*(org(str(n), f"N{n}") for n in range(10)))),
        ([f"N{n} ({n})" for n in range(10)], 3, listing(*(org(str(n), f"N{n}") for n in range(12)), count=13)),
        (["a\u00e9\u2603 (1)", "2"], 0, listing(org("1", "a\u202e\u00e9\n\x1b\u2603\x00"), org("2", "\u200b"))),
        (["x" * 60 + " (1)", "y" * 59 + "… (2)"], 0, listing(org("1", "x" * 60), org("2", "y" * 61))),
    ],
)
def test_several_organizations(expected, more, body):
    """They are named as far as that can be printed, ten at most; what cannot be read counts."""
    with pytest.raises(OrganizationAmbiguousError) as caught:
        sole(200, body, "acme")
    assert tuple(expected) == caught.value.organizations
    assert (f" and {more} more;" in caught.value.description) is bool(more)
    assert "acme" == caught.value.credential


@pytest.mark.parametrize("body", [listing(), b'{"results": []}'])
def test_no_organization(body):
    """It is said, with what to do."""
    with pytest.raises(OrganizationMissingError, match=r"acme has no organization.* set org_pk of the credential acme"):
        sole(200, body, "acme")


@pytest.mark.parametrize(
    "key",
    [
        *("", ".", "..", "%2e%2E", ".%2e", "a%2Fb", "..%2f..%2f", "a%5cb", "a%3bx", "a%00", "a%1f", "a%7F"),
        *("a b", "a;b", "a\\b", "a\r\nb", "é", "%", "%4", "%zz", "{org_pk}", "@me"),
    ],
)
def test_key_that_is_no_segment(key):
    """It never gets into a path."""
    with pytest.raises(UpstreamError, match="has a key that can be read"):
        sole(200, listing(org(key)), "acme")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b"<html>",
        b"\xff\xfe\xfd",
        b'{"results": {}}',
        b'{"results": null}',
        b'{"objects": [{"url": "/a/"}]}',
        b'[{"url": "/a/"}]',
        listing(org("a"))[:-1],
        b"[" * 100_000,
        b'{"results": [' + b"[" * 100_000,
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
def test_answer_that_is_no_list(body):
    """It is the upstream's fault, and nothing of it is told."""
    with pytest.raises(
        UpstreamError, match=r"^the vendor's list of the organizations of acme cannot be read$"
    ) as caught:
        sole(200, body, "acme")
    assert type(caught.value) is UpstreamError


@pytest.mark.parametrize(
    ("expected", "status", "words"),
    [
        (OrganizationRefusedError, 403, "may lack the scope company-read_only; sign in with it, or set org_pk"),
        (OrganizationRefusedError, 404, "answered 404 when asked for the organizations of acme: set org_pk of the"),
        (OrganizationRefusedError, 401, "answered 401"),
        (OrganizationRefusedError, 429, "answered 429"),
        (OrganizationRefusedError, 301, "answered 301"),
        (UpstreamError, 500, "answered 500"),
        (UpstreamError, 503, "answered 503"),
    ],
)
def test_answer_that_says_no(expected, status, words):
    """The status is told, and no word of the vendor's; a server's trouble is another thing than a refusal."""
    body = json.dumps({"error": CANARY, "error_description": CANARY, "results": [org("a")]}).encode()
    with pytest.raises(UpstreamError, match=words) as caught:
        sole(status, body, "acme")
    assert type(caught.value) is expected
    assert CANARY not in caught.value.description


@pytest.mark.parametrize(
    ("expected", "status", "body"),
    [
        (True, 401, b""),
        (True, 401, listing(org("a"))),
        (True, 403, b'{"error": "invalid_token"}'),
        (True, 400, b'{"error": "invalid_token"}'),
        (False, 403, b'{"error": "insufficient_scope"}'),
        (False, 403, b"invalid_token"),
        (False, 403, b'["invalid_token"]'),
        (False, 200, b'{"error": "invalid_token"}'),
        (False, 503, b'{"error": "invalid_token"}'),
        (False, 200, listing(org("a"))),
    ],
)
def test_rejection(expected, status, body):
    """It is what the gateway takes for one, too."""
    assert expected is rejects(status, body)


class Server:
    """A raw server that answers with bytes and closes."""

    def __init__(self):
        self.reply = b""
        self.requests = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.port = 0

    async def serve(self, reader, writer):
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self.hold.wait()
            writer.write(self.reply)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    def answers(self, body, status="200 OK", *fields):
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.reply = "\r\n".join(head).encode() + b"\r\n\r\n" + body


@pytest.fixture
async def server():
    made = Server()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as listening:
        made.port = listening.sockets[0].getsockname()[1]
        yield made
        made.hold.set()


async def ask(port, *, timeout=10.0, host="127.0.0.1", scheme="http", base=""):
    one = credential(upstream=f"{scheme}://{host}:{port}{base}", orgs_path="/api/v2/orgs/")
    return await within(OrgsEndpoint(timeout)(one, Secret("token.1")))


@pytest.mark.parametrize("base", ["", "/base"])
async def test_request(server, base):
    """It asks the provider's origin with the token, once, for JSON that is not compressed."""
    server.answers(listing(org("a")))
    assert (200, listing(org("a"))) == await ask(server.port, base=base)
    (request,) = server.requests
    line, *fields = request.strip().split("\r\n")
    assert "GET /api/v2/orgs/ HTTP/1.1" == line
    named = dict(field.split(": ", 1) for field in fields)
    assert {"Host", "Accept", "Accept-Encoding", "Authorization", "User-Agent"} >= named.keys() - {"Connection"}
    assert ("Bearer token.1", "identity", "application/json") == (
        named["Authorization"],
        named["Accept-Encoding"],
        named["Accept"],
    )


async def test_redirect(server):
    """It is not followed."""
    server.answers(b"", "302 Found", f"Location: http://127.0.0.1:{server.port}/elsewhere")
    assert (302, b"") == await ask(server.port)
    assert 1 == len(server.requests)


@pytest.mark.parametrize(("more", "whole"), [(0, True), (1, False)])
async def test_list_that_is_too_long(server, more, whole):
    """It is not read to its end, and counts as none."""
    server.answers(b"x" * (MAX_LIST + more))
    assert (200, b"x" * MAX_LIST if whole else b"") == await ask(server.port)


async def test_vendor_that_does_not_answer(server):
    """It is given up in time."""
    server.hold.clear()
    with pytest.raises(UpstreamReadTimeoutError, match="did not answer in time"):
        await ask(server.port, timeout=0.1)


@pytest.mark.parametrize(
    ("expected", "reply"),
    [
        (UpstreamTerminatedError, b""),
        (UpstreamTerminatedError, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"),
        (UpstreamProtocolError, b"what?\r\n\r\n"),
    ],
)
async def test_answer_that_breaks(server, expected, reply):
    """It is mapped to an error of ours."""
    server.reply = reply
    with pytest.raises(expected, match="asked for the organizations of acme") as caught:
        await ask(server.port)
    assert "token.1" not in f"{caught.value!r}"


async def test_vendor_that_cannot_be_reached(unused_tcp_port):
    """It is said how."""
    with pytest.raises(UpstreamRefusedError, match="cannot be connected to"):
        await ask(unused_tcp_port)
    with pytest.raises(UpstreamDnsError, match="its name has no address"):
        await ask(unused_tcp_port, host="nowhere.invalid")


async def test_certificate_that_is_not_trusted():
    """The token is not sent."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    made = Server()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context) as listening:
        with pytest.raises(UpstreamCertificateError, match="not trusted"):
            await ask(listening.sockets[0].getsockname()[1], scheme="https")
    assert [] == made.requests


async def test_vendor_that_speaks_no_tls():
    """It is said."""

    async def serve(_, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        with pytest.raises(UpstreamTlsError):
            await ask(listening.sockets[0].getsockname()[1], scheme="https")
