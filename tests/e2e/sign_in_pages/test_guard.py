"""What the control plane's pages refuse: forms, hosts, origins, bodies and markup that are not their own."""

from __future__ import annotations

import asyncio
import io
import re
from html import escape

import aiohttp
import pytest

from tests.support.beside import PATIENCE
from tests.support.person import Person, person
from tests.support.site import Site

from .conftest import SIGN_IN

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("form", ["none", "of another browser", "made up", "empty"])
@pytest.mark.parametrize(
    "action", ["/login/cloud66", "/login/cloud66/paste", "/login/cloud66/cancel", "/logout/cloud66"]
)
async def test_a_form_without_its_token(here: Site, visitor: Person, action: str, form: str) -> None:
    """Nothing is done by a form that this browser was not given."""
    await here.bring_tokens("cloud66")
    found = re.search(r'value="([0-9a-f]{64})"', await visitor.open(f"{here.url}/login/cloud66"))
    assert found
    async with person() as other:
        theirs = re.search(r'value="([0-9a-f]{64})"', await other.open(f"{here.url}/login/cloud66"))
        assert theirs
        assert found[1] != theirs[1]
        token = {"of another browser": theirs[1], "made up": "0" * 64, "empty": ""}.get(form)
    fields = {"pasted": "abc"} | ({} if token is None else {"csrf_token": token})
    before = await here.generation("cloud66")
    said = await visitor.post(here.url + action, fields, headers={"Origin": here.url})
    assert 403 == visitor.status
    assert "this form is not one that was given to this browser" in said
    assert before == await here.generation("cloud66")
    await visitor.post(here.url + action, {**fields, "csrf_token": found[1]}, headers={"Origin": here.url})
    assert 403 != visitor.status, "the right one would have done"


async def test_what_links_do(here: Site, visitor: Person) -> None:
    """No GET changes anything."""
    await visitor.open(f"{here.url}/login/cloud66")
    before = {name: await here.generation(name) for name in SIGN_IN}
    for path in ("/login/cloud66/paste?pasted=abc", "/login/cloud66/cancel", "/refresh/cloud66", "/logout/cloud66"):
        await visitor.open(here.url + path)
        assert 405 == visitor.status, path
    assert before == {name: await here.generation(name) for name in SIGN_IN}


async def test_a_credential_that_does_not_exist(here: Site, visitor: Person) -> None:
    """It is a 404 that repeats nothing, for a GET and for a form."""
    for path in ("/login/nobody", "/login/%3Cscript%3E"):
        said = await visitor.open(here.url + path)
        assert (404, False) == (visitor.status, "script" in said)
    page = await visitor.open(f"{here.url}/login/cloud66")
    form = page.replace("/login/cloud66", "/login/nobody")
    await visitor.submit(f"{here.url}/login/nobody", form, "/login/nobody")
    assert 404 == visitor.status


@pytest.mark.parametrize(
    "path", ["/", "/login/cloud66", "/login/onecloud", "/callback", "/callback?code=a&state=b", "/nowhere", "/healthz"]
)
async def test_fields_of_every_page(here: Site, visitor: Person, path: str) -> None:
    """None is kept, framed, or sniffed, and no script runs but our own."""
    await visitor.open(here.url + path)
    assert ("no-store", "nosniff", "DENY", "same-origin") == tuple(
        visitor.headers.get(name)
        for name in ("Cache-Control", "X-Content-Type-Options", "X-Frame-Options", "Cross-Origin-Resource-Policy")
    )
    cookie = visitor.headers.get("Set-Cookie", "")
    assert not cookie or ("HttpOnly" in cookie and "SameSite=Lax" in cookie), cookie
    assert bool(cookie) == (path == "/" or path.startswith("/login"))
    policy = visitor.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert visitor.headers.get("Referrer-Policy") in ("same-origin", "no-referrer")


async def raw(port: int, request: str) -> tuple[int, str]:
    """Send bytes as they are, and give status and answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.replace("\n", "\r\n").encode("latin-1"))
        async with asyncio.timeout(PATIENCE):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    return int(answer.split()[1]), answer


@pytest.mark.parametrize(
    ("expected", "host"),
    [
        (200, "127.0.0.1:{port}"),
        (200, "localhost:{port}"),
        (200, "LOCALHOST"),
        (200, "[::1]:{port}"),
        (403, "evil.test:{port}"),
        (403, "evil.test"),
        (403, "127.0.0.1.evil.test:{port}"),
        (403, "localhost.evil.test"),
        (403, "192.168.0.1"),
        (403, ""),
        (403, "127.0.0.1@evil.test"),
        (403, "evil.test\nHost: 127.0.0.1"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/callback", "/api/credentials", "/login/cloud66"])
async def test_dns_rebinding(here: Site, expected: int, host: str, path: str) -> None:
    """A page whose name leads to 127.0.0.1 is answered nothing that it could use."""
    host = host.format(port=here.proxy.admin_port)
    status, answer = await raw(here.proxy.admin_port, f"GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n\n")
    assert (status == 200) == (expected == 200), answer
    assert status in (200, 400, 403)
    if status != 200:
        assert [] == [name for name in ("readycloud", "csrf", "bearer_proxy_session") if name in answer]


CROSS = {"Sec-Fetch-Site": "cross-site"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("expected", "method", "path", "fields"),
    [
        (200, "GET", "/", {**CROSS, **NAVIGATION}),
        (200, "GET", "/callback", {**CROSS, **NAVIGATION}),
        (200, "GET", "/login/cloud66", {"Sec-Fetch-Site": "none", **NAVIGATION}),
        (403, "GET", "/", {**CROSS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
        (403, "GET", "/", {**CROSS, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
        (403, "GET", "/callback", {**CROSS, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
        (403, "GET", "/callback", {**CROSS, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}),
        (403, "GET", "/login/cloud66", {**CROSS, **NAVIGATION}),
        (403, "GET", "/api/credentials", {**CROSS, **NAVIGATION}),
        (403, "GET", "/api/credentials", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
        (403, "GET", "/api/credentials", {"Origin": "http://evil.test"}),
        (403, "GET", "/api/credentials", {"Origin": "null"}),
        (403, "POST", "/callback", {"Origin": "http://evil.test"}),
        (403, "POST", "/callback", {"Origin": "null"}),
        (403, "POST", "/callback", {"Origin": "http://127.0.0.1:1"}),
        (403, "POST", "/callback", {**CROSS, **NAVIGATION}),
        (403, "POST", "/login/cloud66", {"Origin": "http://evil.test", **CROSS, **NAVIGATION}),
        (403, "POST", "/logout/cloud66", {"Origin": "http://localhost:1"}),
    ],
)
async def test_requests_of_other_origins(
    here: Site, visitor: Person, expected: int, method: str, path: str, fields: dict[str, str]
) -> None:
    """Only a person's navigation may come from elsewhere, and only to the entrances; no answer may be read there."""
    ask = visitor.open if method == "GET" else visitor.post
    await ask(here.url + path, headers=fields)
    assert expected == visitor.status
    assert "Access-Control-Allow-Origin" not in visitor.headers


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"state=\xff\xfe&code=1"),
        ("text/plain; charset=nonsense", b"state=1&code=1"),
        ("application/x-www-form-urlencoded; charset=utf-16", b"odd"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=csrf_token\r\n\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n1\r\n--x--',
        ),
        ("application/x-www-form-urlencoded", b"a" * 3_000_000),
        ("application/x-www-form-urlencoded", b"&".join([b"state=1"] * 100_000)),
        ("application/json", b"{" * 10_000),
    ],
)
@pytest.mark.parametrize("path", ["/callback", "/login/cloud66/paste"])
async def test_bodies_that_are_no_forms(here: Site, path: str, kind: str, body: bytes) -> None:
    """They are refused as the caller's mistake; nothing breaks, and nothing of them is logged."""
    sent = io.BytesIO(body)  # bytes of that size would be a warning
    async with (
        aiohttp.ClientSession() as session,
        session.post(here.url + path, data=sent, headers={"Content-Type": kind}) as answer,
    ):
        assert 400 <= answer.status < 500, await answer.text()
    assert "Error handling request" not in here.proxy.log


async def test_a_callback_with_markup(here: Site, visitor: Person) -> None:
    """Nothing of what comes in the address stands in the page."""
    for query in ("code=<script>canary</script>&state=<b>canary", "error=<script>canary&error_description=canary"):
        said = await visitor.open(f"{here.url}/callback?{query}".replace("<", "%3C").replace(">", "%3E"))
        assert 400 == visitor.status
        assert "canary" not in said
        assert escape("canary<") not in said
