"""Another configuration under the control plane: its key changes at once, and what a person has begun goes on."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from proxy.control.plane import ControlPlane
from proxy.credentials.core import open_core
from proxy.errors import SignInError
from proxy.secret import Secret
from proxy.signin.attempts import SignIn

from .conftest import PATIENCE, Redeeming, Served, credential, make_config

OLD, NEW = "the-old-key", "the-new-key"


class HeldRedeeming(Redeeming):
    """Redeems behind a gate."""

    def __init__(self):
        super().__init__()
        self.entered, self.gate = asyncio.Event(), asyncio.Event()
        self.secrets = []

    async def __call__(self, credential, code):
        self.secrets.append(credential.client_secret.reveal())
        self.entered.set()
        await self.gate.wait()
        return await super().__call__(credential, code)


@pytest.fixture
async def plane(tmp_path):
    """Give a control plane on a port of its own, a caller of it, and its configuration."""
    config = replace(make_config(tmp_path, credential(), admin=("127.0.0.1:0",)), admin_key=Secret(OLD))
    async with open_core(config) as core:
        made, redeeming = ControlPlane(config, core), HeldRedeeming()
        made._sign_in._redeem = redeeming
        await made.start()
        port = int(made.listening[0].rpartition(":")[2])
        yield made, Served(core, made._sign_in, redeeming, port), config
        await made.stop()


def begun(sign_in, **how):
    """Begin a sign-in, and give its state."""
    return dict(parse_qsl(urlsplit(sign_in.begin("a", **how)).query))["state"]


def bearer(key):
    return f"Authorization: Bearer {key}"


async def statuses(served):
    return [(await served("GET", "/api/credentials", bearer(key))).status for key in (OLD, NEW)]


async def test_admin_key(plane):
    """The new one opens and the old one does not, as often as it changes."""
    made, served, config = plane
    assert [200, 401] == await statuses(served)
    await made.reload(replace(config, admin_key=Secret(NEW)))
    assert [401, 200] == await statuses(served)
    await made.reload(config)
    assert [200, 401] == await statuses(served)


async def test_connections_of_before(plane):
    """They end with the answer under way, and take no more requests."""
    made, served, config = plane
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        request = f"GET /api/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer(OLD)}\r\n\r\n".encode()
        writer.write(request)
        assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
        await made.reload(replace(config, admin_key=Secret(NEW)))
        await asyncio.gather(*made._leaving)
        writer.write(request)
        assert b"HTTP/1.1 " not in await reader.read()
        writer.close()


async def test_sign_in_that_is_being_completed(plane):
    """It comes to its end, on the connection that it came by, with the client that began it."""
    made, served, config = plane
    state = begun(served.sign_in, bound=False)
    waiting = asyncio.create_task(served("GET", f"/callback?code=c&state={state}"))
    async with asyncio.timeout(PATIENCE):
        await served.redeeming.entered.wait()
    await made.reload(replace(config, credentials={"b": credential("b")}, admin_key=Secret(NEW)))
    assert 404 == (await served("GET", "/login/a", bearer(NEW))).status
    served.redeeming.gate.set()
    answer = await waiting
    assert (200, True) == (answer.status, "Signed in to a" in answer.text)
    assert (1, "acc3ss-t0ken") == served.held()


async def test_stop_right_after(plane):
    """It waits for connections of before too."""
    made, _, config = plane
    await made.reload(replace(config, admin_key=Secret(NEW)))
    await made.stop()
    assert set() == made._leaving


@pytest.fixture
async def sign_in(tmp_path):
    """Give sign-ins on a configuration of one credential, and what redeems their codes."""
    config = make_config(tmp_path, credential())
    async with open_core(config) as core:
        redeeming = HeldRedeeming()
        redeeming.gate.set()
        yield SignIn(config, core, redeeming), redeeming, config


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"client_secret": Secret("new-secret")},
        {"scopes": ("more",)},
        {"redirect_uri": "http://[::1]:8081/callback"},
    ],
    ids=str,
)
async def test_sign_in_that_goes_on(sign_in, changes):
    """The vendor and the client are the same: its code is redeemed, with the secret of now."""
    made, redeeming, config = sign_in
    state = begun(made)
    made.reconfigure(replace(config, credentials={"a": credential(**changes)}))
    assert "a" == (await made.returned({"code": "c", "state": state})).credential
    assert [changes.get("client_secret", Secret("cl1ent-s3cret")).reveal()] == redeeming.secrets


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"token_url": "https://another.example/token"},
        {"authorize_url": "https://another.example/authorize"},
        {"grant": "implicit"},
        None,
    ],
    ids=str,
)
async def test_sign_in_that_ends(sign_in, changes):
    """Its code is good between others: it is sent to nobody, also if all is as before later on."""
    made, redeeming, config = sign_in
    state = begun(made)
    made.reconfigure(replace(config, credentials={} if changes is None else {"a": credential(**changes)}))
    made.reconfigure(config)
    with pytest.raises(SignInError, match="no sign-in that is under way here"):
        await made.returned({"code": "c", "state": state})
    assert [] == redeeming.codes


async def test_page_of_a_credential_that_is_gone(sign_in):
    """A form that was sent a moment too late says so."""
    made, _, config = sign_in
    made.reconfigure(replace(config, credentials={}))
    with pytest.raises(SignInError, match="names a no more"):
        made.begin("a")
    with pytest.raises(SignInError, match="names a no more"):
        await made.pasted("a", "code")
