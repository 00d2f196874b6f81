"""Upstreams beyond a forward proxy, and upstreams whose certificate is signed by an authority of one's own."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import trustme

from tests.e2e.conftest import Gateway, Settings, listening, port_of
from tests.support.forward import ForwardProxy
from tests.support.processes import Proxy
from tests.support.upstream import Do, Tokens, Upstream, reply

PASSWORD = "c4nary"
PAIR = base64.b64encode(b"user:" + PASSWORD.encode())
VENDOR, REFUSED, GONE, DIRECT, PLAIN = (f"{name}.vendor.example" for name in ("api", "no", "gone", "direct", "plain"))
REFUSALS = {
    host: b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    for host, status in ((REFUSED, b"407 Who are you"), (GONE, b"502 Not there"))
}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(VENDOR, "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def proxy_listener() -> Iterator[socket.socket]:
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def settings(listener: socket.socket) -> Settings:
    """A route to each kind of upstream. Their tokens come from the vendor's token endpoint, all but one's."""
    local, vendor = f"https://localhost:{port_of(listener)}", f"https://{VENDOR}"
    upstreams = {
        "vendor": (vendor, vendor),
        "refused": (f"https://{REFUSED}", vendor),
        "gone": (f"https://{GONE}", vendor),
        "direct": (f"https://{DIRECT}", vendor),
        "local": (local, local),
        "plain": (f"http://{PLAIN}:8080/base", vendor),
        "tokenless": (local, f"https://{REFUSED}"),
    }
    common = {"grant": "client_credentials", "renew": "client_credentials", "insecure_http": True}
    return {
        "ca_file": "ca.pem",
        "providers": {
            name: {"upstream": upstream, "token_url": f"{origin}/token", **common}
            for name, (upstream, origin) in upstreams.items()
        },
        "credentials": {name: {"provider": name, "client_id": "i", "client_secret": "s"} for name in upstreams},
        "routes": [{"prefix": f"/{name}", "credential": name} for name in upstreams],
    }


def variables(listener: socket.socket) -> dict[str, str]:
    """The environment that names a proxy, with a password."""
    url = f"http://user:{PASSWORD}@127.0.0.1:{port_of(listener)}"
    return {"HTTPS_PROXY": url, "http_proxy": url, "NO_PROXY": f"other.example,{DIRECT}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    listener: socket.socket,
    proxy_listener: socket.socket,
    settings: Settings,
    ca: trustme.CA,
) -> AsyncIterator[Gateway]:
    """The proxy that all tests of this module share. Whatever they do, its log shows nothing of the password."""
    folder = tmp_path_factory.mktemp("gateway")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    gateway = Gateway(Proxy(folder), Tokens(), listener)
    gateway.proxy.configure("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))
    try:
        await gateway.proxy.start(variables(proxy_listener))
        yield gateway
    finally:
        assert 0 == await gateway.proxy.stop(), gateway.proxy.log
    assert_secret(gateway.proxy.log.encode())


@pytest.fixture
async def upstream(gateway: Gateway, tls: ssl.SSLContext) -> AsyncIterator[Upstream]:
    async with Upstream(gateway.tokens).serving(gateway.listener, tls) as upstream:
        yield upstream


@pytest.fixture
async def forward(upstream: Upstream, gateway: Gateway, proxy_listener: socket.socket) -> AsyncIterator[ForwardProxy]:
    async with ForwardProxy(gateway.upstream_port, refusals=REFUSALS).serving(proxy_listener) as forward:
        yield forward


def assert_secret(data: bytes) -> None:
    """Check that nothing of the password is in it."""
    assert PASSWORD.encode() not in data
    assert PAIR.rstrip(b"=") not in data


async def test_https(gateway: Gateway, upstream: Upstream, forward: ForwardProxy) -> None:
    """Requests and token exchanges go through tunnels; the proxy sees where to and its own password, and no token."""
    upstream.script(reply(body=b"a" * 100_000))
    answer = await gateway.call("GET /vendor/a/%2F?b=+", b"Proxy-Authorization: Basic Y2FsbGVy")
    assert (200, b"a" * 100_000) == (answer.status, answer.body)
    (request,) = upstream.requests
    assert (b"GET /a/%2F?b=+ HTTP/1.1", [VENDOR.encode()]) == (request.line, request.values(b"host"))
    assert ([], b"app") == (request.values(b"proxy-authorization"), request.token)
    assert {b"CONNECT %s:443 HTTP/1.1" % VENDOR.encode()} == set(forward.lines)
    for head in forward.heads:
        fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
        assert not {b"authorization", b"cookie"} & {field.partition(b":")[0].lower() for field in fields}
        assert b"Proxy-Authorization: Basic " + PAIR in fields
    assert b"Bearer" not in forward.seen
    assert b"client_secret" not in forward.seen


async def test_upload_and_second_request(gateway: Gateway, upstream: Upstream, forward: ForwardProxy) -> None:
    """A tunnel carries bodies both ways, and is used again."""
    body = bytes(range(256)) * 4096
    assert 200 == (await gateway.post("/vendor/a", body)).status
    before = len(forward.heads)
    assert 200 == (await gateway.call("GET /vendor/b")).status
    assert (body, before) == (upstream.requests[0].body, len(forward.heads))


async def test_upstream_that_ends_inside_the_tunnel(
    gateway: Gateway, upstream: Upstream, forward: ForwardProxy
) -> None:
    """It is the upstream that failed, not the proxy on the way."""
    upstream.script([Do.READ, Do.CLOSE])
    answer = await gateway.post("/vendor/a", b"x")
    assert (502, "upstream_error") == (answer.status, answer.json()["error"])


@pytest.mark.parametrize(
    ("route", "words"),
    [("refused", "does not take the user and password that are in that variable (407)"), ("gone", "cannot reach")],
)
async def test_proxy_that_refuses(gateway: Gateway, forward: ForwardProxy, route: str, words: str) -> None:
    """The answer names the variable, says what to do, and shows nothing that it holds."""
    answer = await gateway.post(f"/{route}/a", b"body")
    problem = answer.json()
    assert (502, "egress_proxy_failed") == (answer.status, problem["error"])
    assert problem["error_description"].startswith("the proxy that HTTPS_PROXY names ")
    assert words in problem["error_description"]
    (status,) = answer.values(b"proxy-status")
    assert status.startswith(b"bearer-proxy; error=connection_refused;")
    assert_secret(answer.body + status)


async def test_token_endpoint_that_the_proxy_refuses(gateway: Gateway, forward: ForwardProxy) -> None:
    """Nothing was sent there: it is tried again, and is not uncertain."""
    answer = await gateway.call("GET /tokenless/a")
    assert 503 == answer.status
    told = json.dumps(await gateway.proxy.credential("tokenless"))
    assert "the proxy that HTTPS_PROXY names did not connect to the token endpoint (407)" in told
    assert "uncertain" not in told
    assert_secret(answer.body + told.encode())


async def test_host_of_no_proxy(gateway: Gateway, forward: ForwardProxy) -> None:
    """It is looked up and called directly."""
    answer = await gateway.call("GET /direct/a")
    (status,) = answer.values(b"proxy-status")
    assert (502, True) == (answer.status, status.startswith(b"bearer-proxy; error=dns_error;"))
    assert not any(DIRECT.encode() in line for line in forward.lines)


async def test_loopback(gateway: Gateway, upstream: Upstream, forward: ForwardProxy) -> None:
    """It is called directly, and trusted because of `ca_file`; so is its token endpoint."""
    assert 200 == (await gateway.call("GET /local/a")).status
    assert [] == forward.heads
    assert [b"/a"] == [request.target for request in upstream.requests]


async def test_http(gateway: Gateway, forward: ForwardProxy) -> None:
    """Requests go to the proxy in absolute-form, with its password and not with the caller's, on one connection."""
    for path in (b"/a%2F?b", b"/c"):
        answer = await gateway.call(f"GET /plain{path.decode()}", b"Proxy-Authorization: Basic Y2FsbGVy")
        assert (200, b"plain") == (answer.status, answer.body)
        head = forward.heads[-1]
        fields = [line for line in head.split(b"\r\n") if line.lower().startswith((b"proxy-auth", b"host:"))]
        assert b"GET http://%s:8080/base%s HTTP/1.1" % (PLAIN.encode(), path) == forward.lines[-1]
        assert sorted([b"Host: %s:8080" % PLAIN.encode(), b"Proxy-Authorization: Basic " + PAIR]) == sorted(fields)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("ALL_PROXY names a proxy that is not http://", f"socks5://user:{PASSWORD}@127.0.0.1:1080"),
        ("the proxy that ALL_PROXY names cannot be connected to", f"http://user:{PASSWORD}@127.0.0.1:1"),
    ],
)
async def test_proxy_that_cannot_be_used(bare_proxy: Proxy, words: str, value: str) -> None:
    """The variable is to blame, not the upstream; what it holds is shown nowhere."""
    bare_proxy.configure(
        f"""
providers: {{vendor: {{upstream: "https://{VENDOR}", renew: none, grant: manual}}}}
credentials: {{vendor: {{provider: vendor}}}}
routes: [{{prefix: /vendor, credential: vendor}}]
"""
    )
    await bare_proxy.bring_tokens("vendor", {"access_token": "a"})
    await bare_proxy.start({"ALL_PROXY": value})
    with listening() as listener:
        answer = await Gateway(bare_proxy, Tokens(), listener).call("GET /vendor/a")
    assert (502, "egress_proxy_failed") == (answer.status, answer.json()["error"])
    assert words in answer.json()["error_description"]
    assert 0 == await bare_proxy.stop()
    assert_secret(answer.body + bare_proxy.log.encode())


async def test_doctor(
    gateway: Gateway,
    forward: ForwardProxy,
    upstream: Upstream,
    proxy_listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes the same ways, and says by which, and which of them is closed."""
    for name, value in variables(proxy_listener).items():
        monkeypatch.setenv(name, value)
    upstream.script(reply(body=b""), reply(body=b""))
    done = await gateway.proxy.command("doctor", "--json")
    assert "Traceback" not in done.err
    network = {one["subject"]: one for one in json.loads(done.out)["findings"] if one["check"] == "network"}
    by = "(by the proxy that HTTPS_PROXY names)"
    assert network[f"https://{VENDOR}"]["level"] == "ok"
    assert by in network[f"https://{VENDOR}"]["text"]
    for name in (REFUSED, GONE):
        assert f"the proxy on the way to it does not connect to it {by}" == network[f"https://{name}"]["text"]
        assert "HTTPS_PROXY" in network[f"https://{name}"]["next_step"]
    assert "its name has no address" == network[f"https://{DIRECT}"]["text"]
    local = network[f"https://localhost:{gateway.upstream_port}"]
    assert ("ok", False) == (local["level"], "proxy" in local["text"])
    plain = network[f"http://{PLAIN}:8080"]
    assert ("ok", True) == (plain["level"], "(by the proxy that http_proxy names)" in plain["text"])
    assert_secret((done.out + done.err).encode())


@pytest.mark.parametrize("command", ["check", "serve", "status", "doctor"])
async def test_ca_file_that_is_not_there(bare_proxy: Proxy, command: str) -> None:
    """Every command that reads the configuration says so, with the line."""
    bare_proxy.configure("\nca_file: authorities.pem\n")
    done = await bare_proxy.command(command)
    assert 2 == done.code
    assert "config.yaml:4: ca_file: there is no such file" in done.out + done.err
