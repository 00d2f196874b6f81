"""SIGHUP with a configuration that cannot be used, or not without a restart: it says so, and all goes on as before."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from pathlib import Path

import pytest

from proxy.config import Limits, changes, schema
from tests.e2e.conftest import Gateway, running
from tests.e2e.test_reload import NEW, OLD, TAKEN, changed, reloaded
from tests.support.processes import free_port
from tests.support.upstream import Upstream

REFUSED = "not taken over"
FOREIGN_KEY = "c2l4dGVlbi1zaXh0ZWVuLXNpeHRlZW4tc2l4dGVlbi0="  # of 32 bytes, as store_key is written
KEYS = {"clients": {"erp": {"key": OLD}}, "anonymous": "none"}


@pytest.fixture
async def gateway(tmp_path: Path, listener: socket.socket) -> AsyncIterator[Gateway]:
    """A proxy with a client, whose keys are in files beside the configuration."""
    async with running(tmp_path, listener, KEYS) as gateway:
        yield gateway


def path_of(gateway: Gateway) -> Path:
    return gateway.proxy.folder / "config.yaml"


def half_written(gateway: Gateway) -> str:
    text = path_of(gateway).read_text().replace(OLD, NEW)
    path_of(gateway).write_text(text[: text.index(NEW) + len(NEW)])
    line = text[: text.index(NEW)].count("\n") + 1
    return f"config.yaml:{line}: not valid YAML"


def empty(gateway: Gateway) -> str:
    path_of(gateway).write_text("")
    return "config.yaml: it names neither routes nor credentials: is it written whole?"


def gone(gateway: Gateway) -> str:
    path_of(gateway).unlink()
    return "config.yaml:1: there is no such file"


def unreadable(gateway: Gateway) -> str:
    path_of(gateway).unlink()
    path_of(gateway).mkdir()
    return "this is no regular file"


def pipe(gateway: Gateway) -> str:
    path_of(gateway).unlink()
    os.mkfifo(path_of(gateway))
    return "this is no regular file"


def unknown_key(gateway: Gateway) -> str:
    changed(gateway.proxy, clients={"erp": {"kye": NEW}})
    lines = path_of(gateway).read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.startswith("clients"))
    return f"config.yaml:{line}: clients.erp.kye: unknown key"


def dots(gateway: Gateway) -> str:
    url = f"http://127.0.0.1:{gateway.upstream_port}"
    provider = {"upstream": url, "token_url": f"{url}/a/%2e%2e/token", "grant": "manual"}
    changed(gateway.proxy, clients={"erp": {"key": NEW}}, providers={"test": provider})
    return "providers.test.token_url: a URL's path has no . or .. segments here"


def no_secret_file(gateway: Gateway) -> str:
    changed(gateway.proxy, clients={"erp": {"key": [NEW, "${file:nowhere}"]}})
    return "there is no file nowhere to read this value from"


def no_variable(gateway: Gateway) -> str:
    changed(gateway.proxy, clients={"erp": {"key": [NEW, "${NO_SUCH_VARIABLE}"]}})
    return "the environment variable NO_SUCH_VARIABLE is not set"


def bad_store_key(gateway: Gateway) -> str:
    changed(gateway.proxy, clients={"erp": {"key": NEW}}, store_key="short")
    return "store_key"


WAYS = (half_written, empty, gone, unreadable, pipe, unknown_key, dots, no_secret_file, no_variable, bad_store_key)


async def opens(gateway: Gateway, key: str) -> int:
    return (await gateway.call("GET /t/", b"Authorization: Bearer " + key.encode())).status


@pytest.mark.parametrize("spoil", WAYS)
async def test_bad_configuration(gateway: Gateway, upstream: Upstream, spoil: Callable[[Gateway], str]) -> None:
    """The log has what is wrong with its line and no value; the good one that follows is taken over."""
    good = path_of(gateway).read_text()
    expected = spoil(gateway)
    said = await reloaded(gateway.proxy, REFUSED)
    assert (True, False) == (expected in said, TAKEN in said), said
    assert [200, 401] == [await opens(gateway, key) for key in (OLD, NEW)]
    if path_of(gateway).is_dir():
        path_of(gateway).rmdir()
    path_of(gateway).unlink(missing_ok=True)
    path_of(gateway).write_text(good.replace(OLD, NEW))
    await reloaded(gateway.proxy)
    assert [401, 200] == [await opens(gateway, key) for key in (OLD, NEW)]
    assert [] == [key for key in (OLD, NEW) if key in gateway.proxy.log]


async def test_store_that_the_new_key_does_not_open(gateway: Gateway, upstream: Upstream) -> None:
    """Nothing of the configuration is taken over; with the right key all of it is."""
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    changed(gateway.proxy, store_key=key)
    await reloaded(gateway.proxy)
    assert 0 == (await gateway.proxy.command("store", "rekey")).code
    changed(gateway.proxy, store_key=FOREIGN_KEY, clients={"erp": {"key": NEW}})
    said = await reloaded(gateway.proxy, REFUSED)
    assert "was written with another store_key" in said
    assert [200, 401] == [await opens(gateway, one) for one in (OLD, NEW)]
    changed(gateway.proxy, store_key=[FOREIGN_KEY, key])
    await reloaded(gateway.proxy)
    assert [401, 200] == [await opens(gateway, one) for one in (OLD, NEW)]
    assert [] == [one for one in (key, FOREIGN_KEY) if one in gateway.proxy.log]


async def test_what_needs_a_restart(gateway: Gateway, upstream: Upstream) -> None:
    """It is named, in the words of the configuration, as long as it waits; the rest is taken over."""
    other = free_port()
    routes = [{"prefix": "/t", "credential": "test"}, {"listen": f"127.0.0.1:{free_port()}", "credential": "test"}]
    waiting = {
        "listen": f"127.0.0.1:{other}",
        "store": "sqlite:other.db",
        "access_log": False,
        "proxy_read_timeout": "5s",
        "send_timeout": "7s",
        "replay_limit": "1k",
        "socket_mode": "0660",
        "routes": routes,
    }
    changed(gateway.proxy, **waiting, clients={"erp": {"key": NEW}})
    expected = "at the next start only: listen, store, access_log, proxy_read_timeout, replay_limit, send_timeout"
    expected = f"{expected}, socket_mode and socket_users, listen of routes\n"
    for _ in range(2):
        said = await reloaded(gateway.proxy)
        assert expected in said, said
    assert [401, 200] == [await opens(gateway, key) for key in (OLD, NEW)]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", other)


def test_names_of_limits() -> None:
    """Each is told by a key that the configuration has."""
    keys = {changes.KEYS.get(field.name, field.name) for field in fields(Limits)}
    assert (len(fields(Limits)), []) == (len(keys), sorted(keys - schema()["properties"].keys()))


async def test_control_plane_that_would_stand_open(gateway: Gateway) -> None:
    """Without admin_key it may not be beyond loopback, where it is until the restart."""
    proxy = gateway.proxy
    assert 0 == await proxy.stop()
    changed(proxy, admin=f"0.0.0.0:{proxy.admin_port}", admin_key=OLD)
    await proxy.start()
    changed(proxy, admin=f"127.0.0.1:{proxy.admin_port}", admin_key=None)
    assert "admin_key: until a restart the control plane listens beyond loopback" in await reloaded(proxy, REFUSED)
    assert 401 == (await gateway.call("GET /api/credentials", port=proxy.admin_port)).status
    changed(proxy, admin_key=NEW)
    assert "next start only: admin\n" in await reloaded(proxy)


@pytest.mark.parametrize("anonymous", ["any", ["127.0.0.0/8", "10.0.0.0/8"]], ids=json.dumps)
async def test_data_plane_that_would_stand_open(gateway: Gateway, anonymous: object) -> None:
    """Who may call on loopback alone is not let in beyond it, where it listens until the restart."""
    proxy = gateway.proxy
    assert 0 == await proxy.stop()
    changed(proxy, listen=f"0.0.0.0:{proxy.port}")
    await proxy.start()
    changed(proxy, listen=f"127.0.0.1:{proxy.port}", anonymous=anonymous, clients=None)
    assert "anonymous: until a restart the data plane listens beyond loopback" in await reloaded(proxy, REFUSED)
    assert 401 == (await gateway.call("GET /t/")).status
    changed(proxy, listen=f"0.0.0.0:{proxy.port}")
    await reloaded(proxy)
