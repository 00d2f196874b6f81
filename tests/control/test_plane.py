"""The control plane: health, readiness with its reasons, credentials as JSON, and never a token."""

from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from proxy.config import LOOPBACK_ONLY, Address, Config, CredentialConfig, Limits, Provider
from proxy.control.plane import ControlPlane, make_app
from proxy.credentials import policy
from proxy.credentials.core import open_core
from proxy.credentials.health import Health
from proxy.credentials.policy import Terms
from proxy.credentials.record import Origin, Record, Tokens, Trouble, TroubleKind
from proxy.errors import ListenError
from proxy.secret import Secret

NOW = 1_800_000_000.0
SECRETS = ("acc3ss-t0ken", "r3fresh-t0ken", "cl1ent-s3cret")
TOKENS = Tokens(access_token=Secret(SECRETS[0]), refresh_token=Secret(SECRETS[1]), scope="order")
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
    made: Any = SimpleNamespace(health=lambda: list(healths), store_trouble=store_trouble)
    return made


def config(tmp_path, *admin, credentials=()):
    return Config(
        path=tmp_path / "config.yaml",
        listen=(),
        admin=tuple(Address.parse(address) for address in admin),
        store=tmp_path / "tokens.db",
        spool_dir=tmp_path,
        anonymous=LOOPBACK_ONLY,
        credentials={one.name: one for one in credentials},
        routes=(),
        limits=Limits(),
    )


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
async def test_healthz(aiohttp_client, state):
    """It is 200 while the process is alive, however the credentials and the store are."""
    answer = await (await aiohttp_client(make_app(state))).get("/healthz")
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
async def test_readyz(aiohttp_client, expected, state):
    """It is 200, or 503 with every reason."""
    answer = await (await aiohttp_client(make_app(state))).get("/readyz")
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
async def test_readyz_of_one_credential(aiohttp_client, expected, query):
    """Only that one counts, and a name that was not understood is not ready."""
    state = core(health(), health("b", missing=("x",)), health("c", unsaved=True))
    answer = await (await aiohttp_client(make_app(state))).get(f"/readyz?credential={query}")
    assert (503 if expected else 200, expected) == (answer.status, (await answer.json())["reasons"])


async def test_credentials(aiohttp_client, tmp_path):
    """Each is told of as `status --json` does, from the store's own record."""
    async with open_core(config(tmp_path, credentials=[credential(), credential("b")]), clock=lambda: NOW) as real:
        await real.put("a", TOKENS, Origin.IMPORT)
        answer = await (await aiohttp_client(make_app(real))).get("/api/credentials")
        found = (await answer.json())["credentials"]
        assert (200, "application/json") == (answer.status, answer.content_type)
    assert [("a", "ok", 1, "import", "order"), ("b", "never signed in", 0, None, "")] == [
        tuple(one[key] for key in ("name", "state", "generation", "origin", "scope")) for one in found
    ]
    assert ["", "run: bearer-proxy import b"] == [one["next_step"] for one in found]


@pytest.mark.parametrize("path", [*ENDPOINTS, "/readyz?credential=a", "/absent"])
@pytest.mark.parametrize("state", [core(health()), core(health(record=REFUSED), store_trouble="no")])
async def test_secrets(aiohttp_client, state, path):
    """No answer holds a token or a client secret."""
    answer = await (await aiohttp_client(make_app(state))).get(path)
    told = await answer.text() + str(answer.raw_headers)
    assert [] == [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        *((200, "GET", path) for path in ENDPOINTS),
        (200, "HEAD", "/healthz"),
        (404, "GET", "/absent"),
        (404, "GET", "/healthz/"),
        (405, "POST", "/readyz"),
    ],
)
async def test_fields_of_every_answer(aiohttp_client, status, method, path):
    """None is stored or sniffed, refusals neither."""
    answer = await (await aiohttp_client(make_app(core(health())))).request(method, path)
    assert status == answer.status
    assert ("no-store", "nosniff") == tuple(
        answer.headers.get(name) for name in ("Cache-Control", "X-Content-Type-Options")
    )


async def test_listeners(tmp_path):
    """Every address of the configuration serves until it is stopped."""
    path = tmp_path / "admin.sock"
    plane = ControlPlane(config(tmp_path, "127.0.0.1:0", f"unix:{path}"), core())
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
    plane = ControlPlane(config(tmp_path), core())
    await plane.start()
    assert [] == plane.listening
    await plane.stop()


async def test_address_that_cannot_be_listened_on(tmp_path):
    """That is said, and stopping closes what was open already."""
    path = tmp_path / "admin.sock"
    plane = ControlPlane(config(tmp_path, f"unix:{path}", f"unix:{tmp_path}/absent/x"), core())
    with pytest.raises(ListenError):
        await plane.start()
    await plane.stop()
    assert not path.exists()
