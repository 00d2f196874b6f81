"""Faults: each kind, before and after the vendor has processed the request."""

import asyncio
import socket
from contextlib import closing

import aiohttp
import pytest

CHAINS = "/api/v1/chains"
START = f"{CHAINS}/301/start"


@pytest.fixture
def grant(box):
    return box.sandbox.grant("onecloud")


async def rotations(box):
    return (await box.state("onecloud"))["rotations"]


@pytest.mark.parametrize(("when", "rotated"), [("before", 0), ("after", 1)])
async def test_stall_until_released(box, grant, when, rotated):
    """The request waits on its side of the rotation, then goes on normally."""
    await box.fault("onecloud", on="token", fault="stall", when=when)
    exchange = asyncio.create_task(box.renew_onecloud(grant["refresh_token"]))
    await box.wait("onecloud", "stalled")
    assert rotated == await rotations(box)
    assert not exchange.done()
    await box.control("POST", "/onecloud/release")
    assert 200 == (await exchange).status
    state = await box.state("onecloud")
    assert (0, 1) == (state["stalled"], state["rotations"])


async def test_stall_for_some_time(box, grant):
    """It ends by itself."""
    await box.fault("onecloud", on="api", fault="stall", seconds=0.01)
    assert 200 == (await box.get("onecloud", CHAINS, grant["access_token"])).status


async def test_caller_that_leaves_a_stalled_exchange(box, grant):
    """The vendor goes on, as a real one does: the token is rotated."""
    await box.fault("onecloud", on="token", fault="stall")
    exchange = asyncio.create_task(box.renew_onecloud(grant["refresh_token"]))
    await box.wait("onecloud", "stalled")
    exchange.cancel()
    await asyncio.wait([exchange])
    await box.control("POST", "/onecloud/release")
    await box.wait("onecloud", "rotations")


@pytest.mark.parametrize("end", ["stop", "reset"])
async def test_stalled_requests_when_the_sandbox_ends(box, grant, end):
    """They are dropped, and do not hold it up."""
    await box.fault("onecloud", on="api", fault="stall", times=2)
    request = asyncio.create_task(box.call("onecloud", "POST", START, grant["access_token"]))
    await box.wait("onecloud", "stalled")
    if end == "stop":
        async with asyncio.timeout(5):
            await box.sandbox.stop()
    else:
        await box.control("POST", "/reset")
    with pytest.raises(aiohttp.ClientError):
        await request


@pytest.mark.parametrize(("when", "rotated"), [("before", 0), ("after", 1)])
async def test_fail(box, grant, when, rotated):
    """The answer is the one that was ordered."""
    order = {"status": 502, "body": {"a": 1}, "headers": {"Retry-After": "3"}}
    await box.fault("onecloud", on="token", fault="fail", when=when, **order)
    answer = await box.renew_onecloud(grant["refresh_token"])
    assert (502, {"a": 1}, "3") == (answer.status, answer.json, answer.headers["Retry-After"])
    assert rotated == await rotations(box)


async def test_fail_with_text(box):
    """A body that is a string is sent as it is."""
    await box.fault("onecloud", on="api", fault="fail", status=418, body="tea", content_type="text/plain")
    answer = await box.get("onecloud", CHAINS)
    assert (418, b"tea", "text/plain") == (answer.status, answer.body, answer.headers["Content-Type"])


@pytest.mark.parametrize(("when", "rotated"), [("before", 0), ("after", 1)])
async def test_drop(box, grant, when, rotated):
    """The connection is reset without an answer."""
    await box.fault("onecloud", on="token", fault="drop", when=when)
    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        await box.renew_onecloud(grant["refresh_token"])
    assert rotated == await rotations(box)


async def test_dropped_request_in_the_journal(box, grant):
    """It is there without a status; what it did counts."""
    await box.fault("onecloud", on="api", fault="drop", when="after")
    with pytest.raises(aiohttp.ClientError):
        await box.call("onecloud", "POST", START, grant["access_token"])
    assert [None] == [seen["status"] for seen in await box.journal("onecloud")]
    assert 1 == (await box.state("onecloud"))["runs"]


@pytest.mark.parametrize(("when", "rotated"), [("before", 0), ("after", 1)])
async def test_truncate(box, grant, when, rotated):
    """Less comes than Content-Length says."""
    await box.fault("onecloud", on="token", fault="truncate", when=when)
    with pytest.raises(aiohttp.ClientPayloadError):
        await box.renew_onecloud(grant["refresh_token"])
    assert rotated == await rotations(box)


async def test_truncated_empty_body(box):
    """It promises something all the same."""
    await box.fault("cloud66", on="api", fault="truncate", when="after")
    with pytest.raises(aiohttp.ClientPayloadError):
        await box.get("cloud66", "/api/3/stacks.json")


@pytest.mark.parametrize(("when", "rotated"), [("before", 0), ("after", 1)])
async def test_garbage(box, grant, when, rotated):
    """200 with a body that is no token answer."""
    await box.fault("onecloud", on="token", fault="garbage", when=when)
    answer = await box.renew_onecloud(grant["refresh_token"])
    assert (200, "text/html") == (answer.status, answer.headers["Content-Type"])
    assert b"token" not in answer.body
    assert rotated == await rotations(box)


async def test_order_of_faults(box, grant):
    """First in, first out, each as often as ordered; the token side does not use up those of the API."""
    await box.fault("onecloud", on="api", fault="fail", status=501, times=2)
    await box.fault("onecloud", on="token", fault="fail", status=504)
    await box.fault("onecloud", on="api", fault="fail", status=502)
    assert 504 == (await box.renew_onecloud(grant["refresh_token"])).status
    statuses = [(await box.get("onecloud", CHAINS, grant["access_token"])).status for _ in range(4)]
    assert [501, 501, 502, 200] == statuses


async def test_faults_taken_back(box, grant):
    """Nothing happens."""
    await box.fault("onecloud", on="api", fault="fail")
    assert 204 == (await box.control("DELETE", "/onecloud/faults")).status
    assert 200 == (await box.get("onecloud", CHAINS, grant["access_token"])).status


async def test_early_answer(box):
    """It comes although the caller has not finished sending; the journal has no digest."""
    await box.fault("onecloud", on="api", fault="fail", status=401, early=True)
    host, port = box.sandbox.url("onecloud").removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)))) as connection:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, b"POST / HTTP/1.1\r\nHost: v\r\nContent-Length: 9\r\n\r\nabc")
        assert b"HTTP/1.1 401" == (await loop.sock_recv(connection, 12))
    (seen,) = await box.journal("onecloud")
    assert (None, None) == (seen["body_sha256"], seen["body_length"])


async def test_caller_that_breaks_off_its_body(box, caplog):
    """The vendor processes nothing, and logs nothing."""
    host, port = box.sandbox.url("onecloud").removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: v\r\nContent-Length: 9\r\n\r\nabc")
    await box.wait("onecloud", "api_requests")
    writer.close()
    await writer.wait_closed()
    await box.get("onecloud", CHAINS)
    assert [None, 401] == [seen["status"] for seen in await box.journal("onecloud")]
    assert not caplog.records


async def test_expect_continue(box, grant):
    """The caller is told to go on."""
    answer = await box.call("onecloud", "POST", START, grant["access_token"], data=b"x", expect100=True)
    assert 200 == answer.status
