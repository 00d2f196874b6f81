"""Each error that a caller may be answered with, provoked with secrets all around: none gets into it, or a log."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme

from proxy import errors
from proxy.credentials.keeper import Keeper
from proxy.errors import RequestError
from tests.support.canaries import Canaries
from tests.support.processes import ROOT

from .conftest import REJECTED, Inside, Run, Settings, reply

NEVER_RAISED = {"CallerError", "CredentialError"}  # names of a kind only: `test_kinds` holds them to it
SECRETS = ("query", "dummy", "cookie", "body")
STALLS = b""


@dataclass
class Way:
    """How an error comes about: what is configured, what the vendor answers, and what is done then."""

    do: Callable[[Inside], Awaitable[object]]
    answers: dict[str, bytes] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)


def given(proxy: Inside) -> list[str]:
    """The secrets that any caller may send along."""
    dummy, cookie = proxy.canaries["dummy"], proxy.canaries["cookie"]
    return [f"Authorization: Bearer {dummy}", f"Cookie: session={cookie}", f"X-Api-Key: {dummy}"]


def calling(line: str = "GET /t/api", *fields: str, query: str = "?a=CANARY") -> Callable[[Inside], Awaitable[object]]:
    """Send one request; CANARY in a field or the query is a secret."""

    async def call(proxy: Inside) -> None:
        secret = proxy.canaries["query"]
        named = [one.replace("CANARY", secret) for one in fields]
        own = {one.split(":")[0] for one in named}
        others = [one for one in given(proxy) if one.split(":")[0] not in own]
        body = proxy.canaries["body"] if line.startswith("POST") else ""
        await proxy.call(line + query.replace("CANARY", secret), *named, *others, body=body)

    return call


def at(url: str, **provider: Any) -> Settings:
    """Another vendor beside, at /x."""
    return {
        "providers": {"x": {"upstream": url, "token_url": f"{url}/token", "authorize_url": f"{url}/page", **provider}},
        "credentials": {"x": {"provider": "x", "client_id": "id", "client_secret": "SECRET"}},
        "routes": [{"prefix": "/x", "credential": "x"}],
    }


async def guess(proxy: Inside) -> None:
    for _ in range(12):
        await calling()(proxy)


async def with_a_key(proxy: Inside) -> None:
    await proxy.call("GET /t/api", f"Authorization: Bearer {proxy.canaries['client-key']}")


async def half_a_head(proxy: Inside) -> None:
    await proxy.send("\r\n".join(["GET /t/api HTTP/1.1", "Host: localhost", *given(proxy), ""]))


async def long_head(proxy: Inside) -> None:
    await proxy.call("GET /t/api", *given(proxy), f"X-Long: {proxy.canaries['dummy'] * 100}")


async def one_too_many(proxy: Inside) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"POST /t/api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n")
    while not proxy.running._data._server.in_flight:
        await asyncio.sleep(0)
    await proxy.call("GET /t/api", *given(proxy))
    writer.close()
    await writer.wait_closed()


async def when_it_rests(proxy: Inside) -> None:
    await proxy.core.keeper("t").stop()
    await calling()(proxy)


async def renewed_just_now(proxy: Inside) -> None:
    for _ in range(2):
        await calling()(proxy)


async def long_body(proxy: Inside) -> None:
    await proxy.call("POST /t/api", *given(proxy), body=proxy.canaries["body"] * 400_000)


def failing(monkeypatch: pytest.MonkeyPatch, canaries: Any) -> None:
    """Have something fail that nobody thought of, in words that tell all."""

    async def fail(_: Keeper) -> None:
        raise ValueError(canaries.echo())

    monkeypatch.setattr(Keeper, "current", fail)


NONE = {"anonymous": "none"}
LISTS = {
    "OrganizationAmbiguousError": '{"results": [{"name": "ECHO", "url": "/o/ab/"}, {"name": "b", "url": "/o/c/"}]}',
    "OrganizationMissingError": '{"results": []}',
    "UpstreamError": '{"ECHO": "ECHO"}',
}
CLOSED = "http://127.0.0.1:1"
TOKENS = '{"access_token": "newer-token", "refresh_token": "newer-refresh", "expires_in": 3600}'

WAYS: dict[str, Way] = {
    "RequestError": Way(calling()),
    "BadTargetError": Way(calling("GET /t/../api")),
    "ForbiddenPathError": Way(calling("GET /t/oauth/token")),
    "CallerNotAdmittedError": Way(calling(), settings={"anonymous": ["192.0.2.0/24"], "clients": None}),
    "KeyRequiredError": Way(calling(), settings=NONE),
    "TooManyAttemptsError": Way(guess, settings=NONE),
    "ClientNotAllowedError": Way(with_a_key, settings={"clients": {"erp": {"key": "KEY", "routes": ["/o"]}}}),
    "HostNotAllowedError": Way(calling("GET /t/api", "Host: CANARY.example")),
    "ForeignOriginError": Way(calling("GET /t/api", "Origin: https://CANARY.example")),
    "NoRouteError": Way(calling("GET /none")),
    "MethodNotAllowedError": Way(
        calling("POST /m"), settings={"routes": [{"prefix": "/m", "credential": "t", "methods": ["GET"]}]}
    ),
    "RequestTimeoutError": Way(half_a_head, settings={"client_header_timeout": "50ms"}),
    "ContentTooLargeError": Way(calling("POST /t/api"), settings={"client_max_body_size": 1}),
    "HeadTooLargeError": Way(long_head, settings={"max_request_headers": 1024}),
    "MethodNotImplementedError": Way(calling("TRACE /t/api")),
    "ShuttingDownError": Way(when_it_rests, {"/api": REJECTED}),
    "ProxyLimitError": Way(one_too_many, settings={"worker_connections": 1}),
    "NotConfiguredError": Way(
        calling("GET /n"),
        settings={
            "credentials": {"n": {"provider": "v", "client_id": "id"}},
            "routes": [{"prefix": "/n", "credential": "n"}],
        },
    ),
    "LoginRequiredError": Way(
        calling("GET /n"),
        settings={
            "credentials": {"n": {"provider": "v", "client_id": "id", "client_secret": "canary-other"}},
            "routes": [{"prefix": "/n", "credential": "n"}],
        },
    ),
    "RenewalGuardedError": Way(
        renewed_just_now,
        {"/api": REJECTED, "/token": reply("200 Fine", body=TOKENS)},
        {"renewal_guard": "30s"},
    ),
    "RenewalDelayedError": Way(
        calling(), {"/api": REJECTED, "/token": reply("503 ECHO", "Retry-After: ECHO", body="ECHO")}
    ),
    **{name: Way(calling("GET /o/x"), {"/orgs": reply("200 ECHO", body=text)}) for name, text in LISTS.items()},
    "OrganizationRefusedError": Way(calling("GET /o/x"), {"/orgs": reply("403 ECHO", body='{"error": "ECHO"}')}),
    "UpstreamDnsError": Way(calling("GET /x"), settings=at("https://nowhere.invalid")),
    "UpstreamRefusedError": Way(calling("GET /x"), settings=at(CLOSED)),
    "UpstreamTlsError": Way(calling("GET /x"), settings=at("https://127.0.0.1:{plain}")),
    "UpstreamCertificateError": Way(calling("GET /x"), settings=at("https://127.0.0.1:{tls}")),
    "UpstreamTerminatedError": Way(calling(), {"/api": b"HTTP/1.1 200 ECHO\r\nX-Echo: ECHO\r\n"}),
    "UpstreamProtocolError": Way(calling(), {"/api": b"ECHO ECHO ECHO\r\n\r\nECHO"}),
    "UpstreamConnectTimeoutError": Way(
        calling("GET /x"), settings={**at("https://127.0.0.1:{silent}"), "proxy_connect_timeout": "50ms"}
    ),
    "UpstreamSendTimeoutError": Way(long_body, {"/api": STALLS}, {"proxy_send_timeout": "100ms"}),
    "UpstreamReadTimeoutError": Way(calling(), {"/api": STALLS}, {"proxy_read_timeout": "50ms"}),
    "EgressProxyError": Way(calling("GET /x"), settings=at("http://192.0.2.1", insecure_http=True)),
}


def all_errors(of: type[RequestError] = RequestError) -> set[str]:
    """Every class of the tree, by name."""
    return {of.__name__}.union(*(all_errors(one) for one in of.__subclasses__() if one.__module__ == of.__module__))


def test_all():
    """Every error is provoked here: a new one wants a way of its own."""
    assert all_errors() == WAYS.keys() | NEVER_RAISED
    assert all_errors() <= set(errors.__all__)


@pytest.mark.parametrize("name", sorted(NEVER_RAISED))
def test_kinds(name):
    """Nobody makes an error that is only the name of a kind."""
    sources = [path.read_text() for path in (ROOT / "proxy").rglob("*.py")]
    assert [] == [text for text in sources if f"{name}(" in text.replace(f"class {name}(", "").replace(f"({name})", "")]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all errors that are made."""
    found: list[str] = []
    init = RequestError.__init__

    def noted(self: RequestError, *arguments: Any, **named: Any) -> None:
        found.append(type(self).__name__)
        init(self, *arguments, **named)

    monkeypatch.setattr(RequestError, "__init__", noted)
    return found


@pytest.fixture(scope="module")
def untrusted() -> ssl.SSLContext:
    """The certificate of an authority that nobody knows, for a name that is a secret."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(f"{Canaries()['certificate']}.example").configure_cert(tls)
    return tls


@contextlib.asynccontextmanager
async def beside(untrusted: ssl.SSLContext, echo: str) -> AsyncIterator[dict[str, int]]:
    """Places by name that are no use: one that nobody trusts, one that says nothing, one that speaks no TLS."""
    quiet = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await quiet.wait()
        writer.close()

    async def say_much(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(echo.encode())
        writer.close()

    servers = {
        "{tls}": await asyncio.start_server(say_nothing, "127.0.0.1", 0, ssl=untrusted),
        "{silent}": await asyncio.start_server(say_nothing, "127.0.0.1", 0),
        "{plain}": await asyncio.start_server(say_much, "127.0.0.1", 0),
    }
    try:
        yield {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    finally:
        quiet.set()
        for server in servers.values():
            server.close()
            await server.wait_closed()


@pytest.mark.parametrize(("log_format", "name"), [*zip(itertools.cycle(("text", "json")), WAYS, strict=False)])
async def test_error(log_format, name, run: Run, canaries, made, monkeypatch, untrusted):
    """The answer and the log have none of the caller's secrets, of ours, and of what the vendor echoes."""
    way = WAYS[name]
    for one in SECRETS:
        assert canaries[one]
    settings = filled(way.settings, {"KEY": canaries["client-key"], "SECRET": canaries["client-secret"]})
    if name == "EgressProxyError":
        for variable in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://me:{canaries['proxy-password']}@127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
    echo = f"{canaries['certificate']} {canaries.echo()}"
    async with (
        beside(untrusted, echo) as ports,
        run(**filled(settings, ports), log_format=log_format) as proxy,
    ):
        proxy.vendor.answers = {path: data.replace(b"ECHO", echo.encode()) for path, data in way.answers.items()}
        if name == "RequestError":
            failing(monkeypatch, canaries)
        await way.do(proxy)
        await proxy.look_everywhere()
        logged = proxy.log
    assert name in made
    assert any("\nProxy-Status: bearer-proxy" in one for one in proxy.answers)
    assert "error" in logged
    assert [] == proxy.leaks()


def filled(settings: Any, values: dict[str, Any]) -> Any:
    """Put values in the place of their names, however deep."""
    if isinstance(settings, dict):
        return {key: filled(value, values) for key, value in settings.items()}
    if isinstance(settings, list):
        return [filled(value, values) for value in settings]
    if isinstance(settings, str):
        for key, value in values.items():
            settings = settings.replace(key, str(value))
    return settings
