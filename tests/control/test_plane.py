"""The control plane: health, readiness with its reasons, credentials as JSON, and never a token."""

import asyncio
import contextlib
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from proxy.config import CredentialConfig, Limits, Provider
from proxy.control.plane import ControlPlane, make_app
from proxy.credentials import policy
from proxy.credentials.answers import Granted
from proxy.credentials.core import open_core
from proxy.credentials.exchange import TokenEndpoint
from proxy.credentials.health import Health
from proxy.credentials.policy import Terms
from proxy.credentials.record import Origin, Record, Tokens, Trouble, TroubleKind
from proxy.errors import ListenError
from proxy.secret import Secret
from proxy.signin.attempts import SignIn

from .conftest import Redeeming, make_config

NOW = 1_800_000_000.0
SECRETS = ("acc3ss-t0ken", "r3fresh-t0ken", "cl1ent-s3cret")
TOKENS = Tokens(access_token=Secret(SECRETS[0]), refresh_token=Secret(SECRETS[1]), scope="order")
FIELDS = {
    "Server": "bearer-proxy",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ENDPOINTS = ("/healthz", "/readyz", "/api/credentials")
PROVIDER = Provider(upstream="https://api.acme.example", token_url="https://acme.example/token")


def credential(name="a", *, renew="refresh_token", missing=()):
    provider = PROVIDER.model_copy(update={"renew": renew})
    return CredentialConfig(name, provider, "our-id", Secret(SECRETS[2]), missing=missing)


def health(name="a", record=None, *, unsaved=False, **fields):
    """Give a credential's health; without a record it is signed in."""
    config = credential(name, **fields)
    if record is None:
        record = policy.accepted(Record(name=name), TOKENS, Origin.IMPORT, NOW)
    return Health(config, Terms.of(config, 30.0), record, unsaved=unsaved)


def core(*healths, store_trouble=""):
    """Give as much of a credential core as the application asks for."""
    redeeming = SimpleNamespace(redeem=Redeeming())
    made: Any = SimpleNamespace(health=lambda: list(healths), store_trouble=store_trouble, exchange=redeeming)
    return made


@pytest.fixture
def client(aiohttp_client, tmp_path):
    """Give a client of the control plane on a credential core."""

    async def made(core):
        config = make_config(tmp_path)
        return await aiohttp_client(make_app(config, core, SignIn(config, core, Redeeming())))

    return made


NOBODY = Record(name="a")
LOGGED_OUT = policy.logged_out(Record(name="a"), NOW)
REFUSED = Record(
    name="a",
    refresh_token=Secret(SECRETS[1]),
    origin=Origin.IMPORT,
    trouble=Trouble(kind=TroubleKind.GRANT, reason="invalid_grant", at=NOW),
)


@pytest.mark.parametrize(
    "state", [core(), core(health()), core(health(record=NOBODY), store_trouble="the disk is full")]
)
async def test_healthz(client, state):
    """It is 200 while the process is alive, however the credentials and the store are."""
    answer = await (await client(state)).get("/healthz")
    assert (200, {"status": "ok"}) == (answer.status, await answer.json())


@pytest.mark.parametrize(
    ("expected", "state"),
    [
        ([], core(health())),
        ([], core(health(record=NOBODY), health("b"))),
        ([], core(health(record=NOBODY, renew="client_credentials"))),
        (["no credential is configured"], core()),
        (["a: never signed in"], core(health(record=NOBODY))),
        (["a: login required: it was logged out"], core(health(record=LOGGED_OUT))),
        (
            ["a: login required: the vendor refused the refresh token (invalid_grant)"],
            core(health(record=REFUSED)),
        ),
        (["a: not configured: it lacks client_id, token_url"], core(health(missing=("client_id", "token_url")))),
        (
            ["a: never signed in", "b: not configured: it lacks x"],
            core(health(record=NOBODY), health("b", missing=("x",))),
        ),
        (["the disk is full"], core(health(), store_trouble="the disk is full")),
        (
            ["the disk is full", "a: never signed in"],
            core(health(record=NOBODY), store_trouble="the disk is full"),
        ),
        (["b: its new tokens could not be saved"], core(health(), health("b", unsaved=True))),
    ],
)
async def test_readyz(client, expected, state):
    """It is 200, or 503 with every reason."""
    answer = await (await client(state)).get("/readyz")
    body = {"status": "not ready" if expected else "ready", "reasons": expected}
    assert (503 if expected else 200, body) == (answer.status, await answer.json())


@pytest.mark.parametrize(
    ("expected", "query"),
    [
        ([], "a"),
        (["b: not configured: it lacks x"], "b"),
        (["c: its new tokens could not be saved"], "c"),
        (["there is no such credential"], "d"),
        (["there is no such credential"], ""),
        (["there is no such credential"], "a%00"),
        ([], "%61"),
    ],
)
async def test_readyz_of_one_credential(client, expected, query):
    """Only that one counts, and a name that was not understood is not ready."""
    state = core(health(), health("b", missing=("x",)), health("c", unsaved=True))
    answer = await (await client(state)).get(f"/readyz?credential={query}")
    assert (503 if expected else 200, expected) == (answer.status, (await answer.json())["reasons"])


async def test_credentials(client, tmp_path):
    """Each is told of as `status --json` does, from the store's own record."""
    async with open_core(make_config(tmp_path, credential(), credential("b")), clock=lambda: NOW) as real:
        await real.put("a", TOKENS, Origin.IMPORT)
        answer = await (await client(real)).get("/api/credentials")
        found = (await answer.json())["credentials"]
        assert (200, "application/json") == (answer.status, answer.content_type)
    assert [("a", "ok", 1, "import", "order"), ("b", "never signed in", 0, None, "")] == [
        tuple(one[key] for key in ("name", "state", "generation", "origin", "scope")) for one in found
    ]
    assert ["", "run: bearer-proxy import b"] == [one["next_step"] for one in found]


@pytest.mark.parametrize("path", [*ENDPOINTS, "/readyz?credential=a", "/absent", "/", "/callback"])
@pytest.mark.parametrize("state", [core(health()), core(health(record=REFUSED), store_trouble="no")])
async def test_secrets(client, state, path):
    """No answer holds a token or a client secret."""
    answer = await (await client(state)).get(path)
    told = await answer.text() + str(answer.raw_headers)
    assert [] == [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        *((200, "GET", path) for path in ENDPOINTS),
        (200, "HEAD", "/healthz"),
        (200, "GET", "/"),
        (200, "HEAD", "/"),
        (200, "GET", "/callback"),
        (400, "GET", "/callback?code=c"),
        (400, "POST", "/callback"),
        (403, "POST", "/login/a"),
        (404, "GET", "/login/a"),
        (405, "GET", "/logout/a"),
        (404, "GET", "/absent"),
        (404, "GET", "/healthz/"),
        (405, "POST", "/readyz"),
    ],
)
async def test_fields_of_every_answer(client, status, method, path):
    """None is stored, sniffed, framed or read by another page, and no script runs but ours; refusals neither."""
    answer = await (await client(core(health()))).request(method, path)
    assert status == answer.status
    assert FIELDS == {name: answer.headers.get(name) for name in FIELDS}
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert ("'none'", "'none'", "'none'") == tuple(
        policy[name] for name in ("default-src", "base-uri", "frame-ancestors")
    )
    assert re.fullmatch(r"'nonce-[A-Za-z0-9_-]{22}'", policy["script-src"])
    assert "form-action" not in policy


async def test_page_without_a_credential(client):
    """It says that none is configured."""
    answer = await (await client(core())).get("/")
    assert "No credential is configured." in await answer.text()


async def test_nonces(client):
    """Each answer has its own, and its scripts and styles bear it; nothing in a page needs another permission."""
    served, nonces = await client(core(health())), set()
    for path in ("/", "/callback", "/callback?code=c", "/"):
        answer = await served.get(path)
        text = await answer.text()
        (nonce,) = set(re.findall(r'nonce="([^"]*)"', text))
        nonces.add(nonce)
        assert f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        assert [] == re.findall(r"<(?:script|style)(?! nonce=)|\s(?:on\w+|style)=|javascript:|\ssrc=", text)
    assert 4 == len(nonces)


async def test_listeners(tmp_path):
    """Every address of the configuration serves until it is stopped."""
    path = tmp_path / "admin.sock"
    plane = ControlPlane(make_config(tmp_path, admin=("127.0.0.1:0", f"unix:{path}")), core())
    await plane.start()
    tcp, unix = plane.listening
    assert f"unix:{path}" == unix
    for connector, origin in ((None, f"http://{tcp}"), (aiohttp.UnixConnector(str(path)), "http://localhost")):
        async with aiohttp.ClientSession(connector=connector) as session, session.get(f"{origin}/healthz") as answer:
            assert 200 == answer.status
    await plane.stop()
    assert not path.exists()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://{tcp}/healthz")


async def test_no_control_plane(tmp_path):
    """Where admin is null nothing is opened."""
    plane = ControlPlane(make_config(tmp_path), core())
    await plane.start()
    assert [] == plane.listening
    await plane.stop()


async def test_address_that_cannot_be_listened_on(tmp_path):
    """That is said, and stopping closes what was open already."""
    path = tmp_path / "admin.sock"
    plane = ControlPlane(make_config(tmp_path, admin=(f"unix:{path}", f"unix:{tmp_path}/absent/x")), core())
    with pytest.raises(ListenError):
        await plane.start()
    await plane.stop()
    assert not path.exists()


async def test_stop_while_a_code_is_being_redeemed(tmp_path, monkeypatch):
    """It is over only when the sign-in is: what the vendor has granted is not lost."""
    entered, gate = asyncio.Event(), asyncio.Event()

    async def redeem(*_):
        entered.set()
        await gate.wait()
        return Granted(TOKENS)

    monkeypatch.setattr(TokenEndpoint, "redeem", redeem)
    keys = {"authorize_url": "https://acme.example/authorize"}
    signing = replace(credential(), provider=PROVIDER.model_copy(update=keys), redirect_uri="http://x/callback")
    config = replace(make_config(tmp_path, signing, admin=("127.0.0.1:0",)), limits=Limits(shutdown_timeout=0.05))
    async with open_core(config) as real:
        plane = ControlPlane(config, real)
        await plane.start()
        state = parse_qs(urlsplit(plane._sign_in.begin("a", bound=False)).query)["state"][0]
        async with aiohttp.ClientSession() as session:
            query = {"code": "c", "state": state}
            asking = asyncio.create_task(session.get(f"http://{plane.listening[0]}/callback", params=query))
            await asyncio.wait_for(entered.wait(), 20)
            stopping = asyncio.create_task(plane.stop())
            await asyncio.wait([asking], timeout=20)  # the browser has heard the end of it
            assert (True, False) == (asking.done(), stopping.done())
            gate.set()
            await asyncio.wait_for(stopping, 20)
            with contextlib.suppress(aiohttp.ClientError):
                (await asking).close()
        assert 1 == real.keeper("a").health().record.generation


@pytest.mark.parametrize("shutdown_timeout", [0, 0.05])
async def test_stop_while_a_request_does_not_end(tmp_path, shutdown_timeout):
    """It is cut off after the time for that, and where there is none at once."""
    config = replace(make_config(tmp_path, admin=("127.0.0.1:0",)), limits=Limits(shutdown_timeout=shutdown_timeout))
    plane = ControlPlane(config, core())
    await plane.start()
    host, _, port = plane.listening[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /callback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)  # 100: its handler is under way
    await asyncio.wait_for(plane.stop(), 20)
    writer.close()
    await writer.wait_closed()
