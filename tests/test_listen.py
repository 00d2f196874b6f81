"""Listening sockets: what is bound, what is said when that fails, and that nothing stays behind."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from typing import Any

import pytest
import trustme

from proxy.config import Address, Limits, TlsFiles
from proxy.errors import BadTargetError, ListenError
from proxy.gateway.problem import describe
from proxy.listen import SPEAK_TLS, accept_callers, close_listener, listener_tls, listening_name, open_sockets

try:
    import uvloop
except ImportError:
    LOOPS = [asyncio.new_event_loop]
else:
    LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]

IN_USE = "the address is in use: end the other program, or choose another port"


@pytest.fixture
def opened():
    """Open sockets that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def open_them(address):
            return [stack.enter_context(one) for one in open_sockets(Address.parse(address))]

        yield open_them


@pytest.fixture
def path(tmp_path):
    return tmp_path / "proxy.sock"


def reached(family, where):
    with socket.socket(family) as one:
        one.connect(where)
    return True


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        (["127.0.0.1"], "127.0.0.1:0"),
        (["::1"], "[::1]:0"),
        (["127.0.0.1", "::1"], "localhost:0"),
        (["127.0.0.1", "::1"], "LocalHost:0"),
        (["0.0.0.0", "::"], "*:0"),
        (["::"], "[::]:0"),
    ],
)
def test_address(opened, hosts, address):
    """Every address that it means is listened on, without blocking, and IPv6 for itself alone."""
    sockets = opened(address)
    assert hosts == [one.getsockname()[0] for one in sockets]
    for one in sockets:
        assert (False, 1) == (one.getblocking(), one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        assert 1 == one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        if one.family == socket.AF_INET6:
            assert 1 == one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        else:
            assert reached(one.family, ("127.0.0.1", one.getsockname()[1]))


def test_name(opened, path):
    """It is written as in a configuration."""
    (four,), (six,), (unix,) = (opened(address) for address in ("127.0.0.1:0", "[::1]:0", f"unix:{path}"))
    assert f"127.0.0.1:{four.getsockname()[1]}" == listening_name(four)
    assert f"[::1]:{six.getsockname()[1]}" == listening_name(six)
    assert f"unix:{path}" == listening_name(unix)
    assert f"[::1]:{six.getsockname()[1]} ssl" == listening_name(six, tls=True)
    assert f"unix:{path} ssl" == listening_name(unix, tls=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "*"])
def test_port_that_is_in_use(opened, host):
    """One sentence says so, and what to do."""
    (other,) = opened("127.0.0.1:0")
    address = f"{host}:{other.getsockname()[1]}"
    with pytest.raises(ListenError) as caught:
        open_sockets(Address.parse(address))
    assert f"cannot listen on {address}: {IN_USE}" == str(caught.value)


def test_second_address_that_fails(opened):
    """The first is closed again: it can be had."""
    (other,) = opened("[::1]:0")
    port = other.getsockname()[1]
    with pytest.raises(ListenError, match="cannot listen on localhost"):
        open_sockets(Address("localhost", port))
    assert 1 == len(opened(f"127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("this user may not: choose a port above 1023", PermissionError(errno.EACCES, "Permission denied")),
        ("the name has no address", socket.gaierror(socket.EAI_NONAME, "x")),
        ("No buffer space", OSError(errno.ENOBUFS, "No buffer space")),
    ],
)
def test_system_that_refuses(monkeypatch, expected, error):
    """The reason is said in one sentence, and no socket stays open."""
    made = []

    class Refusing(socket.socket):
        def bind(self, _where):
            made.append(self)
            raise error

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(ListenError) as caught:
        open_sockets(Address("127.0.0.1", 80))
    assert "cannot listen on 127.0.0.1:80: " + expected == str(caught.value)
    assert [-1] == [one.fileno() for one in made]


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_system_without_ipv6(monkeypatch, opened, number):
    """IPv4 is enough where both are meant, and not where IPv6 is asked for."""

    class Four(socket.socket):
        def bind(self, where):
            if self.family == socket.AF_INET6:
                raise OSError(number, "no IPv6 here")
            super().bind(where)

    monkeypatch.setattr(socket, "socket", Four)
    assert ["127.0.0.1"] == [one.getsockname()[0] for one in opened("localhost:0")]
    assert ["0.0.0.0"] == [one.getsockname()[0] for one in opened("*:0")]
    with pytest.raises(ListenError, match="no IPv6 here"):
        open_sockets(Address("::1", 0))


def test_address_of_another_machine():
    """It cannot be listened on, IPv4 or not."""
    with pytest.raises(ListenError, match=r"^cannot listen on 192\.0\.2\.1:0: "):
        open_sockets(Address("192.0.2.1", 0))


def test_unix_socket(opened, path):
    """Only this user can reach it, and the umask is as before."""
    before = os.umask(0o022)
    try:
        (one,) = opened(f"unix:{path}")
        assert 0o022 == os.umask(0o022)
    finally:
        os.umask(before)
    mode = path.stat().st_mode
    assert (True, 0o600) == (stat.S_ISSOCK(mode), stat.S_IMODE(mode))
    assert not one.getblocking()
    assert reached(socket.AF_UNIX, str(path))


def test_unix_socket_of_a_dead_process(opened, path):
    """It is replaced."""
    (dead,) = opened(f"unix:{path}")
    dead.close()
    opened(f"unix:{path}")
    assert reached(socket.AF_UNIX, str(path))


def test_unix_socket_that_is_listened_on(opened, path):
    """It is left alone."""
    opened(f"unix:{path}")
    with pytest.raises(ListenError, match=IN_USE):
        open_sockets(Address(path=str(path)))
    assert reached(socket.AF_UNIX, str(path))


@pytest.mark.parametrize("make", ["touch", "mkdir"])
def test_path_that_is_no_socket(path, make):
    """It is left alone."""
    getattr(path, make)()
    before = path.stat()
    with pytest.raises(ListenError, match=IN_USE):
        open_sockets(Address(path=str(path)))
    assert before.st_ino == path.stat().st_ino


@pytest.mark.parametrize(("expected", "name"), [("does not exist", "absent/proxy.sock"), ("too long", "x" * 120)])
def test_path_that_cannot_be_bound(tmp_path, expected, name):
    """One sentence says why."""
    with pytest.raises(ListenError, match=expected):
        open_sockets(Address(path=str(tmp_path / name)))


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_close(opened, path, kind):
    """It takes away the name of a unix socket; a second time does no harm."""
    (one,) = opened(f"unix:{path}" if kind == "unix" else "127.0.0.1:0")
    where = one.getsockname()
    listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=one)
    close_listener(listener)
    close_listener(listener)
    assert not path.exists()
    with pytest.raises(OSError):
        reached(one.family, where)


async def test_close_after_the_name_is_gone(opened, path):
    """That is well too."""
    (one,) = opened(f"unix:{path}")
    listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=one)
    path.unlink()
    close_listener(listener)
    assert not path.exists()


class Echo(asyncio.Protocol):
    """Says back what it hears, in capitals, and closes when it hears a full stop."""

    def __init__(self, ends):
        self.ends = ends

    def connection_made(self, transport):
        self.transport = transport
        self.lost = asyncio.get_running_loop().create_future()
        self.ends.append(self.lost)

    def connection_lost(self, _exc):
        self.lost.set_result(None)

    def data_received(self, data):
        self.transport.write(data.upper())
        if data.endswith(b"."):
            self.transport.close()


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def files(ca, tmp_path):
    """Give a certificate for localhost with its key, in one file."""
    file = tmp_path / "both.pem"
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(file))
    return TlsFiles(certificate=file)


@pytest.fixture
def caller(ca):
    """Give what a caller goes by who trusts the authority."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@contextlib.asynccontextmanager
async def echoing(files, address="127.0.0.1:0", **limits):
    """Serve on an address with TLS; give what connects to it."""
    (sock,) = open_sockets(Address.parse(address))
    where: Any = sock.getsockname()
    ends: list[asyncio.Future[None]] = []
    listener = await accept_callers(lambda: Echo(ends), sock, Limits(**limits), listener_tls(files))

    async def connect(**options):
        options |= {"server_hostname": "localhost"} if options else {}
        unix = sock.family == socket.AF_UNIX
        opening = asyncio.open_unix_connection(where, **options) if unix else asyncio.open_connection(*where, **options)
        reader, writer = await opening
        closing.callback(writer.transport.abort)
        return reader, writer

    with contextlib.ExitStack() as closing:
        yield connect
    close_listener(listener)
    await asyncio.gather(*ends)


def on(new_loop, work):
    """Run on a loop of that kind."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(work, 15))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_tls(new_loop, files, caller, path, kind, version):
    """Both versions are spoken at both kinds of address, and agreed that HTTP/1.1 is spoken inside."""

    async def work():
        caller.minimum_version = caller.maximum_version = version
        caller.set_alpn_protocols(["h2", "http/1.1"])
        async with echoing(files, f"unix:{path}" if kind == "unix" else "127.0.0.1:0") as connect:
            reader, writer = await connect(ssl=caller)
            assert "http/1.1" == writer.get_extra_info("ssl_object").selected_alpn_protocol()
            writer.write(b"a" * 1_000_000 + b".")
            assert b"A" * 1_000_000 + b"." == await reader.read(-1)

    on(new_loop, work())
    assert not path.exists()


@pytest.mark.parametrize("new_loop", LOOPS)
def test_tls_of_old(new_loop, files, caller):
    """TLS 1.1 is refused, and the caller is told so by an alert; nobody renegotiates."""

    async def work():
        async with echoing(files) as connect:
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                await connect(ssl=caller)

    caller.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        caller.minimum_version = caller.maximum_version = ssl.TLSVersion.TLSv1_1
    on(new_loop, work())
    assert ssl.OP_NO_RENEGOTIATION & listener_tls(files).options


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n", b"PATCH / HTTP/1.0\r\n\r\n"]
)
@pytest.mark.parametrize("new_loop", LOOPS)
def test_plain_http_where_tls_is_spoken(new_loop, files, said):
    """It is answered as all errors of ours are; what comes after it is taken, so that the answer is not lost."""
    fields, body = describe(BadTargetError(SPEAK_TLS))

    async def work():
        async with echoing(files) as connect:
            reader, writer = await connect()
            writer.write(said)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"x" * 3_000_000)
            writer.write_eof()
            assert body == await reader.read(-1)
        line, *rest = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        expected = [*(f"{name}: {value}" for name, value in fields), "Connection: close"]
        assert ("HTTP/1.1 400 Bad Request", expected) == (line, rest)

    on(new_loop, work())


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_handshake_that_never_ends(new_loop, files, caller, said):
    """It is ended after `client_header_timeout`, and others are served meanwhile and after."""

    async def work():
        clock = asyncio.get_running_loop().time
        async with echoing(files, client_header_timeout=0.3) as connect:
            reader, writer = await connect()
            began = clock()
            writer.write(said)
            other, speaking = await connect(ssl=caller)
            await reader.read(-1)
            assert 0.25 < clock() - began < 10
            speaking.write(b"fine.")
            assert b"FINE." == await other.read(-1)

    on(new_loop, work())


@pytest.mark.parametrize("seconds", [0.3, 0])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_caller_that_does_not_close(new_loop, files, caller, seconds):
    """A connection that is closed here is waited for `lingering_timeout` long."""

    async def work():
        async with echoing(files, lingering_timeout=seconds) as connect:
            reader, writer = await connect()
            up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
            ours = caller.wrap_bio(down, up, server_hostname="localhost")
            for _ in range(2):  # the server's part comes in one piece
                with contextlib.suppress(ssl.SSLWantReadError):
                    ours.do_handshake()
                writer.write(up.read())
                down.write(await reader.read(1 << 16))
            ours.write(b"fine.")
            writer.write(up.read())
            down.write(await reader.read(-1))
            assert b"FINE." == ours.read(100)

    on(new_loop, work())


@pytest.mark.parametrize("text", [None, "", "CANARY"])
def test_certificate_that_went_since_it_was_checked(tmp_path, text):
    """One sentence says by which key of the configuration, and nothing of what is in the file."""
    file = tmp_path / "c.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ListenError) as caught:
        listener_tls(TlsFiles(certificate=file))
    why = "there is no such file" if text is None else "this file holds no PEM certificate that OpenSSL can read"
    assert (f"cannot speak TLS: ssl_certificate: {why}", None) == (str(caught.value), caught.value.__cause__)
