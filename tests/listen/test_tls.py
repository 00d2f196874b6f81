"""TLS with callers: which versions, what fails and how that is told, and how long everything may take."""

import asyncio
import contextlib
import ssl

import pytest

from proxy.config import TlsFiles
from proxy.errors import BadTargetError, ListenError
from proxy.gateway.problem import describe
from proxy.listen import SPEAK_TLS, listener_tls
from tests.listen.conftest import LOOPS, echoing, on
from tests.support.tls import VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_tls(new_loop, files, caller, tmp_path, kind, version):
    """Both versions are spoken at both kinds of address, and agreed that HTTP/1.1 is spoken inside."""
    path = tmp_path / "proxy.sock"

    async def work():
        caller.minimum_version = caller.maximum_version = version
        caller.set_alpn_protocols(["h2", "http/1.1"])
        async with echoing(listener_tls(files), f"unix:{path}" if kind == "unix" else "127.0.0.1:0") as connect:
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
        async with echoing(listener_tls(files)) as connect:
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                await connect(ssl=caller)

    caller.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        caller.minimum_version = caller.maximum_version = ssl.TLSVersion.TLSv1_1
    on(new_loop, work())
    made = listener_tls(files).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert ssl.OP_NO_RENEGOTIATION & made.context.options


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n", b"PATCH / HTTP/1.0\r\n\r\n"]
)
@pytest.mark.parametrize("new_loop", LOOPS)
def test_plain_http_where_tls_is_spoken(new_loop, files, said):
    """It is answered as all errors of ours are; what comes after it is taken, so that the answer is not lost."""
    fields, body = describe(BadTargetError(SPEAK_TLS))

    async def work():
        async with echoing(listener_tls(files)) as connect:
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
        async with echoing(listener_tls(files), client_header_timeout=0.3) as connect:
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
        async with echoing(listener_tls(files), lingering_timeout=seconds) as connect:
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
