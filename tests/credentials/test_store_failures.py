"""The store and its locks when processes die, wait, or come too late."""

import contextlib
import functools
import itertools
import signal
import sqlite3

import pytest

from proxy.credentials import storefile
from proxy.credentials.store import Store
from proxy.errors import StoreBusyError, StoreError

from .conftest import HOLDER, NAME, record, said, script, within

WRITER = """
import asyncio, sys
from pathlib import Path
from proxy.credentials.record import Record
from proxy.credentials.store import Store
from proxy.secret import Secret

async def main():
    store = await Store.open(Path(sys.argv[1]))
    for n in range(1, 1_000_000):
        texts = Secret(f"a-{n}"), Secret(f"r-{n}," * 500)
        await store.write(Record(name="acme", generation=n, access_token=texts[0], refresh_token=texts[1]))
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


@pytest.mark.parametrize("writes", [1, 2, 50])
async def test_process_that_is_killed_while_it_writes(path, writes):
    """What it was told is saved is saved, whole; the store can be used at once."""
    async with script(WRITER, path) as process:
        for n in range(1, writes + 1):
            assert str(n) == await said(process)
        process.send_signal(signal.SIGKILL)
        await within(process.wait())
    store = await Store.open(path)
    found = await store.read(NAME)
    await store.write(record(generation=found.generation + 1))
    await store.close()
    assert found.generation >= writes
    assert found.access_token is not None
    assert found.refresh_token is not None
    assert f"a-{found.generation}" == found.access_token.reveal()
    assert f"r-{found.generation}," * 500 == found.refresh_token.reveal()
    with sqlite3.connect(path) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()


async def test_lock_that_another_process_holds(path):
    """It is waited for as long as one likes; the error says what to do."""
    async with script(HOLDER, path) as process:
        assert "held" == await said(process)
        store = await Store.open(path)
        lock = store.lock(NAME)
        assert not lock.try_acquire()
        assert not lock.held
        with pytest.raises(StoreBusyError, match=r"another process is changing the tokens of acme .* in 0.05 s"):
            await within(lock.acquire(0.05))
        await store.close()


async def test_lock_whose_holder_is_killed(path):
    """It is free."""
    async with script(HOLDER, path) as process:
        assert "held" == await said(process)
        store = await Store.open(path)
        lock = store.lock(NAME)
        assert not lock.try_acquire()
        process.send_signal(signal.SIGKILL)
        await within(lock.acquire(10))
        assert lock.held
        lock.release()
        await store.close()


async def test_locks_of_two_stores(open_store):
    """They exclude each other as those of two processes do, until released; releasing again does nothing."""
    one, other = [(await open_store()).lock(NAME) for _ in range(2)]
    assert one.try_acquire()
    assert not other.try_acquire()
    one.release()
    one.release()
    assert other.try_acquire()
    assert not one.try_acquire()
    other.release()


async def test_locks_of_a_store_that_is_opened_by_a_link(open_store, tmp_path):
    """They exclude those of the same store by its own name."""
    one = (await open_store()).lock(NAME)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "tokens.db")
    linked = await Store.open(tmp_path / "elsewhere" / "link.db")
    other = linked.lock(NAME)
    try:
        assert one.try_acquire()
        assert not other.try_acquire()
    finally:
        one.release()
        other.release()
        await linked.close()


async def test_locks_of_two_credentials(open_store):
    """They do not."""
    store = await open_store()
    async with store.lock("one"), store.lock("other") as other:
        assert other.held


async def test_lock_file_that_stays(open_store, path):
    """It is never deleted: a waiter may have it open."""
    store = await open_store()
    async with store.lock(NAME):
        inode = path.with_name(f"tokens.db.{NAME}.lock").stat().st_ino
    async with store.lock(NAME):
        assert inode == path.with_name(f"tokens.db.{NAME}.lock").stat().st_ino


async def test_lock_file_that_is_a_link(open_store, tmp_path, path):
    """It is not followed."""
    store = await open_store()
    path.with_name(f"tokens.db.{NAME}.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be opened"):
        await store.lock(NAME).acquire(1)
    assert not (tmp_path / "elsewhere").exists()


async def test_write_while_another_process_writes_for_long(open_store, path, monkeypatch):
    """It fails in words of ours, and nothing is changed."""
    monkeypatch.setattr("proxy.credentials.storefile._BUSY_TIMEOUT", 0.05)
    store = await open_store()
    await store.write(record(generation=1))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another process is writing to it"):
        await store.write(record(generation=2))
    blocker.execute("ROLLBACK")
    blocker.close()
    assert record(generation=1) == await store.read(NAME)


async def test_disk_that_is_full(open_store):
    """A write that finds no room is told as such, leaves all as it was, and does not keep the next one from it."""
    store = await open_store()
    await store.write(record(generation=1))
    ((pages,),) = store._connection.execute("PRAGMA page_count").fetchall()
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    with pytest.raises(StoreError, match="the disk is full"):
        await store.write(record(generation=2, scope="x" * 100_000))
    assert record(generation=1) == await store.read(NAME)
    await store.write(record(generation=2))
    assert record(generation=2) == await store.read(NAME)


async def test_store_that_is_closed(open_store):
    """It says so, and can be closed again."""
    store = await open_store()
    await store.close()
    await store.close()
    for work in (store.read(NAME), store.write(record()), store.version()):
        with pytest.raises(StoreError, match="is closed"):
            await work


async def test_store_that_is_damaged(path):
    """It says so in words of ours, when it is opened or when it is used."""
    store = await Store.open(path)
    await store.write(record())
    await store.close()
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(len(data) - 100))
    with pytest.raises(StoreError, match=r"tokens\.db"):
        await Store.open(path)


@pytest.mark.parametrize("statement", range(6))
async def test_store_that_another_process_makes_while_we_open_it(path, monkeypatch, statement):
    """It is recognised as ours, wherever between our looks at it the other came in."""
    connect, looks = sqlite3.connect, itertools.count()

    class Interrupted(sqlite3.Connection):
        def execute(self, *arguments):
            if next(looks) == statement:
                with monkeypatch.context() as patched, contextlib.suppress(sqlite3.Error, StoreError):
                    patched.setattr(sqlite3, "connect", connect)
                    patched.setattr(storefile, "_BUSY_TIMEOUT", 0.01)
                    storefile.open_file(path).close()
            return super().execute(*arguments)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(connect, factory=Interrupted))
    store = await Store.open(path)
    await store.write(record())
    assert record() == await store.read(NAME)
    await store.close()


async def test_record_that_cannot_be_read(tmp_path):
    """It is a trouble of the store, told in our words; what others store is heard again as soon as it is mended."""
    path = tmp_path / "tokens.db"
    store = await Store.open(path)
    await store.write(record())
    with sqlite3.connect(path) as other:
        other.execute("UPDATE credential SET origin = 'CANARY'")
    other.close()
    with pytest.raises(StoreError, match=r"what the token store .* holds of .* cannot be read: sign in anew") as caught:
        await store.read(record().name)
    assert "CANARY" not in str(caught.value)
    await store.close()
