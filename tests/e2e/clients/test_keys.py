"""Keys as clients of others send them: each way that they know opens, and none of them tells the vendor the key."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import websocket
from readycloud import ReadyCloud

from tests.e2e.clients.curl import curl
from tests.e2e.clients.programs import WITHIN, program, run
from tests.e2e.conftest import Gateway, Settings
from tests.support.upstream import Upstream, reply

KEY, UMLAUT = "erp-key:0123456789/+=@%", "schl\u00fcssel-0123456789"
QUOTED = urllib.parse.quote(KEY, safe="")
HOST = "site.internal"  # a name by which the vendor is reached where the proxy is a forward proxy


@pytest.fixture(scope="module")
def unix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxy listens beside its port."""
    return tmp_path_factory.mktemp("unix") / "s"


@pytest.fixture(scope="module")
def settings(unix: Path) -> Settings:
    """Nobody here is admitted without a key."""
    own = {"listen": f"unix:{unix}", "prefix": "/t", "credential": "test", "name": "unix"}
    return {
        "anonymous": "none",
        "clients": {"erp": {"key": [KEY, UMLAUT]}},
        "routes": [own, {"host": HOST, "credential": "test"}],
    }


def kept_from(gateway: Gateway, upstream: Upstream, number: int = 1) -> None:
    """See that the vendor got requests with its token, and nothing of the key; nor did the log."""
    assert number == len(upstream.requests)
    forms = [KEY, QUOTED, urllib.parse.quote(KEY), urllib.parse.quote_plus(KEY), UMLAUT]
    forms += [b64encode(f"{user}:{key}".encode()).decode() for user in ("erp", "") for key in (KEY, UMLAUT)]
    for seen in upstream.requests:
        assert gateway.tokens.access == seen.token
        sent = b"\n".join([seen.line, *seen.fields, seen.body])
        assert [] == [form for form in forms if form.encode() in sent]
        assert [] == seen.values(b"proxy-authorization")
    assert [] == [form for form in forms if form in gateway.proxy.log]


CURL = {
    "user": ["-u", f"erp:{KEY}", "URL"],
    "user without a name": ["-u", f":{KEY}", "URL"],
    "user in the URL": ["http://erp:QUOTED@ADDRESS/t/a"],
    "user in another script": ["-u", f"erp:{UMLAUT}", "URL"],
    "any method": ["--anyauth", "-u", f"erp:{KEY}", "URL"],
    "field": ["-H", f"Authorization: Bearer {KEY}", "URL"],
    "field in lower case": ["-H", f"authorization: bearer {KEY}", "URL"],
    "bearer": ["--oauth2-bearer", KEY, "URL"],
    "query": ["URL?access_token=QUOTED"],
    "another query": ["URL?bearer_token=QUOTED"],
    "encoded query": ["-G", "--data-urlencode", f"access_token={KEY}", "URL"],
    "forward proxy": ["-x", "http://erp:QUOTED@ADDRESS", f"http://{HOST}/a"],
    "forward proxy with its user": ["-x", "http://ADDRESS", "--proxy-user", f"erp:{KEY}", f"http://{HOST}/a"],
    "forward proxy with a field": [
        "-x",
        "http://ADDRESS",
        "--proxy-header",
        f"Proxy-Authorization: Bearer {KEY}",
        f"http://{HOST}/a",
    ],
    "unix socket": ["--unix-socket", "UNIX", "-u", f"erp:{KEY}", "http://any/t/a"],
    "HTTP/1.0": ["-0", "-u", f"erp:{KEY}", "URL"],
    "a dummy beside it": ["-H", "Authorization: Bearer dummy", "URL?access_token=QUOTED"],
}


@pytest.mark.parametrize("how", [*CURL])
async def test_curl(gateway: Gateway, upstream: Upstream, unix: Path, tmp_path: Path, how: str) -> None:
    """Each way in which curl is given a password or a token."""
    address = gateway.proxy.url.removeprefix("http://")
    arguments = [
        one.replace("URL", f"{gateway.proxy.url}/t/a")
        .replace("QUOTED", QUOTED)
        .replace("ADDRESS", address)
        .replace("UNIX", str(unix))
        for one in CURL[how]
    ]
    done = await asyncio.to_thread(curl, tmp_path, *arguments)
    assert (0, 200, b"ok") == (done.code, done.status, done.out)
    kept_from(gateway, upstream)
    assert b"GET /a HTTP/1.1" == upstream.requests[0].line


@pytest.mark.parametrize(
    "arguments",
    [[], ["-u", "erp:wrong"], ["-u", f"{KEY}:"], ["--oauth2-bearer", "wrong"], ["-x", "http://x:wrong@ADDRESS"]],
)
async def test_curl_without_the_key(gateway: Gateway, upstream: Upstream, tmp_path: Path, arguments: list[str]) -> None:
    """It is told what is missing, and nothing goes on."""
    address = gateway.proxy.url.removeprefix("http://")
    where = [one.replace("ADDRESS", address) for one in arguments]
    done = await asyncio.to_thread(curl, tmp_path, *where, f"{gateway.proxy.url}/t/a")
    assert (401, "key_required") == (done.status, json.loads(done.out)["error"])
    assert [] == upstream.requests


async def test_curl_that_is_asked(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    """With a choice of methods it asks first, and takes up the challenge; its body arrives whole, and once."""
    done = await asyncio.to_thread(
        curl, tmp_path, "--anyauth", "-u", f"erp:{KEY}", "-d", "x" * 100_000, f"{gateway.proxy.url}/t/a"
    )
    assert 200 == done.status
    kept_from(gateway, upstream)
    assert b"x" * 100_000 == upstream.requests[0].body


async def test_curl_on_the_way_to_another_page(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    """A redirect, and a Referer that curl makes of the address it came from, carry no key along."""
    there = b"Location: http://127.0.0.1:%d/b" % gateway.upstream_port
    upstream.script(reply(302, there))
    url = f"{gateway.proxy.url}/t/a?access_token={QUOTED}&b=1"
    done = await asyncio.to_thread(curl, tmp_path, "-L", "--referer", ";auto", "-u", f"erp:{KEY}", url)
    assert 200 == done.status
    kept_from(gateway, upstream, 2)
    assert [f"{gateway.proxy.url}/t/a?b=1".encode()] == upstream.requests[1].values(b"referer")


async def test_wget(gateway: Gateway, upstream: Upstream, tmp_path: Path) -> None:
    """Wget waits for a challenge that it understands."""
    program("wget")
    arguments = ["wget", "-q", "-O", "-", "--user=erp", f"--password={KEY}", f"{gateway.proxy.url}/t/a"]
    done = await asyncio.to_thread(run, arguments, tmp_path)
    assert (0, b"ok") == (done.code, done.out)
    kept_from(gateway, upstream)


def plain_session() -> requests.Session:
    """A session that no setting of this machine changes."""
    session = requests.Session()
    session.trust_env = False
    return session


def with_requests(how: str) -> Callable[[Gateway], int]:
    """A way of asking with `requests`."""

    def ask(gateway: Gateway) -> int:
        url, address = f"{gateway.proxy.url}/t/a", gateway.proxy.url.removeprefix("http://")
        ways: dict[str, dict[str, Any]] = {
            "URL": {},
            "auth": {"auth": ("erp", KEY)},
            "auth in Latin-1": {"auth": ("erp", UMLAUT)},
            "field": {"headers": {"authorization": f"Bearer {KEY}"}},
            "query": {"params": {"access_token": KEY}},
            "proxies": {"proxies": {"http": f"http://erp:{QUOTED}@{address}"}},
        }
        url = {"URL": f"http://erp:{QUOTED}@{address}/t/a", "proxies": f"http://{HOST}/a"}.get(how, url)
        with plain_session() as session:
            return session.get(url, timeout=WITHIN, **ways[how]).status_code

    return ask


def with_urllib(gateway: Gateway) -> int:
    """Ask with urllib, which waits for a challenge."""
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, gateway.proxy.url, "erp", KEY)
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPBasicAuthHandler(manager))
    with urllib.request.build_opener(*handlers).open(f"{gateway.proxy.url}/t/a", timeout=WITHIN) as answer:
        return int(answer.status)


def with_urllib_by_proxy(gateway: Gateway) -> int:
    """Ask with urllib, which takes the key of a proxy from its URL."""
    proxy = gateway.proxy.url.replace("http://", f"http://erp:{QUOTED}@")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    with opener.open(f"http://{HOST}/a", timeout=WITHIN) as answer:
        return int(answer.status)


PYTHON: dict[str, Callable[[Gateway], int]] = {
    **{
        f"requests: {how}": with_requests(how)
        for how in ("URL", "auth", "auth in Latin-1", "field", "query", "proxies")
    },
    "urllib": with_urllib,
    "urllib: proxies": with_urllib_by_proxy,
}


@pytest.mark.parametrize("how", [*PYTHON])
async def test_python(gateway: Gateway, upstream: Upstream, how: str) -> None:
    """Each way in which Python's libraries are given a password or a token."""
    assert 200 == await asyncio.to_thread(PYTHON[how], gateway)
    kept_from(gateway, upstream)
    assert b"GET /a HTTP/1.1" == upstream.requests[0].line


async def test_the_vendors_own_client(gateway: Gateway, upstream: Upstream) -> None:
    """The `readycloud` package from PyPI takes the key for its token, and prints what it hears without one."""
    upstream.script(reply(200, b"Content-Type: application/json", body=b'{"results": []}'))

    def orders(key: str) -> Any:
        return ReadyCloud(token=key, host=f"{gateway.proxy.url}/t", org_id="1").get_orders(limit=1)

    assert [] == (await asyncio.to_thread(orders, KEY))["results"]
    kept_from(gateway, upstream)
    refused = await asyncio.to_thread(orders, "wrong")
    assert ("key_required", "caller failed") == (refused["error"], refused["details"])
    assert 1 == len(upstream.requests)


async def test_websocket_clients(gateway: Gateway, upstream: Upstream) -> None:
    """They are refused without a key and as a page of another origin; with it they get as far as the vendor."""
    url = f"{gateway.proxy.url}/t/ws"
    refused = [({}, 401), ({"Origin": "http://evil.example", "Authorization": f"Bearer {KEY}"}, 403)]
    async with aiohttp.ClientSession() as session:
        for headers, status in refused:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(url, headers=headers)
            assert status == caught.value.status

    def connect(**how: Any) -> int:
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            websocket.create_connection(url.replace("http", "ws", 1), timeout=WITHIN, **how)
        return int(caught.value.status_code)

    assert 401 == await asyncio.to_thread(connect)
    assert [] == upstream.requests
    upstream.script(reply(409))
    assert 409 == await asyncio.to_thread(connect, header=[f"Authorization: Bearer {KEY}"])
    kept_from(gateway, upstream)
    assert [b"websocket"] == upstream.requests[0].values(b"upgrade")
