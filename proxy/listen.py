"""Listening sockets for both planes: opened with one clear sentence when that fails, and closed without a trace.

Those marked ssl speak TLS 1.2 or later, and HTTP/1.1 inside. A caller whose handshake fails is told why: by the alert
that belongs to it, or in plain HTTP if that is what it spoke.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import ssl
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from .config import Address, Limits, TlsFiles
from .config.exposure import CertificateError, load_certificate
from .errors import ListenError

SPEAK_TLS = "plain HTTP was spoken where TLS is: call https:// here"  # what nginx calls 497

_BACKLOG = 1024  # connections that wait to be accepted
_LEAST = 0.1  # seconds: asyncio takes no 0
_NOT_TLS = ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER")  # OpenSSL's words, for a first record


def open_sockets(address: Address) -> Sequence[socket.socket]:
    """Give listening sockets for `address`. Raises `ListenError` with one sentence; none is left open then.

    Of the two addresses of `localhost` and `*`, IPv6 may be missing where the system has none.
    """
    sockets: list[socket.socket] = []
    try:
        if address.path:
            sockets.append(_unix(Path(address.path)))
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


def _unix(path: Path) -> socket.socket:
    """Listen on a unix socket that only this user can reach; a dead one that stands there is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
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


def listener_tls(files: TlsFiles) -> ssl.SSLContext:
    """Give the context of listeners marked ssl. Raises `ListenError` with one sentence."""
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = _Session
    try:
        load_certificate(context, files)
    except CertificateError as error:
        raise ListenError(f"cannot speak TLS: {error.key}: {error}") from None
    return context


async def accept_callers(
    factory: Callable[[], asyncio.BaseProtocol], sock: socket.socket, limits: Limits, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Serve callers of a listening socket; a handshake may take as long as a request's head (as in nginx).

    With TLS, `close` of a transport waits for the caller to close too, for `lingering_timeout`, and what was written
    before has to be out by then.
    """
    return await asyncio.get_running_loop().create_server(
        factory,
        sock=sock,
        backlog=_BACKLOG,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else limits.client_header_timeout,
        ssl_shutdown_timeout=None if tls is None else max(limits.lingering_timeout, _LEAST),
    )


def _plain_answer() -> bytes:
    """Give the answer to plain HTTP, in the form that all errors of ours have."""
    fields = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": SPEAK_TLS}
    ours = {"error": "invalid_request", "error_description": SPEAK_TLS, "details": "caller failed"}
    body = json.dumps(fields | ours).encode() + b"\n"
    head = (
        "HTTP/1.1 400 Bad Request",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        f'Proxy-Status: bearer-proxy; error=http_request_error; details="{SPEAK_TLS}"',
        "Connection: close",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class _Session(ssl.SSLObject):
    """Our side of TLS with one caller.

    asyncio drops what OpenSSL has to say when a handshake fails. So a failure is put off: what there is to say goes
    out, whatever still comes is dropped, and the connection ends with the caller, or with the handshake's time.
    """

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    _begun = False
    _failed = False

    def do_handshake(self) -> None:
        """Go on as far as possible. Raises `SSLWantReadError` where more is to come."""
        if self._failed:
            self.incoming.read()
            raise ssl.SSLWantReadError
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            self._begun = self._begun or self.outgoing.pending > 0
            raise
        except ssl.SSLError as error:
            self._failed = True
            if not self._begun and error.reason in _NOT_TLS:
                self.outgoing.read()
                self.outgoing.write(_plain_answer())
            if self.outgoing.pending:
                raise ssl.SSLWantReadError from None
            raise


class _Context(ssl.SSLContext):
    """Makes objects that can say something when a handshake fails."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Give our side of TLS with one caller."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, _Session):
            made.incoming, made.outgoing = incoming, outgoing
        return made


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
