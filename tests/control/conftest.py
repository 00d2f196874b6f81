"""A control plane on the real credential core and real sockets, before a vendor that is made of answers.

What is sent goes out byte for byte, since what is tested are fields that clients do not let one write.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import web

from proxy.config import Address, Callers, Config, CredentialConfig, Limits, Provider
from proxy.control.plane import make_app
from proxy.credentials.answers import Granted, Outcome
from proxy.credentials.core import CredentialCore, open_core
from proxy.credentials.exchange import Code
from proxy.credentials.record import Tokens
from proxy.secret import Secret
from proxy.signin.attempts import SignIn

PATIENCE = 20.0  # seconds after which a test that waits for an answer fails instead of hanging
ACCESS, REFRESH = "acc3ss-t0ken", "r3fresh-t0ken"
TOKENS = Tokens(access_token=Secret(ACCESS), refresh_token=Secret(REFRESH), scope="order")
MANUAL = {"grant": "manual", "authorize_url": "", "client_id": ""}
URLS = {
    "upstream": "https://api.acme.example",
    "authorize_url": "https://vendor.example/authorize",
    "token_url": "https://vendor.example/token",
}


def credential(name: str = "a", **changes: Any) -> CredentialConfig:
    """Give a credential; keys that are a provider's change its provider."""
    ours = {key: changes.pop(key) for key in list(changes) if key in Provider.model_fields}
    fields = {
        "client_id": "our-id",
        "client_secret": Secret("cl1ent-s3cret"),
        "redirect_uri": "http://127.0.0.1:8081/callback",
        "provider_name": "acme",
        **changes,
    }
    return CredentialConfig(name=name, provider=Provider(**{**URLS, **ours}), **fields)


def make_config(
    folder: Path, *credentials: CredentialConfig, admin: tuple[str, ...] = (), admin_key: str = ""
) -> Config:
    """Give the configuration of a control plane at `admin`."""
    return Config(
        path=folder / "config.yaml",
        listen=(),
        admin=tuple(Address.parse(address) for address in admin),
        admin_key=Secret(admin_key),
        store=folder / "tokens.db",
        spool_dir=folder,
        callers=Callers(),
        credentials={one.name: one for one in credentials},
        routes=(),
        limits=Limits(),
    )


class Redeeming:
    """Redeems codes, and remembers which."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.outcome: Outcome = Granted(TOKENS)

    async def __call__(self, credential: CredentialConfig, code: Code) -> Outcome:
        self.codes.append(code.code.reveal())
        return self.outcome


@dataclass(frozen=True)
class Answer:
    """One answer, whole. `fields` are by lower-case name."""

    status: int
    fields: dict[str, str]
    text: str
    raw: str

    @property
    def csrf(self) -> str:
        """Give the token of the page's forms."""
        match = re.search(r'name="csrf_token" value="([^"]*)"', self.text)
        return "" if match is None else match[1]

    @property
    def session(self) -> str:
        """Give the session that was set, as the browser sends it back."""
        return self.fields.get("set-cookie", "").partition(";")[0]


@dataclass
class Served:
    """A control plane that is served."""

    core: CredentialCore
    sign_in: SignIn
    redeeming: Redeeming
    port: int
    answers: list[Answer] = field(default_factory=list)

    async def __call__(self, method: str, path: str, *lines: str, body: str | bytes = "") -> Answer:
        """Send a request with just these field lines, and a Host of its own where there is none among them."""
        if not any(line.lower().startswith("host") for line in lines):
            lines = (f"Host: 127.0.0.1:{self.port}", *lines)
        sent = body if isinstance(body, bytes) else body.encode()
        if sent:
            lines = (*lines, f"Content-Length: {len(sent)}")
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Connection: close", *lines, "", ""])
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(head.encode() + sent)
            raw = (await reader.read()).decode()
            writer.close()
            await writer.wait_closed()
        top, _, text = raw.partition("\r\n\r\n")
        first, *rest = top.split("\r\n")
        pairs = (line.split(": ", 1) for line in rest)
        answer = Answer(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, text, raw)
        self.answers.append(answer)
        return answer

    async def submit(self, path: str, session: str, /, *lines: str, **form: str) -> Answer:
        """Send a form as a browser of this session does."""
        return await self(
            "POST",
            path,
            f"Cookie: {session}",
            f"Origin: http://127.0.0.1:{self.port}",
            "Sec-Fetch-Site: same-origin",
            "Content-Type: application/x-www-form-urlencoded",
            *lines,
            body=urlencode(form),
        )

    async def opened(self, path: str = "/login/a") -> tuple[str, str]:
        """Open a page as a new browser, and give its session and the token of its forms."""
        answer = await self("GET", path)
        return answer.session, answer.csrf

    async def begun(self, name: str = "a") -> tuple[str, str]:
        """Begin a sign-in as a new browser, and give its session and the state."""
        session, token = await self.opened(f"/login/{name}")
        answer = await self.submit(f"/login/{name}", session, csrf_token=token)
        return session, dict(parse_qsl(urlsplit(answer.fields["location"]).query))["state"]

    def held(self, name: str = "a") -> tuple[int, str | None]:
        """Give the generation and the access token of a credential."""
        record = self.core.keeper(name).health().record
        return record.generation, None if record.access_token is None else record.access_token.reveal()


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve control planes; without credentials there is one, `a`, that signs in by a code."""
    async with AsyncExitStack() as stack:

        async def made(*credentials: CredentialConfig, host: str = "127.0.0.1", **changes: Any) -> Served:
            config = make_config(tmp_path, *(credentials or (credential(),)), **changes)
            core = await stack.enter_async_context(open_core(config))
            redeeming = Redeeming()
            sign_in = SignIn(config, core, redeeming)
            stack.push_async_callback(sign_in.stop)
            runner = web.AppRunner(make_app(config, core, sign_in), access_log=None)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            site = web.TCPSite(runner, host, 0)
            await site.start()
            return Served(core, sign_in, redeeming, runner.addresses[0][1])

        yield made


async def page(asked: Served, path: str) -> str:
    """GET a page that there is, and give its text."""
    answer = await asked("GET", path)
    assert 200 == answer.status
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    return answer.text


def forms(text: str) -> dict[str, list[str]]:
    """Give where each form of a page leads, with the names of its fields."""
    found = re.findall(r'<form[^>]*method="post" action="([^"]*)"[^>]*>(.*?)</form>', text, re.DOTALL)
    return {action: re.findall(r'name="([^"]*)"', inside) for action, inside in found}
