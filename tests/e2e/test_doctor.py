"""`doctor` as a person types it: beside a running proxy, without one, and where something is wrong."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.sandbox import VENDORS, Sandbox
from tests.support.processes import Done, Proxy, free_port, sandbox_config
from tests.support.upstream import Upstream, reply
from tests.support.vendor import Control

from .conftest import listening, port_of


async def findings(proxy: Proxy, *arguments: str) -> tuple[Done, list[dict[str, str]]]:
    """Run it for programs; its exit code is that of its findings."""
    done = await proxy.command("doctor", "--json", *arguments)
    assert "Traceback" not in done.err
    told: dict[str, Any] = json.loads(done.out)
    worst = any(one["level"] == "problem" for one in told["findings"])
    assert (int(worst), not worst) == (done.code, told["ok"])
    assert all(bool(one["next_step"]) is (one["level"] != "ok") for one in told["findings"])
    return done, told["findings"]


def about(found: list[dict[str, str]], check: str, level: str = "") -> list[dict[str, str]]:
    return [one for one in found if one["check"] == check and level in ("", one["level"])]


def unseen(found: list[dict[str, str]], vendors: Sandbox) -> list[str]:
    """The vendors that are not told to answer."""
    subjects = {one["subject"] for one in about(found, "network", "ok")}
    return [name for name in VENDORS if vendors.url(name) not in subjects]


async def test_beside_a_running_proxy(proxy: Proxy, vendors: Sandbox) -> None:
    """All is well, each thing is told once and in the same order, and no exchange is made and no token sent."""
    done, found = await findings(proxy)
    assert 0 == done.code
    assert ["serve is running"] == [one["text"] for one in about(found, "serve")]
    assert list(VENDORS) == [one["subject"] for one in about(found, "credential", "ok")]
    assert [] == unseen(found, vendors)
    assert found == [
        one | {"text": again["text"]} for one, again in zip((await findings(proxy))[1], found, strict=True)
    ]
    for name in VENDORS:
        assert 0 == (await Control(vendors, name).state())["exchanges"]
        for request in await Control(vendors, name).requests():
            assert not {"authorization", "cookie"} & {key.lower() for key, _ in request["headers"]}
    assert 0 == (await proxy.command("status")).code


async def test_for_a_person(proxy: Proxy) -> None:
    """A line for each finding, and a next step below each that is not well: Cloud 66 gives no refresh token."""
    done = await proxy.command("doctor")
    assert (0, "") == (done.code, done.err)
    lines = done.out.splitlines()
    assert "ok       credential readycloud: ok" in lines
    (at,) = [index for index, line in enumerate(lines) if line.startswith("warning")]
    assert lines[at].startswith("warning  credential cloud66: it has no refresh token")
    assert lines[at + 1].startswith("         next:      when that happens, run: bearer-proxy ")


async def test_without_anything(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """There is no store yet, and none is made; nobody has signed in, and that is what is to be done."""
    bare_proxy.configure(sandbox_config(vendors))
    done, found = await findings(bare_proxy)
    assert 1 == done.code
    assert "there is no store yet; it is made at the first sign-in" == about(found, "store")[0]["text"]
    assert ["serve is not running"] == [one["text"] for one in about(found, "serve")]
    assert ["never signed in"] * 3 == [one["text"] for one in about(found, "credential", "problem")]
    assert {"config.yaml"} == {path.name for path in bare_proxy.folder.iterdir()}


async def test_warnings_do_not_fail(bare_proxy: Proxy) -> None:
    """A credential that is not configured is told once, with what it lacks."""
    bare_proxy.configure("credentials: {acme: {provider: onecloud}}\n")
    done, found = await findings(bare_proxy)
    assert 0 == done.code
    (warning,) = [one for one in found if one["level"] == "warning"]
    assert ("credential", "not configured (it lacks upstream, token_url, client_id)") == (
        warning["check"],
        warning["text"],
    )


@pytest.mark.parametrize("damage", ["foreign", "damaged", "folder"])
async def test_a_store_that_cannot_be_used(bare_proxy: Proxy, vendors: Sandbox, damage: str) -> None:
    """It is a problem, is left as it is, and all else is looked at nevertheless."""
    bare_proxy.configure(sandbox_config(vendors))
    store = bare_proxy.folder / "tokens.db"
    if damage == "foreign":
        with sqlite3.connect(store) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    elif damage == "folder":
        store.mkdir()
    else:
        await bare_proxy.bring_tokens("onecloud", vendors.grant("onecloud"))
        store.write_bytes(store.read_bytes()[:100] + b"\xff" * 9000)
    before = None if damage == "folder" else store.read_bytes()
    done, found = await findings(bare_proxy)
    assert 1 == done.code
    assert 1 == len(about(found, "store", "problem"))
    assert [] == unseen(found, vendors)
    assert 3 == len(about(found, "credential", "warning"))
    assert before == (None if damage == "folder" else store.read_bytes())


async def test_a_vendor_that_is_down(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Which address, what for, and what to do; the others are told as ever."""
    gone = f"http://127.0.0.1:{free_port()}"
    bare_proxy.configure(sandbox_config(vendors).replace(vendors.url("onecloud") + "/oauth2/token", gone + "/token"))
    done, found = await findings(bare_proxy)
    assert 1 == done.code
    (problem,) = about(found, "network", "problem")
    assert (gone, "it refuses connections") == (problem["subject"], problem["text"])
    assert "token_url of onecloud" in problem["next_step"]
    assert [] == unseen(found, vendors)


async def test_a_vendor_that_does_not_answer(bare_proxy: Proxy) -> None:
    """--timeout bounds each origin, and all of them together."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [sock.getsockname()[1] for sock in (one, other)]
        bare_proxy.configure(
            f"""
providers:
  acme: {{upstream: "http://127.0.0.1:{ports[0]}", token_url: "http://127.0.0.1:{ports[1]}/token", client_auth: none}}
credentials: {{acme: {{provider: acme, client_id: x}}}}
"""
        )
        _, found = await findings(bare_proxy, "--timeout", "0.5")
    assert ["it gave no answer within 0.5 s"] * 2 == [one["text"] for one in about(found, "network", "problem")]


@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "601"])
async def test_a_timeout_that_is_none(bare_proxy: Proxy, value: str) -> None:
    """It is a usage error."""
    bare_proxy.configure("")
    assert 2 == (await bare_proxy.command("doctor", f"--timeout={value}")).code


async def test_tls(bare_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of a CA that this machine does not trust is a problem, and none once it does."""
    ca = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(tls)
    ca.cert_pem.write_to_path(str(bare_proxy.folder / "ca.pem"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with listening() as listener:
        url = f"https://localhost:{port_of(listener)}"
        bare_proxy.configure(
            f'providers: {{acme: {{upstream: "{url}", renew: none, grant: manual}}}}\n'
            "credentials: {acme: {provider: acme}}\n"
        )
        async with Upstream().serving(listener, tls) as upstream:
            (problem,) = about((await findings(bare_proxy))[1], "network")
            assert "not signed by anyone whom this machine trusts" in problem["text"]
            assert [] == upstream.requests
            upstream.script(reply(404, b"Date: Thu, 01 Jan 1970 00:00:00 GMT", body=b""))
            monkeypatch.setenv("SSL_CERT_FILE", str(bare_proxy.folder / "ca.pem"))
            _, found = await findings(bare_proxy)
    assert ["HTTP 404" in one["text"] for one in about(found, "network", "ok")] == [True]
    assert 1 == len(about(found, "tls", "ok"))
    (skew,) = about(found, "clock", "problem")
    assert "NTP" in skew["next_step"]


@pytest.mark.parametrize("plane", ["listen", "admin"])
async def test_a_port_that_another_program_holds(bare_proxy: Proxy, plane: str) -> None:
    """It is told which key has to change."""
    bare_proxy.configure("")
    port = bare_proxy.port if plane == "listen" else bare_proxy.admin_port
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.setblocking(False)
        async with Upstream().serving(listener):
            _, found = await findings(bare_proxy)
    (problem,) = about(found, "serve")
    assert ("problem", f"127.0.0.1:{port}") == (problem["level"], problem["subject"])
    assert f"`{plane}`" in problem["next_step"]


async def test_a_configuration_that_serve_has_not_read(proxy: Proxy, vendors: Sandbox) -> None:
    """An address that a running proxy does not listen on is told."""
    text = (proxy.folder / "config.yaml").read_text()
    (proxy.folder / "config.yaml").write_text(text.replace(f":{proxy.port}\n", f":{free_port()}\n", 1))
    _, found = await findings(proxy)
    (warning,) = about(found, "serve", "warning")
    assert "restart serve" in warning["next_step"]


async def test_a_bad_configuration(tmp_path: Path) -> None:
    """Every problem is a line, exit 2, as everywhere."""
    (tmp_path / "config.yaml").write_text("lisen: 1\n")
    done = await Proxy(tmp_path).command("doctor")
    assert (2, "") == (done.code, done.out)
    assert "config.yaml:1: lisen: unknown key" in done.err
