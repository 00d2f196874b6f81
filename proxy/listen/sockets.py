"""Listening sockets: opened with one clear sentence when that fails, and closed without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config import Address, Limits
from ..errors import ListenError
from .handshakes import TakenIn
from .tls import ListenerTls

_OWNER_ONLY = 0o600
_BACKLOG = 1024  # connections that wait to be accepted
_LEAST = 0.1  # seconds: asyncio takes no 0


def open_sockets(address: Address, mode: int = _OWNER_ONLY) -> Sequence[socket.socket]:
    """Give listening sockets for `address`. Raises `ListenError` with one sentence; none is left open then.

    `mode` is a unix socket's. Of the two addresses of `localhost` and `*`, IPv6 may be missing where there is none.
    """
    sockets: list[socket.socket] = []
    try:
        if address.path:
            sockets.append(_unix(Path(address.path), mode))
        for host in () if address.path else address.hosts:
            try:
                sockets.append(_tcp(host, address.port))
            except OSError as error:
                absent = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
                if not (absent and ":" in host and sockets):
                    raise
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise ListenError(f"cannot listen on {address}: {_why(error, address)}") from None
    return sockets


def _tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _unix(path: Path, mode: int) -> socket.socket:
    """Listen on a unix socket, first this user's alone; a dead one that stands there is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
        path.chmod(mode)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def _why(error: OSError, address: Address) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use: end the other program, or choose another port"
    if address.path and error.errno in (errno.ENOENT, errno.EACCES):
        missing = "does not exist" if error.errno == errno.ENOENT else "cannot be written to by this user"
        return f"the folder {Path(address.path).parent} {missing}"
    if error.errno == errno.EACCES:
        return "this user may not: choose a port above 1023"
    if isinstance(error, socket.gaierror):
        return "the name has no address"
    return error.strerror or str(error)  # the socket module's own words, for a path that is too long


async def accept_callers(
    factory: Callable[[], asyncio.BaseProtocol], sock: socket.socket, limits: Limits, tls: ListenerTls | None = None
) -> asyncio.Server:
    """Serve callers of a listening socket; a handshake may take as long as a request's head (as in nginx).

    With TLS, `close` of a transport waits for the caller to close too, for `lingering_timeout`, and what was written
    before has to be out by then.
    """
    loop = asyncio.get_running_loop()
    if tls is None:
        return await loop.create_server(factory, sock=sock, backlog=_BACKLOG)
    shake = functools.partial(
        loop.connect_accepted_socket,
        factory,
        ssl=tls,
        ssl_handshake_timeout=limits.client_header_timeout,
        ssl_shutdown_timeout=max(limits.lingering_timeout, _LEAST),
    )
    taken_in = functools.partial(TakenIn, tls.handshakes, shake, limits.client_header_timeout)
    return await loop.create_server(taken_in, sock=sock, backlog=_BACKLOG)


def listening_name(sock: socket.socket, *, tls: bool = False) -> str:
    """Give the address that a socket listens on, as it is written in a configuration."""
    where = sock.getsockname()
    if isinstance(where, tuple):
        return str(Address(where[0], where[1], tls=tls))
    return str(Address(path=where, tls=tls))


def close_listener(listener: asyncio.Server) -> None:
    """Stop listening, and take away the name of a unix socket."""
    paths = [sock.getsockname() for sock in listener.sockets if sock.family == socket.AF_UNIX]
    listener.close()
    for path in paths:
        with contextlib.suppress(OSError):
            Path(path).unlink()
