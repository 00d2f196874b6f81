"""Server-sent events, one at a time: how long each takes from our upstream through the proxy to our caller.

Both ends are in this process and read one clock. The next event leaves when the last one has arrived.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Sequence

from .column import Running
from .transfer import TransferError, bears_token, receive_head

MOST = 2000  # events in a measurement
WITHIN = 5.0  # seconds for one event
_REQUEST = b"GET /own/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"X-Accel-Buffering: no\r\n"  # asks nginx not to wait for more; the others never wait
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def latencies(running: Running, seconds: float) -> list[float]:
    """Microseconds that each event took."""
    with contextlib.ExitStack() as stack:
        caller = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), WITHIN))
        caller.sendall(_REQUEST)
        upstream = _accept(running.site.listener)
        stack.enter_context(upstream)
        for sock in (caller, upstream):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream.sendall(_ANSWER)
        _one_event(upstream, caller, "first")
        took, end = [], time.monotonic() + seconds
        for number in range(MOST):
            took.append(_one_event(upstream, caller, f"{number:06}"))
            if time.monotonic() >= end:
                break
    return took


def percentile(values: Sequence[float], percent: float) -> float:
    """Value that `percent` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _accept(listener: socket.socket) -> socket.socket:
    listener.settimeout(WITHIN)
    upstream, _ = listener.accept()
    upstream.settimeout(WITHIN)
    head, _ = receive_head(upstream)
    if not bears_token(head):
        upstream.close()
        raise TransferError("the request for events had no token")
    return upstream


def _one_event(upstream: socket.socket, caller: socket.socket, name: str) -> float:
    event = f"data: {name} {'x' * 80}\n\n".encode()
    chunk = b"%x\r\n%s\r\n" % (len(event), event)
    received = b""
    begun = time.perf_counter_ns()
    upstream.sendall(chunk)
    while event not in received:
        piece = caller.recv(65536)
        if not piece:
            raise TransferError("the events end")
        received += piece
    return (time.perf_counter_ns() - begun) / 1000
