"""Who gets an answer from the control plane: names and origins, as tables of fields sent byte for byte."""

import asyncio
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.callers.guesses import Guesses
from proxy.config import OOB
from proxy.control.guard import guard, host_names
from proxy.control.plane import make_callback_app
from proxy.secret import Secret

from .conftest import credential, make_config

NAVIGATION = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
PATHS = ("/", "/healthz", "/readyz", "/api/credentials", "/login/a", "/callback", "/absent")


@pytest.mark.parametrize(
    ("served", "host"),
    [
        *(
            (True, name + port)
            for name in ("localhost", "127.0.0.1", "[::1]")
            for port in ("", ":8081", ":1", ":65535")
        ),
        (True, "LOCALHOST"),
        (True, "LocalHost:8081"),
        (True, "localhost."),
        (True, "localhost.:8081"),
        (True, "127.0.0.1."),
        (True, "anything.localhost:8081"),
        (True, "127.9.9.9"),
        (True, "[::ffff:127.0.0.1]"),
        (True, "proxy.internal:8081"),
        (True, "PROXY.Internal"),
        (True, "proxy.internal."),
        (True, "10.1.2.3"),
        (True, "[2001:db8::1]"),
        (True, "signin.example"),
        (True, "signin.example:443"),
        (False, ""),
        (False, "evil.example"),
        (False, "evil.example:8081"),
        (False, "localhost.evil.example"),
        (False, "127.0.0.1.evil.example"),
        (False, "proxy.internal.evil.example"),
        (False, "xproxy.internal"),
        (False, "evil.signin.example"),
        (False, "evillocalhost"),
        (False, "10.1.2.4"),
        (False, "192.168.0.1"),
        (False, "[2001:db8::2]"),
        (False, "0.0.0.0"),
        (False, "[::]"),
        (False, "127.1"),
        (False, "2130706433"),
        (False, "0x7f.0.0.1"),
        (False, "localhost@evil.example"),
        (False, "evil.example@localhost"),
        (False, "u:p@localhost"),
        (False, "localhost:"),
        (False, "localhost:80a"),
        (False, "localhost:8081:8081"),
        (False, "localhost:808181"),
        (False, "localhost, evil.example"),
        (False, "evil.example, localhost"),
        (False, "evil.example localhost"),
        (False, "localhost/"),
        (False, "http://localhost"),
        (False, "::1"),
        (False, "[::1"),
        (False, "[::1%25lo]"),
        (False, "."),
        (False, "l\u00f6calhost"),
        (False, "localhost\u2024"),
    ],
)
async def test_host(serve, served, host):
    """It is a loopback name, what we listen on, or a redirect URI's host: any other is refused, whatever is asked."""
    redirect = "https://SignIn.example/callback"
    asked = await serve(
        credential(redirect_uri=redirect),
        credential("b", redirect_uri=OOB),
        admin=("Proxy.internal:8081", "10.1.2.3:8081", "[2001:db8::1]:8081", "*:8081"),
    )
    for path in PATHS:
        expected = (404 if path == "/absent" else 503 if path == "/readyz" else 200) if served else 403
        answer = await asked("GET", path, f"Host: {host}")
        assert (expected, not served) == (answer.status, "not a name of bearer-proxy's" in answer.text), path


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: localhost", "Host: localhost"),
        ("Host: localhost", "Host: evil.example"),
        ("Host: evil.example", "host: localhost"),
    ],
)
async def test_two_hosts(serve, lines):
    """They are refused, the same one twice too."""
    assert (await (await serve())("GET", "/healthz", *lines)).status in (400, 403)


async def test_no_host(serve):
    """It is refused: HTTP/1.0 may leave it out, a browser does not."""
    asked = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 403 ")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("served", "host", "reached"),
    [
        (True, "10.9.8.7:8081", ("10.9.8.7", 8081)),
        (True, "10.9.8.7", ("10.9.8.7", 8081)),
        (True, "[2001:db8::7]:8081", ("2001:db8::7", 8081, 0, 0)),
        (True, "[2001:DB8::7]", ("2001:db8::7", 8081, 0, 0)),
        (True, "localhost", ("10.9.8.7", 8081)),
        (False, "10.9.8.8", ("10.9.8.7", 8081)),
        (False, "10.9.8.70", ("10.9.8.7", 8081)),
        (False, "[2001:db8::8]", ("2001:db8::7", 8081, 0, 0)),
        (False, "10.9.8.7.evil.example", ("10.9.8.7", 8081)),
        (False, "evil.example", ("10.9.8.7", 8081)),
    ],
)
async def test_address_that_was_reached(served, host, reached):
    """It is a name of ours, and no other address is."""
    transport = Mock()
    transport.get_extra_info.side_effect = {"sockname": reached}.get
    request = make_mocked_request("GET", "/", {"Host": host}, transport=transport)

    async def handler(_):
        return web.Response()

    admit = guard(frozenset(), Secret(""), Guesses())
    if served:
        assert 200 == (await admit(request, handler)).status
    else:
        with pytest.raises(web.HTTPForbidden):
            await admit(request, handler)


@pytest.mark.parametrize("host", ["evil.example", "", "localhost"])
async def test_unix_socket(tmp_path, host):
    """Its names are not looked at: no browser reaches it. What a browser would say of itself is."""
    app = make_callback_app(make_config(tmp_path), nobody)
    runner = web.AppRunner(app)
    await runner.setup()
    path = str(tmp_path / "admin.sock")
    await web.UnixSite(runner, path).start()
    try:
        await speak_over(path, host)
    finally:
        await runner.cleanup()


async def speak_over(path, host):
    """Ask for a page as nobody's page and as another's."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
        for expected, fields in ((200, {}), (403, {"Origin": "http://another.example"})):
            async with session.get("http://localhost/callback", headers={"Host": host, **fields}) as answer:
                assert expected == answer.status


async def nobody(*_):
    raise AssertionError


def test_names(tmp_path):
    """They are where we listen and where sign-ins come back to, in lower case; `*` and unix sockets have none."""
    credentials = [
        credential("a", redirect_uri="https://SignIn.example:8443/callback"),
        credential("b", redirect_uri=OOB),
        credential("c", redirect_uri=""),
        credential("d", redirect_uri="http://[::1]:8081/callback"),
    ]
    admin = ("Proxy:8081", "*:8082", "unix:/run/admin.sock", "[2001:DB8::1]:8083")
    expected = {"proxy", "2001:db8::1", "signin.example", "::1"}
    assert expected == host_names(make_config(tmp_path, *credentials, admin=admin))


@pytest.mark.parametrize(
    ("admitted", "origins"),
    [
        (True, []),
        (True, ["http://localhost:8081"]),
        (True, ["https://localhost:8081"]),
        (True, ["HTTP://LOCALHOST:8081"]),
        (True, ["http://localhost:8081", "http://localhost:8081"]),
        (False, ["null"]),
        (False, [""]),
        (False, ["http://localhost"]),
        (False, ["http://localhost:8080"]),
        (False, ["http://localhost:80810"]),
        (False, ["http://127.0.0.1:8081"]),
        (False, ["ftp://localhost:8081"]),
        (False, ["chrome-extension://localhost:8081"]),
        (False, ["localhost:8081"]),
        (False, ["http://evil.example"]),
        (False, ["http://localhost:8081.evil.example"]),
        (False, ["http://evil.example/http://localhost:8081"]),
        (False, ["http://localhost:8081 http://evil.example"]),
        (False, ["http://localhost:8081/"]),
        (False, ["http://localhost:8081", "http://evil.example"]),
        (False, ["http://evil.example", "http://localhost:8081"]),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/api/credentials"), ("POST", "/callback")])
async def test_origin(serve, admitted, origins, method, path):
    """It is our own, or there is none: else 403."""
    asked = await serve()
    lines = [f"Origin: {origin}" for origin in origins]
    answer = await asked(method, path, "Host: localhost:8081", *lines, body="x=y" if method == "POST" else "")
    assert ((400 if method == "POST" else 200) if admitted else 403) == answer.status
    assert admitted is ("a page of another origin may not do this" not in answer.text)


async def test_origin_of_a_host_without_a_port(serve):
    """It has none either."""
    asked = await serve()
    for expected, origin in ((200, "http://localhost"), (200, "https://localhost"), (403, "http://localhost:81")):
        assert expected == (await asked("GET", "/", "Host: localhost", f"Origin: {origin}")).status


FOREIGN = ("cross-site", "same-site", "Cross-Site", "", "anything", "none, cross-site")


@pytest.mark.parametrize("site", FOREIGN)
@pytest.mark.parametrize(
    ("entrance", "method", "path", "lines"),
    [
        (True, "GET", "/", NAVIGATION),
        (True, "GET", "/callback", NAVIGATION),
        (True, "GET", "/?x=y", NAVIGATION),
        (False, "GET", "/", ()),
        (False, "GET", "/callback", ()),
        (False, "GET", "/", NAVIGATION[:1]),
        (False, "GET", "/callback", NAVIGATION[1:]),
        (False, "GET", "/callback", ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe")),
        (False, "GET", "/callback", ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object")),
        (False, "GET", "/callback", ("Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image")),
        (False, "GET", "/callback", ("Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")),
        (False, "HEAD", "/", NAVIGATION),
        (False, "POST", "/callback", NAVIGATION),
        (False, "POST", "/", NAVIGATION),
        (False, "GET", "/login/a", NAVIGATION),
        (False, "POST", "/login/a", NAVIGATION),
        (False, "GET", "/healthz", NAVIGATION),
        (False, "GET", "/api/credentials", NAVIGATION),
        (False, "GET", "/callback/", NAVIGATION),
        (False, "GET", "//", NAVIGATION),
    ],
)
async def test_request_that_another_site_makes(serve, site, entrance, method, path, lines):
    """It is refused, but for a person who arrives at one of the two entrances."""
    answer = await (await serve())(method, path, f"Sec-Fetch-Site: {site}", *lines)
    assert (200 if entrance else 403) == answer.status


@pytest.mark.parametrize("site", ["same-origin", "none"])
@pytest.mark.parametrize("path", ["/", "/login/a", "/callback", "/healthz"])
async def test_request_that_our_own_page_or_a_person_makes(serve, site, path):
    """It is answered, however it is made."""
    answer = await (await serve())("GET", path, f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: cors")
    assert 200 == answer.status


async def test_arrival_with_an_origin(serve):
    """A person may arrive with one: some browsers keep it on the way back from a form."""
    answer = await (await serve())("GET", "/callback", "Origin: null", "Sec-Fetch-Site: cross-site", *NAVIGATION)
    assert 200 == answer.status
