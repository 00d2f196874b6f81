"""Who is admitted without a key: by the address that a caller has, and by the one that a proxy before us tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Answer, Caller, Gateway, listening, running
from tests.support.nginx import serving
from tests.support.processes import free_port
from tests.support.upstream import Upstream

KEY = "erp-key-0123456789"
BEARER = f"Authorization: Bearer {KEY}".encode()
READY_WITHIN = 10.0  # seconds
FROM = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "unix")
FIELDS = {
    "X-Forwarded-For": "X-Forwarded-For $proxy_add_x_forwarded_for",
    "X-Real-IP": "X-Real-IP $remote_addr",
    "Forwarded": 'Forwarded "$http_forwarded, for=$remote_addr;proto=http;host=\\"$http_host\\""',
}
ADMITTED: dict[str, tuple[Any, set[str]]] = {
    "by default": (None, set(FROM)),
    "loopback": ("loopback", set(FROM)),
    "none": ("none", set()),
    "any": ("any", set(FROM)),
    "networks": (["127.0.0.2/31", "fd00::/8"], {"127.0.0.2", "127.0.0.3", "unix"}),
    "an address": (["127.0.0.2", "::1"], {"127.0.0.2", "::1", "unix"}),
}


@contextlib.asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, Upstream]]:
    """A proxy before a recording upstream."""
    settings["clients"] = {"erp": {"key": KEY}}
    with listening() as listener:
        async with (
            running(folder, listener, settings) as gateway,
            Upstream(gateway.tokens).serving(listener) as upstream,
        ):
            yield gateway, upstream


async def ask(place: tuple[str, int] | Path, *fields: bytes, host: str = "localhost", come_from: str = "") -> Answer:
    """Ask for /t/a at a listener, from an address."""
    if isinstance(place, Path):
        streams = await asyncio.open_unix_connection(place)
    else:
        where = (come_from, 0) if come_from else None
        streams = await asyncio.open_connection(*place, local_addr=where)
    caller = Caller(*streams)
    try:
        await caller.send(b"\r\n".join([b"GET /t/a HTTP/1.1", f"Host: {host}".encode(), *fields, b"", b""]))
        return await caller.answer()
    finally:
        await caller.close()


@pytest.mark.parametrize("how", [*ADMITTED])
async def test_anonymous(tmp_path: Path, how: str) -> None:
    """Callers from there need no key; any other does, and with one may come from everywhere."""
    value, admitted = ADMITTED[how]
    port, path = free_port(), tmp_path / "s"
    own = [f"0.0.0.0:{port}", f"[::1]:{port}", f"unix:{path}"]
    routes = [{"listen": own, "prefix": "/t", "credential": "test", "name": "own"}]
    settings = {"routes": routes} if value is None else {"routes": routes, "anonymous": value}
    async with served(tmp_path, **settings) as (_, upstream):
        places: dict[str, Any] = dict.fromkeys(FROM, ("127.0.0.1", port))
        places |= {"::1": ("::1", port), "unix": path}
        answers = {one: await ask(places[one], come_from=one if "1" in one else "") for one in FROM}
        assert {one: 200 if one in admitted else 401 for one in FROM} == {k: v.status for k, v in answers.items()}
        dummy = b"Authorization: Bearer dummy"
        answers = {one: await ask(places[one], dummy, come_from=one if "1" in one else "") for one in FROM}
        assert {one: 200 if one in admitted else 401 for one in FROM} == {k: v.status for k, v in answers.items()}
        assert 2 * len(admitted) == len(upstream.requests)
        keyed = [await ask(places[one], BEARER, come_from=one if "1" in one else "") for one in FROM]
        assert [200] * len(FROM) == [answer.status for answer in keyed]


async def test_names(tmp_path: Path) -> None:
    """Without a key a caller uses a name of ours: one that is configured, a route's, or the address that it reached."""
    port = free_port()
    routes = [
        {"listen": f"0.0.0.0:{port}", "prefix": "/t", "credential": "test", "name": "own"},
        {"host": "vendor.internal", "prefix": "/t", "credential": "test", "name": "by name"},
    ]
    async with served(tmp_path, hosts=["proxy"], routes=routes) as (_, upstream):
        here = ("127.0.0.1", port)
        ours = ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.9:80", "[::1]:8080", "proxy", "Proxy.:8080"]
        ours += ["vendor.internal", "a.localhost"]
        others = ["evil.example", f"evil.example:{port}", "proxy.evil.example", "127.0.0.1.evil.example", "192.0.2.1"]
        others += ["0.0.0.0", "[::]"]
        said = {host: (await ask(here, host=host)).status for host in ours + others}
        assert dict.fromkeys(ours, 200) | dict.fromkeys(others, 403) == said
        assert len(ours) == len(upstream.requests)
        assert [200] * len(others) == [(await ask(here, BEARER, host=host)).status for host in others]
        answer = await ask(here, host="evil.example")
        assert "host_not_allowed" == answer.json()["error"]
        assert b"vendor.internal" not in answer.body


@contextlib.contextmanager
def outer(folder: Path, field: str, origins: dict[int, str]) -> Iterator[None]:
    """Run nginx, which passes on what comes to each port, with a field as it is usually set."""
    servers = "".join(
        f"""
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {to};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header {FIELDS[field]};
    }}
  }}"""
        for port, to in origins.items()
    )
    with serving(folder, servers, origins):
        yield


@pytest.mark.parametrize("field", [*FIELDS])
async def test_nginx_before_us(tmp_path: Path, field: str) -> None:
    """The address that it tells is the caller's, over TCP and a unix socket; what a caller says itself is not."""
    ports, path = (free_port(), free_port()), tmp_path / "s"
    settings = {
        "anonymous": ["127.0.0.2"],
        "set_real_ip_from": ["127.0.0.1", "unix:"],
        "real_ip_header": field,
        "routes": [{"listen": f"unix:{path}", "prefix": "/t", "credential": "test", "name": "own"}],
    }
    async with served(tmp_path, **settings) as (gateway, upstream):
        with outer(tmp_path, field, dict(zip(ports, (gateway.proxy.url, f"http://unix:{path}"), strict=True))):
            for port in ports:
                place = ("127.0.0.1", port)
                assert 200 == (await ask(place, come_from="127.0.0.2")).status
                assert 401 == (await ask(place, come_from="127.0.0.3")).status
                assert 200 == (await ask(place, BEARER, come_from="127.0.0.3")).status
                claim = "for={}" if field == "Forwarded" else "{}"
                for told in ("127.0.0.2", "127.0.0.2, 127.0.0.1", "::1", "garbage", '"', "127.0.0.2,"):
                    spoofed = f"{field}: {claim.format(told)}".encode()
                    assert 401 == (await ask(place, spoofed, come_from="127.0.0.3")).status
            assert 4 == len(upstream.requests)
            direct = ("127.0.0.1", gateway.proxy.port)
            spoofed = f"{field}: {claim.format('127.0.0.2')}".encode()
            assert 401 == (await ask(direct, spoofed, come_from="127.0.0.3")).status
            assert 200 == (await ask(direct, spoofed, come_from="127.0.0.1")).status
            broken = await ask(direct, f"{field}: unknown".encode(), BEARER, come_from="127.0.0.1")
            assert (400, "invalid_request") == (broken.status, broken.json()["error"])
            assert 401 == (await ask(direct, come_from="127.0.0.1")).status
    assert "peer=127.0.0.3" in gateway.proxy.log
