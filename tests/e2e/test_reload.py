"""SIGHUP on a running serve: callers and routes change at once, on connections that are open too."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.e2e.conftest import Answer, Caller, Gateway, running
from tests.support.beside import until
from tests.support.processes import Proxy
from tests.support.upstream import Upstream, reply

TAKEN = "the configuration is read again"
OLD, NEW, OTHER = "old-key-0123456789", "new-key-0123456789", "key-of-another-client"


def changed(proxy: Proxy, **keys: object) -> None:
    """Change keys of config.yaml; None takes one out."""
    path = proxy.folder / "config.yaml"
    data = {**yaml.safe_load(path.read_text()), **keys}
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in data.items() if value is not None))


async def reloaded(proxy: Proxy, said: str = TAKEN) -> str:
    """Send SIGHUP, wait until the log says that it was heeded, and give what was logged since."""
    assert proxy.process is not None
    before = len(proxy.log)
    proxy.process.send_signal(signal.SIGHUP)
    await until(lambda: said in proxy.log[before:], f"{said!r} in {proxy.log}")
    return proxy.log[before:]


@pytest.fixture
async def gateway(tmp_path: Path, listener: socket.socket) -> AsyncIterator[Gateway]:
    """A proxy for one test alone, since its configuration changes."""
    async with running(tmp_path, listener, {}) as gateway:
        yield gateway


async def asked(gateway: Gateway, caller: Caller, target: str = "/t/", *fields: bytes) -> Answer:
    """One request more on a connection that is kept."""
    await caller.send(gateway.head(f"GET {target} HTTP/1.1", *fields))
    return await caller.answer()


async def statuses(gateway: Gateway, caller: Caller, *keys: str) -> list[int]:
    """How requests with these keys are answered on one connection."""
    return [(await asked(gateway, caller, "/t/", b"Authorization: Bearer " + key.encode())).status for key in keys]


async def test_keys_that_rotate(gateway: Gateway, upstream: Upstream) -> None:
    """Both keys open while both are named; then the old one does not, on a connection that was opened with it."""
    changed(gateway.proxy, clients={"erp": {"key": OLD}}, anonymous="none")
    await reloaded(gateway.proxy)
    async with gateway.caller() as caller:
        assert [200, 401] == await statuses(gateway, caller, OLD, NEW)
        changed(gateway.proxy, clients={"erp": {"key": [NEW, OLD]}})
        await reloaded(gateway.proxy)
        assert [200, 200] == await statuses(gateway, caller, OLD, NEW)
        changed(gateway.proxy, clients={"erp": {"key": NEW}})
        await reloaded(gateway.proxy)
        assert [401, 200] == await statuses(gateway, caller, OLD, NEW)
    assert [] == [key for key in (OLD, NEW) if key in gateway.proxy.log]


async def test_client_that_is_removed_or_limited(gateway: Gateway, upstream: Upstream) -> None:
    """It is nobody, or may do less, from its next request on."""
    changed(gateway.proxy, clients={"one": {"key": OLD}, "two": {"key": OTHER}}, anonymous="none")
    await reloaded(gateway.proxy)
    async with gateway.caller() as caller:
        assert [200, 200] == await statuses(gateway, caller, OLD, OTHER)
        changed(gateway.proxy, clients={"two": {"key": OTHER, "methods": ["POST"]}})
        await reloaded(gateway.proxy)
        assert [401, 403] == await statuses(gateway, caller, OLD, OTHER)


async def test_route_that_comes_and_goes(gateway: Gateway, upstream: Upstream) -> None:
    """It is there from the reload on, and gone after the next."""
    there = [{"prefix": "/t", "credential": "test"}, {"prefix": "/more", "credential": "test"}]
    async with gateway.caller() as caller:
        for expected, routes in ((404, there[:1]), (200, there), (404, there[:1])):
            changed(gateway.proxy, routes=routes)
            await reloaded(gateway.proxy)
            assert expected == (await asked(gateway, caller, "/more/a")).status
            assert 200 == (await asked(gateway, caller, "/t/")).status


async def test_hosts(gateway: Gateway, upstream: Upstream) -> None:
    """A name is good as long as it is named, on both planes."""
    for expected, hosts in ((403, []), (200, ["proxy"]), (403, ["proxy2"])):
        changed(gateway.proxy, hosts=hosts)
        await reloaded(gateway.proxy)
        async with gateway.caller() as caller:
            assert expected == (await asked(gateway, caller, "/t/", b"Host: proxy")).status
        answer = await gateway.call("GET /healthz", b"Host: proxy", port=gateway.proxy.admin_port)
        assert expected == answer.status


async def test_anonymous(gateway: Gateway, upstream: Upstream) -> None:
    """Whoever has no key is admitted as long as `anonymous` says so."""
    changed(gateway.proxy, clients={"erp": {"key": OLD}})
    async with gateway.caller() as caller:
        for expected, anonymous in ((200, "loopback"), (401, "none"), (200, ["127.0.0.0/8"]), (401, ["10.0.0.0/8"])):
            changed(gateway.proxy, anonymous=anonymous)
            await reloaded(gateway.proxy)
            assert expected == (await asked(gateway, caller)).status


async def test_request_under_way(gateway: Gateway, upstream: Upstream) -> None:
    """It goes on as it began, on a route that is gone, with a token that is renewed meanwhile."""
    goes_on = asyncio.Event()
    upstream.script([goes_on, *reply(401)])
    changed(gateway.proxy, clients={"erp": {"key": OLD}}, anonymous="none")
    await reloaded(gateway.proxy)
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /t/ HTTP/1.1", b"Authorization: Bearer " + OLD.encode()))
        await upstream.request()
        more = {"prefix": "/more", "credential": "test"}
        changed(gateway.proxy, clients={"erp": {"key": NEW}}, routes=[more])
        await reloaded(gateway.proxy)
        goes_on.set()
        assert b"ok" == (await caller.answer()).body
        assert 401 == (await asked(gateway, caller, "/more/", b"Authorization: Bearer " + OLD.encode())).status
    assert (1, 2) == (upstream.exchanges, len(upstream.requests))


async def test_organization_of_a_credential_that_is_gone(gateway: Gateway, upstream: Upstream) -> None:
    """A request under way whose answer casts doubt on it gets that answer."""
    url = f"http://127.0.0.1:{gateway.upstream_port}"
    config = yaml.safe_load((gateway.proxy.folder / "config.yaml").read_text())
    config["providers"]["test"]["orgs_path"] = "/orgs/"
    config["credentials"]["test"]["org_pk"] = "7kQ2f"
    hole = {"prefix": "/o", "credential": "test", "upstream": url + "/{org_pk}"}
    changed(gateway.proxy, **{**config, "routes": [*config["routes"], hole]})
    await reloaded(gateway.proxy)
    goes_on = asyncio.Event()
    upstream.script([goes_on, *reply(404, body=b"not here")])
    async with gateway.caller() as caller:
        await caller.send(gateway.head("GET /o/a HTTP/1.1"))
        assert b"/7kQ2f/a" == (await upstream.request()).target
        other = {**config["credentials"]["test"], "org_pk": ""}
        changed(gateway.proxy, credentials={"other": other}, routes=[{"prefix": "/x", "credential": "other"}])
        await reloaded(gateway.proxy)
        goes_on.set()
        answer = await caller.answer()
    assert (404, b"not here") == (answer.status, answer.body)


async def test_metrics_of_a_route_that_changes_its_credential(gateway: Gateway, upstream: Upstream) -> None:
    """Its requests are told under the credential that it has now; what knows no credential counts on."""
    assert 200 == (await gateway.call("GET /t/")).status
    config = yaml.safe_load((gateway.proxy.folder / "config.yaml").read_text())
    credentials = {**config["credentials"], "other": config["credentials"]["test"]}
    changed(gateway.proxy, credentials=credentials, routes=[{"prefix": "/t", "credential": "other"}])
    await gateway.proxy.bring_tokens("other", gateway.tokens.pair())
    await reloaded(gateway.proxy)
    for _ in range(2):
        assert 200 == (await gateway.call("GET /t/")).status
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.proxy.admin_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    name = "bearer_proxy_requests_total"
    told = [line for line in lines if line.startswith((name + "{", "bearer_proxy_request_seconds_count"))]
    assert [
        f'{name}{{code="200",credential="other",method="GET",route="/t"}} 2.0',
        'bearer_proxy_request_seconds_count{route="/t"} 3.0',
    ] == [line for line in told if 'route="/t"' in line]


async def test_many_signals_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """However many come, what stands in the file at last is in force, and requests go on all the while."""
    assert gateway.proxy.process is not None
    before = len(gateway.proxy.log)
    async with gateway.caller() as caller:
        for number in range(20):
            changed(gateway.proxy, hosts=[f"name{number}"])
            gateway.proxy.process.send_signal(signal.SIGHUP)
            assert 200 == (await asked(gateway, caller)).status
        await until(lambda: TAKEN in gateway.proxy.log[before:], "a first time")
        await reloaded(gateway.proxy)
        await until_quiet(gateway)
        assert 200 == (await asked(gateway, caller, "/t/", b"Host: name19")).status
        assert 403 == (await asked(gateway, caller, "/t/", b"Host: name18")).status


async def until_quiet(gateway: Gateway) -> None:
    """One reload more, whose own sign nobody else can have given."""
    changed(gateway.proxy, log_level="debug")
    await reloaded(gateway.proxy, "next start only: log_level")
