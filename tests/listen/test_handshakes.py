"""Handshakes under way: so many at a time, of which those give way that say nothing, or take too long."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from proxy.listen import handshakes, listener_tls
from proxy.listen.handshakes import Handshakes
from tests.listen.conftest import LOOPS, echoing, on

MOST = 3
HALF = b"\x16\x03\x01\x02"


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


async def spoken(tls, count):
    """Wait until so many have."""
    while len(tls.handshakes._under_way) != count:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("said", [b"", HALF], ids=["nothing", "half"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("new_loop", LOOPS)
def test_one_too_many(new_loop, files, caller, tmp_path, monkeypatch, kind, said):
    """Of those who had time enough the first is ended at once, the others stay, and who shakes hands is served."""
    monkeypatch.setattr(handshakes, "_ENOUGH", 0)
    tls = listener_tls(files, MOST)

    async def work():
        async with echoing(tls, f"unix:{tmp_path / 's'}" if kind == "unix" else "127.0.0.1:0") as connect:
            waiting = []
            for count in range(1, MOST + 1):
                waiting.append(await connect())
                waiting[-1][1].write(said)
                await under_way(tls, count)
                await spoken(tls, count if said else 0)
            assert await served(connect, caller)
            await ended(*waiting[0])
            await under_way(tls, MOST - 1)
            assert [False, False] == [reader.at_eof() for reader, _ in waiting[1:]]

    on(new_loop, work())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_silent_one_first(new_loop, files, caller):
    """Who is silent gives way, and who has spoken before it stays; with nobody silent the new one is turned away."""
    tls = listener_tls(files, MOST)

    async def work():
        async with echoing(tls) as connect:
            speaking = [await connect() for _ in range(MOST - 1)]
            for _, writer in speaking:
                writer.write(HALF)
            await spoken(tls, MOST - 1)
            silent = await connect()
            await under_way(tls, MOST)
            assert await served(connect, caller)
            await ended(*silent)
            await under_way(tls, MOST - 1)
            last = await connect()
            last[1].write(HALF)
            await spoken(tls, MOST)
            await ended(*await connect())
            assert [False] * MOST == [reader.at_eof() for reader, _ in (*speaking, last)]

    on(new_loop, work())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_who_speaks_unheard(new_loop):
    """Who has spoken while the loop did other things is not silent, and does not give way."""

    async def work():
        begun, over = [], asyncio.Event()

        async def shake(sock):
            begun.append(sock)
            await over.wait()
            sock.close()

        made = Handshakes(2)
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        made.take(ours[0], shake, 10)
        made.take(ours[1], shake, 10)
        theirs[0].send(HALF)
        made.take(ours[2], shake, 10)
        assert b"" == theirs[1].recv(1)
        theirs[2].send(HALF)
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        assert [ours[0], ours[2]] == begun
        over.set()
        while len(made):
            await asyncio.sleep(0.001)
        for one in theirs:
            one.close()

    on(new_loop, work())


@pytest.mark.parametrize("new_loop", LOOPS)
def test_caller_who_says_nothing(new_loop, files):
    """Its time ends as that of a request's head."""
    tls = listener_tls(files, MOST)

    async def work():
        async with echoing(tls, client_header_timeout=0.1) as connect:
            silent = await connect()
            await under_way(tls, 1)
            await ended(*silent)
            await under_way(tls, 0)

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
