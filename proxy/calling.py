"""A session for one call of a vendor's own endpoints: on a connection of its own, that is gone when the call is over.

uvloop 0.23 closes a socket that it was given when TLS fails at its first write, and leaves its number in the Python
object, which closes that number a second time when it is collected. By then it may be a file's of the token store. So
sockets are made here, and let go of when a call has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp


@contextlib.asynccontextmanager
async def calling(**settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session for one call, with no cookies and no time limit of its own, and with further `settings`."""
    sockets: list[socket.socket] = []

    def make(info: Any) -> socket.socket:
        sockets.append(socket.socket(*info[:3]))
        return sockets[-1]

    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, socket_factory=make),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            **settings,
        ) as session:
            yield session
    except BaseException:
        if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
            for sock in sockets:
                sock.detach()  # open ones are none of ours any more
        raise
