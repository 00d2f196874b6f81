"""Memory of idle callers: connections that have had one answer and are kept open, each with nothing to say."""

from __future__ import annotations

import contextlib
import resource
import socket

from .column import Running
from .transfer import TransferError, receive_head
from .wrk import load

CONNECTIONS = 10_000
RESERVE = 1000  # files that a proxy, and we, need for other things
WITHIN = 10.0  # seconds for one answer


def connections() -> int:
    """How many can be opened, with the files that the system allows one process."""
    return max(1, min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE))


def bytes_per_connection(running: Running) -> float:
    """Give by how much the proxy's memory grows for each; it is warm before."""
    load(running.port, f"{running.prefix}/x", 1)
    before = running.started.resident_bytes()
    request = f"GET {running.prefix}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    count = connections()
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(_caller(running.port, request)) for _ in range(count)]
        after = running.started.resident_bytes()
        closed = sum(_closed(caller) for caller in callers)
    if closed:
        raise TransferError(f"{closed} of {count} idle connections were closed")
    return (after - before) / count


def _caller(port: int, request: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), WITHIN)
    try:
        sock.sendall(request)
        _read_answer(sock)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _read_answer(sock: socket.socket) -> None:
    head, body = receive_head(sock)
    if not head.startswith(b"http/1.1 200"):
        raise TransferError(f"a request was answered {head.splitlines()[0]!r}")
    length = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0] or 0)
    while len(body) < length:
        piece = sock.recv(65536)
        if not piece:
            raise TransferError("an answer is cut short")
        body += piece


def _closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
