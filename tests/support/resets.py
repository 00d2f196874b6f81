"""Connections broken off with a reset (RST), as by a crash. Who merely closes ends in order (FIN), and may listen."""

from __future__ import annotations

import asyncio
import socket
import struct

_NO_TIME = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds


def will_reset(sock: socket.socket) -> None:
    """Have a socket send a reset when it is closed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_TIME)


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off."""
    will_reset(writer.get_extra_info("socket"))
    writer.transport.abort()
