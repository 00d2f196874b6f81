"""One call of a vendor's endpoint, on either event loop: nothing is closed that belongs to others."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl

import aiohttp
import pytest
import uvloop

from proxy.calling import calling
from tests.support.resets import will_reset

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ATTEMPTS = 5


@contextlib.contextmanager
def resetting():
    """A port that resets every connection before a byte of TLS is written."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


async def reset_next(listener):
    connection, _ = await asyncio.get_running_loop().sock_accept(listener)
    will_reset(connection)
    connection.close()


@pytest.mark.parametrize("name", LOOPS)
def test_a_call_that_is_reset_at_once(name):
    """Its descriptor is closed once: a file that is opened after it under the same number stays open."""

    async def run(listener):
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        files = []
        for _ in range(ATTEMPTS):
            resets = asyncio.create_task(reset_next(listener))
            with pytest.raises((aiohttp.ClientError, OSError)):
                async with calling() as session, session.get(url, ssl=ssl.create_default_context()):
                    pass
            await resets
            files.append(os.open(os.devnull, os.O_RDONLY))
            gc.collect()
        for file in files:
            os.fstat(file)
            os.close(file)

    with resetting() as listener, asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        runner.run(run(listener))


async def test_settings():
    """Further settings are the session's."""
    async with calling(auto_decompress=False) as session:
        assert session.auto_decompress is False
        assert session.timeout.total is None
