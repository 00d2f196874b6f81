"""Whatever callers send, and however broken, on both planes: no log, figure or error repeats what may be a secret."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from .conftest import Run, reply

BROKEN = {
    "method": "GET-DUMMY /t/api HTTP/1.1",
    "version": "GET /t/api HTTP/DUMMY",
    "no target": "GET DUMMY HTTP/1.1",
    "three words": "GET /t/api DUMMY HTTP/1.1",
    "host": "GET /t/api HTTP/1.1\r\nHost: DUMMY@localhost",
    "two hosts": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nHost: DUMMY",
    "absolute": "GET http://me:DUMMY@localhost/t/api HTTP/1.1\r\nHost: localhost",
    "absolute elsewhere": "GET http://DUMMY.example/t/api?a=DUMMY HTTP/1.1\r\nHost: localhost",
    "fragment": "GET /t/api?a=b#DUMMY HTTP/1.1\r\nHost: localhost",
    "CONNECT": "CONNECT DUMMY:443 HTTP/1.1\r\nHost: DUMMY:443",
    "field name": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nX DUMMY: a",
    "field without colon": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nDUMMY",
    "NUL": "GET /t/api?a=DUMMY\0 HTTP/1.1\r\nHost: localhost\r\nCookie: DUMMY\0",
    "length": "POST /t/api HTTP/1.1\r\nHost: localhost\r\nContent-Length: DUMMY",
    "lengths": "POST /t/api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: DUMMY",
    "coding": "POST /t/api HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: DUMMY",
    "chunk": "POST /t/api HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nDUMMY",
    "expectation": "POST /t/api HTTP/1.1\r\nHost: localhost\r\nExpect: 2\r\nX-Key: DUMMY\r\nContent-Length: 1\r\n\r\na",
    "upgrade": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nUpgrade: DUMMY\r\nConnection: upgrade",
    "connection": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nConnection: close, DUMMY",
    "override": "POST /t/api HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: DUMMY\r\nContent-Length: 0",
    "origin": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nOrigin: https://me:DUMMY@a.example",
    "site": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: DUMMY",
    "forwarded": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: DUMMY\r\nForwarded: for=DUMMY",
    "range": "GET /t/api HTTP/1.1\r\nHost: localhost\r\nRange: DUMMY\r\nReferer: https://a.example/?a=DUMMY",
    "long query": "GET /t/api?" + "a=DUMMY&" * 3000 + " HTTP/1.1\r\nHost: localhost",
    "TLS": "\x16\x03\x01DUMMY\r\n\r\n",
    "text": "DUMMY\r\n\r\n",
}
QUERIES = (
    "a=DUMMY",
    "access_token=DUMMY",
    "a=b&bearer_token=DUMMY;c=DUMMY",
    "a=DUMMY&DUMMY-as-a-name",
    "a=%44DUMMY&b=+DUMMY",
    "=DUMMY",
    "a==DUMMY",
    "a?b=DUMMY",
    "code=DUMMY&state=DUMMY#access_token=DUMMY",
)


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_broken_requests(run: Run, canaries, log_format):
    """What is no HTTP is refused without its words, on either plane."""
    dummy, found, refused = canaries["dummy"], [], 0
    short = {"client_header_timeout": "200ms", "keepalive_timeout": "50ms", "lingering_timeout": "50ms"}
    async with run(log_format=log_format, **short, max_request_headers=4096) as proxy:
        proxy.vendor.answers = {"/api": reply("200 Fine")}
        for what, text in BROKEN.items():
            head = text if "\r\n\r\n" in text else f"{text}\r\nX-Key: DUMMY\r\n\r\n"
            for port in (proxy.port, proxy.admin):
                answer = await proxy.send(head.replace("DUMMY", dummy), port)
                refused += answer.startswith("HTTP/1.1 4")
            found += proxy.leaks(what)
        assert refused > 30
        await proxy.look_everywhere()
        found += proxy.leaks("pages")
    assert [] == found


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_values_of_a_query(run: Run, canaries, log_format):
    """Of a query no value is logged, not even one that looks like a name, whether there is a route or not."""
    found = []
    async with run(log_format=log_format) as proxy:
        for query in QUERIES:
            text = query.replace("DUMMY", canaries["dummy"])
            for path in ("/t/api", "/none", "/o/x", "/t/oauth/token", "/t/../x"):
                await proxy.call(f"GET {path}?{text}")
            for path in ("/", "/none", "/login/none", "/callback", "/readyz", "/healthz", "/metrics"):
                await proxy.ask(f"GET {path}?{text}", key=False)
                await proxy.ask(f"GET {path}?{text}")
            found += proxy.leaks(query)
    assert [] == found


async def test_keys(run: Run, canaries):
    """No key, good or bad, is told in any form, nor its hash; and none goes to the vendor."""
    async with run(anonymous="none", log_format="json") as proxy:
        for key in (canaries["client-key"], canaries["client-key-of-before"], canaries["dummy"]):
            basic = base64.b64encode(f"me:{key}".encode()).decode()
            for fields in (
                [f"Authorization: Bearer {key}"],
                [f"Authorization: Basic {basic}"],
                [f"Proxy-Authorization: Basic {basic}"],
                [f"Authorization: {key}"],
                [f"Authorization: Bearer a b {key}", f"Authorization: Digest {key}"],
            ):
                await proxy.call("GET /t/api", *fields)
                await proxy.ask("GET /", *fields, key=False)
            await proxy.call(f"GET /t/api?access_token={quote(key)}&a=b")
        await proxy.look_everywhere()
        assert any(one.startswith("HTTP/1.1 401") for one in proxy.answers)
        assert any(one.startswith("HTTP/1.1 200") for one in proxy.answers)
        sent = "\n".join(proxy.vendor.heads)
    assert "erp" in proxy.log
    assert ["access_token (plain)"] == canaries.found(sent)
    assert [] == proxy.leaks()


async def test_forms(run: Run, canaries):
    """What is posted to the control plane, by strangers and from our own pages, comes back in no page."""
    found, told = [], set[str]()
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/json")
    async with run() as proxy:
        page = await proxy.ask("GET /login/t")
        cookie = f"Cookie: {page.partition('Set-Cookie: ')[2].partition(';')[0]}"
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        dummy = canaries["dummy"]
        texts = (
            dummy,
            f"https://a.example/cb?code={dummy}&state={dummy}",
            f"#access_token={dummy}%20{dummy}&state={dummy}",
            f'{{"access_token": "{dummy} {dummy}", "{dummy}": 1}}',
            f"error={dummy}&error_description={dummy}",
        )
        for text in texts:
            for csrf in (token, dummy):
                body = f"csrf_token={csrf}&pasted={quote(text)}&refresh_token=&expires_in={dummy}"
                for path in ("/login/t/paste", "/login/t/cancel", f"/login/{dummy}/paste", "/callback"):
                    for kind in kinds:
                        await proxy.ask(f"POST {path}", cookie, f"Content-Type: {kind}", body=body)
            await proxy.ask("POST /callback", f"Content-Type: {kinds[0]}", body=text)
            told |= {one.partition("\r\n")[0] for one in proxy.answers}
            found += proxy.leaks(text)
            await proxy.sign_in()
        await proxy.look_everywhere()
        found += proxy.leaks("pages")
    assert [] == found
    assert {f"HTTP/1.1 {one}" for one in ("400 Bad Request", "403 Forbidden", "404 Not Found")} <= told
