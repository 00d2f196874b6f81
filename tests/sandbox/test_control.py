"""The control endpoint, and the sandbox as a whole."""

import asyncio
import hashlib
import logging
import socket
from email.utils import formatdate

import aiohttp
import pytest

from proxy.sandbox import VENDORS, Sandbox, SandboxSettings

CHAINS = "/api/v1/chains"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_grant(box, vendor):
    """A grant is the token JSON of a sign-in, and its token works."""
    granted = (await box.control("POST", f"/{vendor}/grant")).json
    assert set(box.sandbox.grant(vendor)) == set(granted)
    path = {"readycloud": "/api/v2/orgs/", "cloud66": "/api/3/stacks.json", "onecloud": CHAINS}[vendor]
    assert 200 == (await box.get(vendor, path, granted["access_token"])).status


async def test_revoke(box):
    """Access and refresh tokens are refused, and the state says why."""
    granted = box.sandbox.grant("onecloud")
    assert 204 == (await box.control("POST", "/onecloud/revoke")).status
    assert 401 == (await box.get("onecloud", CHAINS, granted["access_token"])).status
    assert 400 == (await box.renew_onecloud(granted["refresh_token"])).status
    assert [False] == [grant["alive"] for grant in (await box.state("onecloud"))["grants"]]


async def test_expire(box):
    """The access token is refused, the refresh token is not."""
    granted = box.sandbox.grant("onecloud")
    assert 204 == (await box.control("POST", "/onecloud/expire")).status
    assert 401 == (await box.get("onecloud", CHAINS, granted["access_token"])).status
    assert 200 == (await box.renew_onecloud(granted["refresh_token"])).status


async def test_settings(box):
    """A change shows in the answer, and holds from then on."""
    changes = {"lifetime": 20, "override": {"expires_in": "20 s"}}
    changed = (await box.control("PATCH", "/onecloud/settings", changes)).json
    assert changed == (await box.control("GET", "/onecloud/settings")).json
    assert (20, True, None) == tuple(changed[key] for key in ("lifetime", "refresh_tokens", "quota_per_minute"))
    granted = box.sandbox.grant("onecloud")
    assert "20 s" == granted["expires_in"]
    box.clock.now += 20
    assert 401 == (await box.get("onecloud", CHAINS, granted["access_token"])).status


async def test_registered_redirects():
    """Each vendor has its own from the start."""
    redirects = {"readycloud": "http://a.example/", "cloud66": "http://b.example/"}
    settings = SandboxSettings(
        readycloud_redirect_uri=redirects["readycloud"], cloud66_redirect_uri=redirects["cloud66"]
    )
    async with Sandbox(settings) as sandbox, aiohttp.ClientSession() as session:
        for vendor, uri in redirects.items():
            async with session.get(f"{sandbox.control_url}/{vendor}/settings") as response:
                assert uri == (await response.json())["redirect_uri"]


async def test_state(box):
    """It counts what came, and shows no token."""
    granted = box.sandbox.grant("onecloud")
    await box.renew_onecloud("made-up")
    renewed = (await box.renew_onecloud(granted["refresh_token"])).json
    await box.get("onecloud", CHAINS, "made-up")
    answer = await box.control("GET", "/onecloud/state")
    counted = ("exchanges", "rotations", "refused", "stalled", "api_requests", "rejected")
    assert (2, 1, 1, 0, 1, 1) == tuple(answer.json[key] for key in counted)
    assert [{"alive": True, "scope": "", "rotations": 1, "expires_in": 86_400.0}] == answer.json["grants"]
    for tokens in (granted, renewed):
        assert tokens["access_token"].encode() not in answer.body
        assert tokens["refresh_token"].encode() not in answer.body


async def test_wait_that_is_fulfilled_later(box):
    """It answers as soon as the number is there."""
    waiting = asyncio.create_task(box.control("GET", "/onecloud/wait?key=api_requests&at_least=2&timeout=10"))
    await box.get("onecloud", CHAINS)
    await box.get("onecloud", CHAINS)
    answer = await waiting
    assert (200, 2) == (answer.status, answer.json["api_requests"])


async def test_wait_that_is_not_fulfilled(box):
    """It is 408 after its time, with the state it waited for."""
    answer = await box.control("GET", "/onecloud/wait?key=stalled&timeout=0.01")
    assert (408, 0) == (answer.status, answer.json["stalled"])


async def test_journal(box):
    """It shows the request as it came: target, header order and case, body digest; not the exchanges."""
    host, port = box.sandbox.url("onecloud").removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /api/v1/a%2Fb?x=+&x=%zz HTTP/1.1\r\nHost: v\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n"
        b"authorization: bearer t\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    )
    await reader.read()
    writer.close()
    await writer.wait_closed()
    await box.renew_onecloud("made-up")
    (seen,) = await box.journal("onecloud")
    assert ("POST", "/api/v1/a%2Fb?x=+&x=%zz", 404) == (seen["method"], seen["target"], seen["status"])
    assert ["Host", "X-B", "x-a", "X-B", "authorization"] == [name for name, _ in seen["headers"]][:5]
    assert ["authorization", "bearer t"] in seen["headers"]
    assert (hashlib.sha256(b"abc").hexdigest(), 3) == (seen["body_sha256"], seen["body_length"])
    assert 204 == (await box.control("DELETE", "/onecloud/requests")).status
    assert [] == await box.journal("onecloud")


async def test_reset(box):
    """Grants, numbers, settings, faults, journal and data are as at the start."""
    before = await box.state("readycloud")
    settings = (await box.control("GET", "/readycloud/settings")).json
    token = box.sandbox.grant("readycloud")["access_token"]
    await box.control("PATCH", "/readycloud/settings", {"orgs": 2})
    assert 201 == (await box.call("readycloud", "POST", "/api/v1/orders/", token)).status
    await box.fault("readycloud", on="api", fault="fail")
    assert 204 == (await box.control("POST", "/reset")).status
    assert before == await box.state("readycloud")
    assert settings == (await box.control("GET", "/readycloud/settings")).json
    assert [] == await box.journal("readycloud")
    assert 401 == (await box.get("readycloud", "/api/v1/orders/", token)).status
    token = box.sandbox.grant("readycloud")["access_token"]
    assert 40 == (await box.get("readycloud", "/api/v1/orders/", token)).json["meta"]["total_count"]


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "words"),
    [
        ("POST", "/acme/grant", None, 404, "unknown vendor 'acme'"),
        ("GET", "/nothing", None, 404, "not served"),
        ("DELETE", "/onecloud/grant", None, 405, "not served"),
        ("PATCH", "/onecloud/settings", [1], 400, "a JSON object"),
        ("PATCH", "/onecloud/settings", {"colour": 1}, 400, "unknown setting 'colour'"),
        ("PATCH", "/onecloud/settings", {"orgs": 2}, 400, "unknown setting 'orgs'"),
        ("PATCH", "/readycloud/settings", {"orgs": 3}, 400, "1 or 2"),
        ("PATCH", "/onecloud/settings", {"lifetime": 0}, 400, "above 0"),
        ("PATCH", "/onecloud/settings", {"lifetime": True}, 400, "above 0"),
        ("PATCH", "/onecloud/settings", {"quota_per_minute": 1.5}, 400, "whole number"),
        ("PATCH", "/onecloud/settings", {"redirect_uri": ""}, 400, "unknown setting 'redirect_uri'"),
        ("PATCH", "/readycloud/settings", {"code_lifetime": 1}, 400, "unknown setting 'code_lifetime'"),
        ("PATCH", "/readycloud/settings", {"redirect_uri": "/callback"}, 400, "http or https URL"),
        ("PATCH", "/cloud66/settings", {"redirect_uri": "http://v.example/#x"}, 400, "http or https URL"),
        ("PATCH", "/cloud66/settings", {"redirect_uri": None}, 400, "http or https URL"),
        ("PATCH", "/cloud66/settings", {"redirect_parameter": "redirect"}, 400, "redirect_uri or redirect_url"),
        ("PATCH", "/cloud66/settings", {"code_lifetime": 0}, 400, "above 0"),
        ("PATCH", "/cloud66/settings", {"code_lifetime": None}, 400, "above 0"),
        ("PATCH", "/cloud66/settings", {"withholds": ["admin"]}, 400, "a string of scopes"),
        ("POST", "/onecloud/faults", {"fault": "drop"}, 400, "on must be"),
        ("POST", "/onecloud/faults", {"on": "api", "fault": "explode"}, 400, "fault must be"),
        ("POST", "/onecloud/faults", {"on": ["api"], "fault": "drop"}, 400, "on must be"),
        ("POST", "/onecloud/faults", {"on": "api", "fault": "drop", "time": 2}, 400, "unknown key 'time'"),
        ("POST", "/onecloud/faults", {"on": "api", "fault": "drop", "times": 0}, 400, "times must be"),
        ("POST", "/onecloud/faults", {"on": "api", "fault": "stall", "seconds": -1}, 400, "seconds must be"),
        ("POST", "/onecloud/faults", {"on": "api", "fault": "fail", "headers": {"a": 1}}, 400, "headers must be"),
        (
            "POST",
            "/onecloud/faults",
            {"on": "api", "fault": "fail", "when": "after", "early": True},
            400,
            "early goes with",
        ),
        ("GET", "/onecloud/wait?key=luck", None, 400, "key must be one of"),
        ("GET", "/onecloud/wait?key=stalled&timeout=inf", None, 400, "timeout must be a number"),
    ],
)
async def test_bad_input(box, method, path, data, status, words):
    """It is answered by a JSON error that says what is wrong."""
    answer = await box.control(method, path, data)
    assert status == answer.status
    assert words in answer.json["error"]


async def test_date_header(box):
    """It follows the vendor's clock."""
    answer = await box.get("onecloud", CHAINS)
    assert formatdate(box.clock.now, usegmt=True) == answer.headers["Date"]


async def test_restart(box):
    """A vendor that was away comes back at the same address and still knows its grants."""
    address, token = box.sandbox.url("onecloud"), box.sandbox.grant("onecloud")["access_token"]
    await box.sandbox.stop()
    await box.sandbox.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await box.get("onecloud", CHAINS, token)
    await box.sandbox.start()
    assert address == box.sandbox.url("onecloud")
    assert 200 == (await box.get("onecloud", CHAINS, token)).status


@pytest.mark.parametrize("turns", range(6))
async def test_callers_that_come_while_it_stops(caplog, turns):
    """Each is served or turned away, wherever in its acceptance it is; no socket is leaked, no error logged."""
    async with Sandbox() as sandbox:
        port = int(sandbox.url("readycloud").rpartition(":")[2])
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
    for caller in callers:
        caller.close()
    assert not caplog.records


async def test_port_that_is_taken():
    """Starting fails, and leaves no socket behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sandbox = Sandbox(SandboxSettings(control_port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            await sandbox.start()
    await sandbox.start()
    await sandbox.stop()


async def test_address_before_the_start():
    """It is not known, and an unknown vendor never has one."""
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not been started"):
        sandbox.url("onecloud")
    with pytest.raises(ValueError, match="unknown vendor 'acme'"):
        sandbox.url("acme")


async def test_logs(box, caplog):
    """No token is logged, whatever happens."""
    caplog.set_level(logging.DEBUG)
    granted = box.sandbox.grant("readycloud")
    await box.renew_readycloud(granted["refresh_token"])
    await box.renew_readycloud(granted["refresh_token"])
    await box.get("readycloud", f"/api/v1/orders/?bearer_token={granted['access_token']}")
    assert granted["access_token"] not in caplog.text
    assert granted["refresh_token"] not in caplog.text


@pytest.mark.parametrize("path", ["/reset", "/onecloud/grant", "/onecloud/expire"])
async def test_page_that_asks(box, path):
    """It is refused, by the Origin that browsers send with each POST."""
    granted = box.sandbox.grant("onecloud")
    async with (
        aiohttp.ClientSession(headers={"Origin": "null"}) as session,
        session.post(f"{box.sandbox.control_url}{path}") as answer,
    ):
        assert (403, "no page controls the sandbox") == (answer.status, (await answer.json())["error"])
    assert 200 == (await box.get("onecloud", CHAINS, granted["access_token"])).status
