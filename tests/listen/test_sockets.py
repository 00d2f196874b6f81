"""Listening sockets: what is bound, what is said when that fails, and that nothing stays behind."""

import asyncio
import contextlib
import errno
import os
import socket
import stat

import pytest

from proxy.config import Address
from proxy.errors import ListenError
from proxy.listen import close_listener, listening_name, open_sockets

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
