"""Connections through an egress proxy, under both event loops: what it is sent, and how it may fail."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from proxy.config import Upstream
from proxy.errors import (
    EgressProxyError,
    RequestError,
    UpstreamCertificateError,
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamTlsError,
)
from proxy.gateway.transport.dial import Dialer
from tests.support.forward import ESTABLISHED
from tests.support.loops import (
    PATIENCE,
    Caller,
    deaf,
    echo,
    echoed,
    full,
    on_both_loops,
    presenting,
    reset,
    serving,
    silent,
)

from .dialing import CANARY, SHORT, UPSTREAM, VENDOR, assert_fails, forwarding

PROXY = "the proxy that HTTPS_PROXY names"
MAX_HEAD = 64 << 10  # bytes of the head of an answer to CONNECT


@pytest.mark.parametrize(
    "answer",
    [
        [ESTABLISHED],
        [b"HTTP/1.0 200\r\n\r\n"],
        [b"HTTP/1.1 204 Fine\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
        [b"HTTP/1.1 200 OK\nVia: x\n\n"],
        [b"HTTP/1.1 200 OK\r\nX: ".ljust(MAX_HEAD - 4, b"x"), b"\r\n\r\n"],
    ],
    ids=["usual", "1.0", "another 2xx", "bare LF", "longest"],
)
@on_both_loops
async def test_tunnel(trust: ssl.SSLContext, ca: trustme.CA, answer: list[bytes]) -> None:
    """A 2xx opens it, whatever its fields say (RFC 9110 section 9.3.6); TLS inside is with the upstream."""
    async with serving(echo, presenting(ca, VENDOR)) as port, forwarding(answer, port) as forward:
        await echoed(Dialer(trust, PATIENCE, forward.environ()), UPSTREAM)
    assert [f"CONNECT {VENDOR}:443 HTTP/1.1\r\nHost: {VENDOR}:443\r\n\r\n".encode()] == forward.heads


@pytest.mark.parametrize("answer", [ESTABLISHED, b"HTTP/1.1 200 OK\nVia: x\n\n"])
@on_both_loops
async def test_answer_that_comes_byte_by_byte(trust: ssl.SSLContext, ca: trustme.CA, answer: bytes) -> None:
    """Its end is found, and what comes after it is left to TLS."""
    loop = asyncio.get_running_loop()
    receive = loop.sock_recv
    loop.sock_recv = lambda sock, _: receive(sock, 1)  # type: ignore[method-assign,assignment]
    async with serving(echo, presenting(ca, VENDOR)) as port, forwarding([answer], port) as forward:
        await echoed(Dialer(trust, PATIENCE, forward.environ()), UPSTREAM)


@on_both_loops
async def test_tunnel_with_a_password(trust: ssl.SSLContext, ca: trustme.CA) -> None:
    """It goes to the proxy, and nowhere else."""
    async with serving(echo, presenting(ca, VENDOR)) as port, forwarding(target=port) as forward:
        await echoed(Dialer(trust, PATIENCE, forward.environ("user:p%40ss@")), UPSTREAM)
    ((_, _, field, *_),) = [head.split(b"\r\n") for head in forward.heads]
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" == field


@on_both_loops
async def test_tunnel_to_an_ipv6_address(trust: ssl.SSLContext, ca: trustme.CA) -> None:
    """It stands in brackets, and the port is told always."""
    async with serving(echo, presenting(ca, "2001:db8::1")) as port, forwarding(target=port) as forward:
        await echoed(Dialer(trust, PATIENCE, forward.environ()), Upstream("https", "2001:db8::1", 443))
    assert b"CONNECT [2001:db8::1]:443 HTTP/1.1" == forward.heads[0].split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("wants a user and a password in that variable (407)", [b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"]),
        ("does not connect to {} (403): allow it there, or add it to NO_PROXY", [b"HTTP/1.1 403 No\r\n\r\n"]),
        ("does not connect to {} (302): allow it there, or add it to NO_PROXY", [b"HTTP/1.1 302 No\r\n\r\n"]),
        ("does not connect to {} (100): allow it there, or add it to NO_PROXY", [b"HTTP/1.1 100 Go on\r\n\r\n"]),
        ("cannot reach {} (502)", [b"HTTP/1.1 502 Bad\r\n\r\n"]),
        ("cannot reach {} (503)", [b"HTTP/1.1 503 Bad\r\n\r\n"]),
        ("cannot reach {} (504)", [b"HTTP/1.1 504 Bad\r\n\r\n"]),
        ("did not answer CONNECT in HTTP", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n"]),
        ("did not answer CONNECT in HTTP", [b"HTTP/1.1 2000 OK\r\n\r\n"]),
        ("did not answer CONNECT in HTTP", [b"HTTP/2 200 OK\r\n\r\n"]),
        ("closed the connection without an answer to CONNECT", []),
        ("closed the connection without an answer to CONNECT", [b"HTTP/1.1 200 OK\r\n"]),
        ("sent bytes of its own into the tunnel", [ESTABLISHED + b"\x16"]),
    ],
)
@on_both_loops
async def test_proxy_that_does_not_connect(trust: ssl.SSLContext, text: str, pieces: list[bytes]) -> None:
    """It is said what it answered, and what to do, and never what it holds."""
    async with forwarding(pieces) as forward:
        await assert_fails(EgressProxyError, f"{PROXY} {text}", Dialer(trust, PATIENCE, forward.environ()))


@on_both_loops
async def test_password_that_is_not_taken(trust: ssl.SSLContext) -> None:
    """It is not shown."""
    text = f"{PROXY} does not take the user and password that are in that variable (407)"
    async with forwarding([b"HTTP/1.1 407 No\r\n\r\n"]) as forward:
        dialer = Dialer(trust, PATIENCE, forward.environ(f"user:{CANARY}@"))
        error = await assert_fails(EgressProxyError, text, dialer)
    assert CANARY not in f"{error!r}{error.__context__!r}"


@pytest.mark.parametrize(
    "pieces", [[b"x" * MAX_HEAD, b"x", b""], [ESTABLISHED[:-4].ljust(MAX_HEAD, b"x") + b"\r\n\r\n"]]
)
@on_both_loops
async def test_answer_without_an_end(trust: ssl.SSLContext, pieces: list[bytes]) -> None:
    """It is not read beyond a limit."""
    text = f"the answer to CONNECT of {PROXY} is too long"
    async with forwarding(pieces) as forward:
        await assert_fails(EgressProxyError, text, Dialer(trust, PATIENCE, forward.environ()))


@on_both_loops
async def test_proxy_that_resets(trust: ssl.SSLContext) -> None:
    """It is the proxy that is blamed."""
    text = f"{PROXY} broke the connection before its answer to CONNECT"
    async with serving(reset) as port:
        await assert_fails(EgressProxyError, text, Dialer(trust, PATIENCE, {"HTTPS_PROXY": f"127.0.0.1:{port}"}))


@on_both_loops
async def test_proxy_that_is_down(trust: ssl.SSLContext) -> None:
    """It is the proxy that is blamed, for http too."""
    with deaf() as port:
        dialer = Dialer(trust, PATIENCE, {"ALL_PROXY": f"127.0.0.1:{port}"})
        for upstream in (UPSTREAM, Upstream("http", VENDOR, 80)):
            text = "the proxy that ALL_PROXY names cannot be connected to"
            await assert_fails(EgressProxyError, text, dialer, upstream)


@on_both_loops
async def test_proxy_without_an_address(trust: ssl.SSLContext) -> None:
    """It is its own name that cannot be resolved."""
    dialer = Dialer(trust, PATIENCE, {"HTTPS_PROXY": "http://no-such-proxy.invalid"})
    await assert_fails(EgressProxyError, f"the name of {PROXY} cannot be resolved", dialer)


@on_both_loops
async def test_proxy_that_is_silent(trust: ssl.SSLContext) -> None:
    """It is given up in time, whether it takes the connection or not."""
    text = f"connecting to {{}} through {PROXY} took too long"
    async with serving(silent) as port:
        with full() as hole:
            for one in (port, hole):
                dialer = Dialer(trust, SHORT, {"HTTPS_PROXY": f"http://127.0.0.1:{one}"})
                await assert_fails(UpstreamConnectTimeoutError, text, dialer)


@pytest.mark.parametrize(
    ("kind", "text", "certified"),
    [
        (UpstreamCertificateError, "the certificate of {} is not trusted", "other.example"),
        (UpstreamTlsError, "TLS with {} failed", ""),
    ],
)
@on_both_loops
async def test_somebody_else_inside_the_tunnel(
    trust: ssl.SSLContext, ca: trustme.CA, kind: type[RequestError], text: str, certified: str
) -> None:
    """The upstream's certificate counts, not the proxy's word."""
    tls = presenting(ca, certified) if certified else None
    async with serving(echo, tls) as port, forwarding(target=port) as forward:
        await assert_fails(kind, text, Dialer(trust, PATIENCE, forward.environ()))


@on_both_loops
async def test_tunnel_to_what_is_no_name(trust: ssl.SSLContext) -> None:
    """It is refused here, where no look-up has done so before."""
    async with forwarding() as forward:
        dialer, upstream = Dialer(trust, PATIENCE, forward.environ()), Upstream("https", "a..example", 443)
        await assert_fails(UpstreamDnsError, "the name of {} cannot be resolved", dialer, upstream)


@on_both_loops
async def test_http_by_a_proxy(trust: ssl.SSLContext) -> None:
    """The connection is with the proxy, and requests need its form of target and its field."""
    upstream = Upstream("http", VENDOR, 8080, "/base")
    async with serving(echo) as port:
        dialer = Dialer(trust, PATIENCE, {"http_proxy": f"http://u:p@127.0.0.1:{port}"})
        via = dialer.via(upstream)
        assert via is not None
        assert (f"http://{VENDOR}:8080", "Basic dTpw") == (via.prefix, via.authorization.reveal())
        assert "dTpw" not in repr(via)
        await echoed(dialer, upstream)


@pytest.mark.parametrize(
    ("upstream", "environ"),
    [
        (Upstream("http", VENDOR, 80), {}),
        (UPSTREAM, {"ALL_PROXY": "http://127.0.0.1:1"}),
        (Upstream("http", VENDOR, 80), {"ALL_PROXY": "http://127.0.0.1:1", "NO_PROXY": VENDOR}),
        (Upstream("http", "localhost", 80), {"ALL_PROXY": "http://127.0.0.1:1"}),
    ],
)
def test_requests_that_need_nothing(trust: ssl.SSLContext, upstream: Upstream, environ: dict[str, str]) -> None:
    """Those that go directly, and those inside a tunnel, are as ever."""
    assert Dialer(trust, PATIENCE, environ).via(upstream) is None


def test_environment_that_changes(trust: ssl.SSLContext) -> None:
    """It is read once for each upstream: it is not meant to change, and requests must not pay for it."""
    environ, upstream = {"http_proxy": "http://one.example"}, Upstream("http", VENDOR, 80)
    dialer = Dialer(trust, PATIENCE, environ)
    before = dialer.via(upstream)
    environ.clear()
    assert before == dialer.via(upstream) != dialer.via(Upstream("http", VENDOR, 81))


@on_both_loops
async def test_variable_that_cannot_be_used(trust: ssl.SSLContext) -> None:
    """It is named, each time."""
    dialer, upstream = Dialer(trust, PATIENCE, {"ALL_PROXY": f"socks5://{CANARY}"}), Upstream("http", VENDOR, 80)
    for _ in range(2):
        with pytest.raises(EgressProxyError, match="ALL_PROXY"):
            await dialer.connect(upstream, Caller)
        with pytest.raises(EgressProxyError, match="ALL_PROXY"):
            dialer.via(upstream)
