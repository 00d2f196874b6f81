"""A vendor that repeats our secrets wherever an answer has room: none gets into a log, a page, a figure, an error."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.support.canaries import Canaries
from tests.support.processes import free_port

from .conftest import REJECTED, Run, Vendor, inside, reply

CHUNKED = "HTTP/1.1 200 Fine\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
NEW = '"access_token": "newer-access", "refresh_token": "newer-refresh"'

MALFORMED = {
    "status line": "HTTP/1.1 ECHO ECHO\r\n\r\n",
    "no HTTP": "ECHO\r\n\r\n",
    "version": "HTTP/ECHO 200 Fine\r\n\r\n",
    "field without colon": "HTTP/1.1 200 Fine\r\nECHO\r\n\r\n",
    "field name": "HTTP/1.1 200 Fine\r\nX ECHO: ECHO\r\n\r\n",
    "field with NUL": "HTTP/1.1 200 Fine\r\nX: ECHO\0\r\n\r\n",
    "folded field": "HTTP/1.1 200 Fine\r\nX: a\r\n ECHO\r\nContent-Length: ECHO\r\n\r\n",
    "length": "HTTP/1.1 200 Fine\r\nContent-Length: ECHO\r\n\r\nECHO",
    "transfer coding": "HTTP/1.1 200 Fine\r\nTransfer-Encoding: ECHO\r\n\r\nECHO",
    "content coding": "HTTP/1.1 200 Fine\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n\r\nECHO",
    "chunk size": f"{CHUNKED}ECHO\r\nECHO\r\n",
    "head without end": "HTTP/1.1 200 ECHO\r\nX: ECHO",
    "body without end": "HTTP/1.1 200 Fine\r\nContent-Length: 9999\r\n\r\nECHO",
    "long head": "HTTP/1.1 200 Fine\r\n" + "X: ECHO\r\n" * 1000 + "\r\n",
    "other protocol": "HTTP/1.1 101 ECHO\r\nUpgrade: ECHO\r\nConnection: upgrade\r\n\r\nECHO",
    "interim answers": "HTTP/1.1 103 ECHO\r\nLink: <ECHO>\r\n\r\n" * 50,
}
TOKEN_ANSWERS = MALFORMED | {
    "error": '{"error": "ECHO", "error_description": "ECHO", "error_uri": "ECHO"}',
    "description": '{"error": "invalid_grant", "error_description": "No such refresh token: ECHO"}',
    "keys": '{"ECHO": {"ECHO": "ECHO"}, "error": {"ECHO": "ECHO"}}',
    "text": "ECHO",
    "form": "error=ECHO&error_description=ECHO",
    "JSON without end": '{"access_token": "ECHO',
    "token with blanks": '{"access_token": "a b ECHO", "refresh_token": "ECHO"}',
    "lifetime": f'{{{NEW}, "expires_in": "ECHO", "token_type": "ECHO"}}',
    "scope": f'{{{NEW}, "scope": "ECHO", "expires_in": 3600}}',
    "scope of what was sent": f'{{{NEW}, "scope": "read SENT"}}',
    "scope of new tokens": f'{{{NEW}, "scope": "read newer-access newer-refresh"}}',
    "chunk extension": f"{CHUNKED}2;ECHO=ECHO\r\n{{}}\r\n0;ECHO\r\n\r\n",
    "trailer": f"{CHUNKED}2\r\n{{}}\r\n0\r\nX: ECHO\r\nECHO\r\n\r\n",
}
HEADS = ("200 ECHO", "302 ECHO", "400 ECHO", "401 ECHO", "403 ECHO", "429 ECHO", "500 ECHO", "502 ECHO")
FIELDS = (
    "Location: https://x.example/ECHO?a=ECHO#ECHO",
    'WWW-Authenticate: Bearer error="ECHO", error_description="ECHO"',
    "WWW-Authenticate: ECHO",
    "Set-Cookie: ECHO=ECHO; Path=/ECHO; Domain=ECHO",
    "Retry-After: ECHO",
    "Date: ECHO",
    "Content-Type: application/json; charset=ECHO",
    "Server: ECHO",
    "Proxy-Status: ECHO",
)
LISTS = {
    "names": '{"results": [{"name": "a ECHO", "url": "/orgs/ab/"}, {"name": "ECHO", "url": "/orgs/cd/"}]}',
    "keys": '{"results": [{"name": "a", "url": "/orgs/TOKEN/"}, {"name": "b", "url": "/orgs/TOKEN-2/"}]}',
    "count": '{"results": [{"name": "a", "url": "/orgs/ab/"}], "count": "ECHO", "next": "ECHO"}',
    "error": '{"error": "ECHO", "detail": "ECHO"}',
    "text": "ECHO",
}


def filled(text: str, canaries: Canaries) -> bytes:
    """Put the secrets into an answer, which is a whole one or a body."""
    whole = text if text.startswith("HTTP/") or text in MALFORMED.values() else ""
    answer = whole.encode("latin-1") or reply("200 Fine", "Content-Type: application/json", body=text)
    echo = answer.replace(b"ECHO", canaries.echo().encode())
    sent = echo.replace(b"SENT", canaries["refresh_token"].encode())
    return sent.replace(b"TOKEN", canaries["access_token"].encode())


@pytest.mark.parametrize(("status", "log_format"), [("200", "text"), ("400", "json")])
async def test_token_endpoint(run: Run, canaries, status, log_format):
    """Whatever is wrong with an answer of the token endpoint, it is not told in the vendor's words."""
    canaries.add("new access token", "newer-access")
    canaries.add("new refresh token", "newer-refresh")
    found = []
    async with run(log_format=log_format) as proxy:
        for what, text in TOKEN_ANSWERS.items():
            answer = filled(text, canaries).replace(b" 200 ", f" {status} ".encode())
            proxy.vendor.answers = {"/api": REJECTED, "/token": answer}
            await proxy.call()
            await proxy.look_everywhere()
            assert "exchange for t" in proxy.log
            found += proxy.leaks(what)
            await proxy.sign_in()
    assert [] == found


async def test_token_endpoint_with_fields(run: Run, canaries):
    """Nor is what stands in the fields of its answer, a redirect among them; that is not followed."""
    found = []
    async with run(log_format="json") as proxy:
        for number, head in enumerate(HEADS, 1):
            answer = reply(head, *FIELDS, body='{"error": "invalid_client"}').replace(b"ECHO", canaries.echo().encode())
            proxy.vendor.answers = {"/api": REJECTED, "/token": answer}
            await proxy.call()
            await proxy.look_everywhere()
            assert "exchange for t" in proxy.log
            assert 2 * number == len(proxy.vendor.heads)
            found += proxy.leaks(head)
            await proxy.sign_in()
    assert [] == found


async def test_api(run: Run, canaries):
    """An answer of the API that cannot be passed on is not told in its words; of one that breaks off, the log tells."""
    found, refused = [], 0
    async with run() as proxy:
        for what, text in MALFORMED.items():
            proxy.vendor.answers = {"/api": filled(text, canaries)}
            if (await proxy.call()).startswith(("HTTP/1.1 200", "HTTP/1.1 101")):
                proxy.answers.clear()
            else:
                refused += 1
            await proxy.look_everywhere()
            assert " /t/api " in proxy.log
            found += proxy.leaks(what)
    assert [] == found
    assert refused > 10


async def test_api_with_fields(run: Run, canaries):
    """What the API says goes to the caller alone, and into no field that we make."""
    found = []
    async with run() as proxy:
        for head in HEADS:
            answer = reply(head, *FIELDS[:-1], body='{"error": "invalid_token", "a": "ECHO"}')
            proxy.vendor.answers = {
                "/api": answer.replace(b"ECHO", canaries.echo().encode()),
                "/token": reply("400 No", body='{"error": "invalid_grant"}'),
            }
            given = (await proxy.call()).split("\r\n")
            proxy.answers[:] = [line for line in given if line.lower().startswith(("proxy-status:", "via:"))]
            await proxy.look_everywhere()
            found += proxy.leaks(head)
            await proxy.sign_in()
    assert [] == found


@pytest.mark.parametrize("status", ["200", "403", "500"])
async def test_organizations(run: Run, canaries, status):
    """A list of organizations in which secrets stand is told without them."""
    found = []
    async with run() as proxy:
        for what, text in (LISTS | MALFORMED).items():
            proxy.vendor.answers = {"/orgs": filled(text, canaries).replace(b" 200 ", f" {status} ".encode())}
            assert "problem+json" in await proxy.call("GET /o/x")
            await proxy.look_everywhere()
            assert " /o/x " in proxy.log
            found += proxy.leaks(what)
            await proxy.sign_in()
    assert [] == found


def at(url, canaries):
    """A vendor at another address, with a route to an organization."""
    return {
        "providers": {"x": {"upstream": url, "token_url": f"{url}/token", "authorize_url": url, "orgs_path": "/orgs"}},
        "credentials": {"x": {"provider": "x", "client_id": "id", "client_secret": canaries["client-secret"]}},
        "routes": [
            {"prefix": "/x", "credential": "x"},
            {"prefix": "/y", "credential": "x", "upstream": url + "/{org_pk}"},
        ],
    }


@pytest.mark.parametrize("trusted", [True, False], ids=["another name", "another authority"])
async def test_certificate(tmp_path, canaries, trusted):
    """A certificate that is not the vendor's is refused without its names."""
    authority, names = trustme.CA(), Vendor()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    if not trusted:
        authority = trustme.CA(organization_name=canaries["authority"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(f"{canaries['name']}.example", common_name=canaries["common-name"]).configure_cert(tls)
    await names.start(tls)
    url = f"https://127.0.0.1:{names.port}"
    try:
        async with inside(tmp_path, canaries, ca_file="ca.pem", **at(url, canaries)) as proxy:
            for path in ("/x", "/y"):
                assert "certificate" in await proxy.call(f"GET {path}")
            await proxy.core.keeper("x").refresh()
            await proxy.look_everywhere()
            assert "certificate is not trusted" in proxy.log
    finally:
        await names.stop()
    assert [] == proxy.leaks()


@pytest.mark.parametrize(
    "answer", ["HTTP/1.1 407 ECHO\r\nX: ECHO\r\n\r\nECHO", "HTTP/1.1 200 ECHO\r\n\r\nECHO", "ECHO\r\n\r\n", ""]
)
async def test_egress_proxy(tmp_path, canaries, monkeypatch, answer):
    """What a forward proxy says, and the user and password that it is given, are told to nobody."""
    password, egress = canaries["proxy-password"], Vendor()
    await egress.start()
    for variable in ("https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://{canaries['proxy-user']}:{password}@127.0.0.1:{egress.port}")
    monkeypatch.setenv("no_proxy", "")
    egress.answers = {"": answer.replace("ECHO", canaries.echo()).encode() or b"HTTP/1.1"}
    url = f"https://192.0.2.1:{free_port()}"
    try:
        async with inside(tmp_path, canaries, proxy_connect_timeout="5s", **at(url, canaries)) as proxy:
            for path in ("/x", "/y"):
                await proxy.call(f"GET {path}")
            await proxy.core.keeper("x").refresh()
            await proxy.look_everywhere()
            assert "exchange for x" in proxy.log
    finally:
        await egress.stop()
    assert len(egress.heads) >= 3
    assert all("Proxy-Authorization: Basic" in head for head in egress.heads)
    assert [] == proxy.leaks()
