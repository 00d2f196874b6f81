"""Handshakes under way: so many at a time, and the one that began first gives way."""

import asyncio
import contextlib
import ssl

import pytest

from proxy.listen import listener_tls
from tests.listen.conftest import LOOPS, echoing, on

MOST = 3


async def served(connect, caller):
    """Whether a caller that shakes hands is answered."""
    reader, writer = await connect(ssl=caller)
    writer.write(b"fine.")
    return await reader.read(-1) == b"FINE."


async def ended(reader, writer):
    """Wait for the end of a connection, in order or not."""
    with contextlib.suppress(ConnectionResetError):
        assert b"" == await reader.read()
    writer.close()


async def under_way(tls, count):
    """Wait until so many handshakes are."""
    while len(tls.handshakes) != count:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02"], ids=["nothing", "half"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_one_too_many(new_loop, files, caller, tmp_path, kind, said):
    """The one that began first is ended at once, the others stay, and who shakes hands is served."""
    tls = listener_tls(files, MOST)

    async def work():
        async with echoing(tls, f"unix:{tmp_path / 's'}" if kind == "unix" else "127.0.0.1:0") as connect:
            waiting = []
            for count in range(1, MOST + 1):
                waiting.append(await connect())
                waiting[-1][1].write(said)
                await under_way(tls, count)
            assert await served(connect, caller)
            await ended(*waiting[0])
            await under_way(tls, MOST - 1)
            assert [False, False] == [reader.at_eof() for reader, _ in waiting[1:]]

    on(new_loop, work())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_very_many(new_loop, files, caller):
    """Beside any number of callers who say nothing, those who shake hands are served."""
    tls = listener_tls(files, MOST)

    async def work():
        async with echoing(tls) as connect:
            silent = [await connect() for _ in range(100)]
            for _ in range(5):
                assert await served(connect, caller)
            await asyncio.gather(*(ended(*one) for one in silent[: 1 - MOST]))
            assert MOST >= len(tls.handshakes)

    on(new_loop, work())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_handshake_that_is_over(new_loop, files, caller):
    """It has no place any more, whether it came about, failed, or was given up."""
    tls = listener_tls(files, MOST)

    async def work():
        async with echoing(tls) as connect:
            reader, writer = await connect(ssl=caller)
            await under_way(tls, 0)
            with pytest.raises(ssl.SSLError):
                await connect(ssl=ssl.create_default_context())
            _, gone = await connect()
            await under_way(tls, 1)
            gone.transport.abort()
            await under_way(tls, 0)
            writer.write(b"fine.")
            assert b"FINE." == await reader.read(-1)

    on(new_loop, work())
