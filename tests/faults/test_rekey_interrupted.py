"""`store rekey` that is killed, or told to end: all tokens are there, and the next one brings it to an end."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sqlite3
from pathlib import Path

import pytest

from proxy.credentials.record import Record
from proxy.credentials.store import Store
from proxy.sandbox import Sandbox
from proxy.secret import Secret
from tests.support.beside import running, until
from tests.support.processes import Proxy, sandbox_config

A, B = (base64.b64encode(bytes([number]) * 32).decode() for number in (3, 4))
ROWS = 6_000  # so many that it is seen at work
COUNT = "SELECT count(*) FROM credential WHERE sealed IS NOT NULL"


@pytest.fixture
async def filled(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A proxy that does not run, its store in clear but with a key in its configuration."""
    bare_proxy.configure(sandbox_config(vendors, f"store_key: {json.dumps([B, A])}"))
    path = bare_proxy.folder / "tokens.db"
    store = await Store.open(path)
    await store.write(Record(name="first", generation=1, access_token=token(1)))
    await store.close()
    connection = sqlite3.connect(path)
    connection.executemany(
        "INSERT INTO credential (name, generation, access_token, refresh_token, scope, guard, rejected) "
        "VALUES (?, ?, ?, ?, '', 0, 0)",
        ((f"c{number}", number, token(number).reveal(), token(-number).reveal()) for number in range(2, ROWS + 2)),
    )
    connection.commit()
    connection.close()
    return bare_proxy


def token(number: int) -> Secret:
    return Secret(f"CANARY-{number}-" + "x" * 500)


def sealed(path: Path) -> int:
    """How many rows are sealed, for everybody else."""
    connection = sqlite3.connect(path)
    found = int(connection.execute(COUNT).fetchone()[0])
    connection.close()
    return found


async def whole(path: Path) -> None:
    """See that all tokens are there, each with its own generation."""
    store = await Store.open(path, [Secret(B), Secret(A)])
    for number in (2, 3, ROWS // 2, ROWS, ROWS + 1):
        found = await store.read(f"c{number}")
        assert (number, token(number), token(-number)) == (found.generation, found.access_token, found.refresh_token)
    await store.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_in_its_midst(filled: Proxy, number: signal.Signals) -> None:
    """Killed, it leaves each row as it was or sealed; told to end, it ends as soon as all is done. The next one does
    what is left.
    """
    path = filled.folder / "tokens.db"
    log = path.with_name("tokens.db-wal")
    async with running(filled, "store", "rekey") as command:
        await until(lambda: log.exists() and log.stat().st_size > 0, "at work")
        assert ROWS + 1 > sealed(path), "it has to be cut off in its midst"
        command.process.send_signal(number)
        done = await command.done()
    assert "Traceback" not in done.err
    if number is signal.SIGKILL:
        assert -number == done.code
        assert ROWS + 1 > sealed(path)
    else:
        assert (0, ROWS + 1) == (done.code, sealed(path)), done.err
    await whole(path)
    done = await filled.command("store", "rekey")
    assert 0 == done.code, done.err
    assert ROWS + 1 == sealed(path)
    await whole(path)
    assert b"CANARY" not in b"".join(found.read_bytes() for found in filled.folder.glob("tokens.db*"))


async def test_while_another_process_writes(filled: Proxy) -> None:
    """It waits for its turn; killed then, it has changed nothing."""
    path = filled.folder / "tokens.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE credential SET scope = 'theirs' WHERE name = 'c2'")
    try:
        async with running(filled, "store", "rekey") as command:
            await until(lambda: _has_open(command.process.pid, "tokens.db-wal"), "it has opened the store")
            command.process.kill()
            assert -signal.SIGKILL == (await command.done()).code
        holder.execute("COMMIT")
    finally:
        holder.close()
    assert 0 == await asyncio.to_thread(sealed, path)
    await whole(path)


def _has_open(pid: int, ending: str) -> bool:
    """Whether the process has a file open whose name ends so."""
    try:
        return any(str(one.readlink()).endswith(ending) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
