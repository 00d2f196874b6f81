"""Which caller gives way to a new one where what happens between the two cannot be seen from outside."""

import asyncio
import contextlib
import functools
import socket

import pytest

from proxy.config import Limits
from proxy.errors import BadTargetError
from proxy.gateway.transport.connection import Connection
from proxy.gateway.transport.server import Server
from tests.support.loops import LOOPS

MOST = 5


async def refusing(_request):
    raise BadTargetError("no")


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_silent_callers_in_one_go(loop):
    """They give way to the one behind them, though nothing has been waited for yet."""

    async def work():
        server = Server(refusing, Limits(), None, None, MOST)
        factory = functools.partial(Connection, server, "main", "http")
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            *_, last = [stack.enter_context(socket.create_connection(sock.getsockname())) for _ in range(2 * MOST)]
            last.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.setblocking(False)
            last.setblocking(False)
            listener = await asyncio.get_running_loop().create_server(factory, sock=sock)
            said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(last, 100), 10)
            listener.close()
            await server.stop(0)
        assert said.startswith(b"HTTP/1.1 400 ")

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(work())


class Slow(asyncio.Transport):
    """A transport that is not closed at once, as with TLS."""

    closing = False

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})

    def is_closing(self):
        return self.closing

    def close(self):
        self.closing = True

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high=None, low=None):
        pass


async def test_caller_that_is_being_closed():
    """It has given its place already: the next newcomer gets another's."""
    server = Server(refusing, Limits(), None, None, 1)
    made = [Connection(server, "main", "https") for _ in range(3)]
    made[0].connection_made(Slow())
    made[0].close()  # by a reload, say: its wait is not stopped
    for connection in made[1:]:
        connection.connection_made(Slow())
    assert [True, True, False] == [connection.transport.is_closing() for connection in made]
    for connection in made:
        connection.connection_lost(None)
    await server.stop(0)
