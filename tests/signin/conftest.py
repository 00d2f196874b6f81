"""Sign-ins on the real store, a vendor that redeems codes behind gates, and a clock that only tests move."""

import asyncio
from urllib.parse import parse_qsl, urlsplit

import pytest

from proxy.config import Callers, Config, Limits
from proxy.credentials.answers import Granted, Outcome
from proxy.credentials.core import open_core
from proxy.credentials.exchange import Code
from proxy.credentials.record import Origin, Tokens
from proxy.secret import Secret
from proxy.signin.attempts import SignedIn, SignIn
from tests.credentials.conftest import Clock, credential, within

TIMEOUT = 600.0
MOST = 256
CANARY = "canary-7f3a9c"
BROWSER, OTHER = "session-of-a-browser", "session-of-another"
REDIRECT = "http://127.0.0.1:8081/callback"
KEYS = {"authorize_url": "https://acme.example/authorize", "redirect_uri": REDIRECT, "scopes": ("order",)}
CREDENTIALS = (
    credential(name="code", **KEYS),
    credential(name="other", **KEYS),
    credential(name="implicit", grant="implicit", **KEYS),
    credential(name="manual", grant="manual", **{**KEYS, "authorize_url": ""}, client_id=""),
    credential(name="machine", grant="client_credentials", renew="client_credentials"),
)
OLD = Tokens(access_token=Secret("old-access"), refresh_token=Secret("old-refresh"), expires_in=60.0, scope="old")
NEW = Tokens(access_token=Secret("new-access"), refresh_token=Secret("new-refresh"), expires_in=3600.0, scope="order")


class Redeeming:
    """Redeems codes as a vendor does, once each, behind a gate for each."""

    def __init__(self):
        self.redeemed: list[Code] = []
        self.entered = asyncio.Event()
        self.gates: dict[str, asyncio.Event] = {}
        self.outcomes: dict[str, Outcome] = {}

    def hold(self, code):
        self.entered.clear()
        self.gates[code] = asyncio.Event()
        return self.gates[code]

    async def __call__(self, credential, code):
        text = code.code.reveal()
        self.redeemed.append(code)
        self.entered.set()
        if text in self.gates:
            await self.gates[text].wait()
        return self.outcomes.get(text, Granted(NEW))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def redeeming():
    return Redeeming()


@pytest.fixture
def config(tmp_path):
    return Config(
        path=tmp_path / "config.yaml",
        listen=(),
        admin=(),
        store=tmp_path / "tokens.db",
        spool_dir=tmp_path,
        callers=Callers(),
        credentials={one.name: one for one in CREDENTIALS},
        routes=(),
        limits=Limits(login_timeout=TIMEOUT),
    )


@pytest.fixture
async def core(config, clock):
    async with open_core(config, clock=clock) as opened:
        for name in config.credentials:
            await opened.put(name, OLD, Origin.IMPORT)
        yield opened


@pytest.fixture
async def sign_in(config, core, redeeming, clock):
    made = SignIn(config, core, redeeming, clock=clock)
    yield made
    for gate in redeeming.gates.values():
        gate.set()
    await within(made.stop())


def begun(sign_in, name="code", session="", **how):
    """Begin a sign-in, and give its state."""
    url = sign_in.begin(name, session, **how)
    return dict(parse_qsl(urlsplit(url).query))["state"]


def kept(core, name="code"):
    """Give what counts of a record: its generation, origin and tokens."""
    record = core.keeper(name).health().record
    texts = [None if token is None else token.reveal() for token in (record.access_token, record.refresh_token)]
    return record.generation, record.origin, *texts


BEFORE = (1, Origin.IMPORT, "old-access", "old-refresh")
AFTER = (2, Origin.LOGIN, "new-access", "new-refresh")
DONE = SignedIn("code", "an access token, a refresh token; it expires in 60 min", ())
