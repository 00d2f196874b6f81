"""A store that is sealed while others use it: exchanges under way lose nothing, and nothing stays in clear."""

import asyncio
import base64
import logging
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import pytest

from proxy.credentials import recasting, sealing, storefile
from proxy.credentials.recasting import Recast
from proxy.credentials.record import Record
from proxy.credentials.sealing import Sealing
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NAME, NOW, record, within
from .database import query

A, B = (Secret(base64.urlsafe_b64encode(bytes([number]) * 32).decode()) for number in (1, 2))
OTHER = record(name="other")


def keys_in(path):
    """Give by how many keys, or none, the rows are sealed, and how many are in clear."""
    return query(path, "SELECT count(DISTINCT sealed_by), count(access_token) FROM credential")[0]


@pytest.fixture(params=[(A,), ()], ids=["another key", "in clear"])
async def serving(request, opened):
    """Give a store with two credentials, as it was before a key came in front of its keys."""
    store = await opened(*request.param)
    for one in (record(), OTHER):
        await store.write(one)
    return store


async def test_exchange_under_way(serving, opened):
    """Its row is left and told, others are sealed; what it brings is saved beside them, and sealed the next time."""
    store = await opened(B, A)
    lock = serving.lock(NAME)
    await lock.acquire(1)
    await serving.write(record(marked_at=NOW))
    done = await store.encrypt_all(0)
    assert {"other": 2} == done.tokens
    assert f"the tokens of {NAME} are kept as they were" in done.remains
    assert "run `bearer-proxy store rekey` again" in done.remains
    assert store.unfinished
    await serving.write(record(generation=2))
    lock.release()
    assert record(generation=2) == await store.read(NAME)
    assert Recast({NAME: 2}) == await store.encrypt_all(0)
    assert not store.unfinished
    only = await opened(B)
    assert [record(generation=2), OTHER] == [await only.read(NAME), await only.read("other")]


async def test_exchange_that_has_not_begun(serving, opened):
    """It is not begun by whoever lacks a key of others' rows: its mark is refused, as all else."""
    store = await opened(B, A)
    async with serving.lock(NAME):
        await store.encrypt_all(0)
        for changed in (record(marked_at=NOW), record(generation=2)):
            with pytest.raises(StoreError, match=r"another store_key|are encrypted"):
                await serving.write(changed)
    assert record() == await store.read(NAME)


async def test_exchange_that_ends_in_time(serving, opened):
    """It is waited for."""
    store = await opened(B, A)
    lock = serving.lock(NAME)
    await lock.acquire(1)
    waiting = asyncio.create_task(store.encrypt_all(20))
    async with asyncio.timeout(20):
        while await store.others(store._cipher) != [NAME]:
            await asyncio.sleep(0)
    assert not waiting.done()
    lock.release()
    assert Recast({NAME: 2, "other": 2}) == await within(waiting)


async def test_decrypting_during_an_exchange(opened):
    """It is told too what stays encrypted."""
    store = await opened(A)
    await store.write(record())
    async with store.lock(NAME):
        assert "kept as they were" in (await store.decrypt_all(0)).remains
    assert Recast({NAME: 2}) == await store.decrypt_all(0)


async def test_lock_while_a_row_is_sealed(serving, opened, monkeypatch):
    """Nobody begins an exchange then, even when whoever seals goes away; afterwards it is free."""
    store = await opened(B, A)
    entered, gate = asyncio.Event(), asyncio.Event()
    recast = store.recast

    async def slow(*arguments):
        entered.set()
        await gate.wait()
        return await recast(*arguments)

    monkeypatch.setattr(store, "recast", slow)
    sealed = asyncio.create_task(store.encrypt_all(0))
    await within(entered.wait())
    sealed.cancel()
    await asyncio.sleep(0)
    assert not serving.lock(NAME).try_acquire()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await within(sealed)
    lock = serving.lock(NAME)
    assert lock.try_acquire()
    lock.release()
    assert [] == await store.others(store._cipher)


async def test_more_rows_than_are_sealed_at_once(opened, monkeypatch):
    """All are sealed, a few at a time."""
    monkeypatch.setattr(recasting, "_AT_ONCE", 3)
    store = await opened()
    names = [f"c{number}" for number in range(10)]
    for name in names:
        await store.write(record(name=name))
    assert Recast(dict.fromkeys(names, 2)) == await (await opened(A)).encrypt_all()


@pytest.mark.parametrize("name", ["../../x", "a/b", "nul\0", "x" * 300], ids=["up", "slash", "nul", "long"])
async def test_row_of_a_name_that_no_credential_has(opened, path, name):
    """It is sealed, and no file is made of it."""
    await (await opened()).write(record(name=name))
    store = await opened(A)
    assert {name: 2} == (await store.encrypt_all()).tokens
    assert [] == [found.name for found in path.parent.rglob("*.lock")]


async def test_row_that_others_write_in_clear(opened, path):
    """It is sealed at the next look, and nothing is left of it."""
    command, store = await opened(), await opened(A)
    await store.encrypt_all()
    look = Sealing(store).look
    await command.write(record(access_token=Secret("CANARY" * 9)))
    await look(changed=False)
    assert (0, 1) == keys_in(path)
    await look(changed=True)
    assert (1, 0) == keys_in(path)
    assert b"CANARY" not in b"".join(found.read_bytes() for found in path.parent.glob("tokens.db*"))


async def test_row_in_clear_that_is_written_by_who_has_a_key(opened, path):
    """What it was before is left nowhere, soon, though nothing has changed by others."""
    command, store = await opened(), await opened(A)
    await store.encrypt_all()
    await command.write(record(access_token=Secret("CANARY" * 9)))
    await store.write(record(generation=2))
    await Sealing(store).look(changed=False)
    assert b"CANARY" not in b"".join(found.read_bytes() for found in path.parent.glob("tokens.db*"))


async def test_row_that_others_seal_by_their_first_key(opened, path):
    """It stays: each of two would else seal again what the other has sealed."""
    one, other = await opened(A, B), await opened(B, A)
    await one.encrypt_all()
    await other.write(record())
    await Sealing(one).look(changed=True)
    assert record() == await (await opened(B)).read(NAME)


async def test_store_without_keys(opened, path):
    """Nothing is sealed, and nothing tried."""
    store = await opened()
    await store.write(record())
    one = Sealing(store)
    await one.all()
    await one.look(changed=True)
    assert (0, 1) == keys_in(path)
    assert not store.unfinished


async def test_somebody_who_reads_for_long(opened, path, monkeypatch, caplog):
    """What is left is told once, tried again after growing pauses without waiting, and its end is told."""
    caplog.set_level(logging.INFO)
    await (await opened()).write(record(access_token=Secret("CANARY" * 9)))
    store = await opened(A)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM credential").fetchall()
    now = 1000.0
    monkeypatch.setattr(sealing, "time", SimpleNamespace(monotonic=lambda: now))
    tries = []
    swept = store.sweep

    async def sweep(*, patient):
        tries.append(now)
        assert not patient
        return await swept(patient=patient)

    monkeypatch.setattr(store, "sweep", sweep)
    one = Sealing(store)
    await one.all(0)
    size = path.with_name("tokens.db-wal").stat().st_size
    for now in (float(number) for number in range(1000, 1400)):  # noqa: B007 - the clock
        await one.look(changed=False)
    assert [1000, 1001, 1003, 1007, 1015, 1031, 1063, 1123, 1183, 1243, 1303, 1363] == tries
    assert size == path.with_name("tokens.db-wal").stat().st_size
    reader.close()
    now = 1500.0
    await one.look(changed=False)
    await one.look(changed=False)
    assert 13 == len(tries)
    assert b"CANARY" not in b"".join(found.read_bytes() for found in path.parent.glob("tokens.db*"))
    told = [one for one in caplog.messages if "tokens" in one]
    assert 2 == len(told)
    assert "may still be read there, as another process uses it" in told[0]
    assert told[1].startswith("all tokens are encrypted")


class Full(sqlite3.Connection):
    """A connection to a file on a disk that is full as soon as somebody needs room."""

    def execute(self, statement, *arguments):
        if statement == "VACUUM":
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error
        return super().execute(statement, *arguments)


async def test_full_disk(opened, path):
    """It is said that it is full, not that another process is there."""
    await (await opened()).write(record())
    store = await opened(A)
    store._connection.close()
    store._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Full)
    done = await store.encrypt_all()
    assert {NAME: 2} == done.tokens
    assert "may still be read there, as the disk is full: run" in done.remains


async def test_store_that_cannot_be_written(opened, path, monkeypatch, caplog):
    """A warning says so, and it is tried again."""
    monkeypatch.setattr(storefile, "_BUSY_TIMEOUT", 0.05)
    await (await opened()).write(record())
    store = await opened(A)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    one = Sealing(store)
    await one.all()
    assert "not all tokens are encrypted with the first store_key" in caplog.text
    assert "another process is writing to it" in caplog.text
    holder.close()
    one._next = 0.0
    await one.look(changed=False)
    assert (1, 0) == keys_in(path)


async def test_nothing_left(opened):
    """Nobody else hears of a look at it."""
    store = await opened(A)
    await store.write(replace(record(), name="b"))
    await store.encrypt_all()
    before = await (other := await opened(A)).version()
    await Sealing(store).look(changed=True)
    assert before == await other.version()
    assert Record(name=NAME) == await store.read(NAME)


@pytest.mark.parametrize("planted", ["1/ HTTP/1.1\r\nHost: other\r\n\r\n", "a/b", "..", "%2e%2e", "", "x" * 200])
async def test_organization_that_is_none(opened, path, planted):
    """What somebody has written into the file in its place is not taken over: it would go into addresses."""
    store = await opened(A)
    await store.write(record(org_pk="7kQ2f"))
    assert "7kQ2f" == (await store.read(NAME)).org_pk
    await store.write_org_pk(NAME, 1, planted)
    assert record() == await store.read(NAME)
