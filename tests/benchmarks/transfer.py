"""Large bodies both ways over plain sockets, and an upstream of our own that takes uploads."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

from .column import Running
from .site import DOWNLOAD, TOKEN

MOST = 256  # transfers in a measurement
WITHIN = 30.0  # seconds for one step of a socket
_PIECE = 1 << 20
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class TransferError(Exception):
    """What arrived is not what was sent."""


def downloads(running: Running, seconds: float) -> int:
    """Download the large body again and again on one connection; give how many bytes came."""
    buffer = memoryview(bytearray(_PIECE))
    total, end = 0, time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=WITHIN)
    with contextlib.closing(connection):
        for _ in range(MOST):
            connection.request("GET", f"{running.prefix}/big")
            response = connection.getresponse()
            size = 0
            while count := response.readinto(buffer):
                size += count
            if response.status != 200 or size != DOWNLOAD:
                raise TransferError(f"a download gave {response.status} and {size} bytes")
            total += size
            if time.monotonic() >= end:
                break
    return total


def uploads(running: Running, seconds: float) -> int:
    """Upload as much again and again, each time on a new connection; give how many bytes went."""
    body = bytes(DOWNLOAD)
    total, end = 0, time.monotonic() + seconds
    with _taking(running.site.listener):
        for _ in range(MOST):
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=WITHIN)
            with contextlib.closing(connection):
                connection.request("POST", "/own/upload", body, {"Content-Type": "application/octet-stream"})
                response = connection.getresponse()
                taken = response.read()
            if response.status != 200 or taken != str(DOWNLOAD).encode():
                raise TransferError(f"an upload gave {response.status}, {taken[:80]!r}")
            total += DOWNLOAD
            if time.monotonic() >= end:
                break
    return total


def receive_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read a message's head, without the empty line; give it in lower case, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece or len(data) > 65536:
            raise TransferError("a head does not end")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.lower(), rest


def bears_token(head: bytes) -> bool:
    """Tell whether a request's head, in lower case, has the token."""
    return f"\r\nauthorization: bearer {TOKEN}".encode() in head


@contextlib.contextmanager
def _taking(listener: socket.socket) -> Iterator[None]:
    """Take uploads on the listener meanwhile."""
    stopped = threading.Event()
    listener.settimeout(0.1)
    thread = threading.Thread(target=_take, args=(listener, stopped))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(2 * WITHIN)


def _take(listener: socket.socket, stopped: threading.Event) -> None:
    while not stopped.is_set():
        with contextlib.suppress(OSError, TransferError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(WITHIN)
                _take_one(connection)


def _take_one(connection: socket.socket) -> None:
    """Read a request whole; answer with the count of its body's bytes, and close."""
    head, rest = receive_head(connection)
    size = _chunked(connection, rest) if b"transfer-encoding: chunked" in head else _counted(connection, head, rest)
    status, text = ("200 OK", str(size)) if bears_token(head) else ("401 Unauthorized", "")
    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())


def _counted(connection: socket.socket, head: bytes, rest: bytes) -> int:
    wanted = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0] or 0)
    buffer, size = bytearray(_PIECE), len(rest)
    while size < wanted and (count := connection.recv_into(buffer)):
        size += count
    return size


def _chunked(connection: socket.socket, rest: bytes) -> int:
    """Read to the last chunk, which nothing inside can look like: the body is all zeros, and so are counted."""
    size, end, buffer = rest.count(b"\0"), rest[-len(_LAST_CHUNK) :], bytearray(_PIECE)
    while end != _LAST_CHUNK and (count := connection.recv_into(buffer)):
        size += buffer.count(b"\0", 0, count)
        end = (end + buffer[max(0, count - len(_LAST_CHUNK)) : count])[-len(_LAST_CHUNK) :]
    return size
