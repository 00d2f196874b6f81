"""All tokens of a store, encrypted or decrypted at once: nothing is left in clear, and nothing is lost."""

import asyncio
import base64
import itertools
import signal
import sqlite3

import pytest

from proxy.credentials import policy, storefile
from proxy.credentials.recasting import Recast
from proxy.credentials.record import Record
from proxy.credentials.store import Store
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NAME, NOW, record, said, script, within
from .database import query
from .test_storefile import VERSION_1

A, B = (Secret(base64.urlsafe_b64encode(bytes([number]) * 32).decode()) for number in (1, 2))
CANARY = b"CANARY"
NAMES = [f"c{number}" for number in range(5)]
KILLED = """
import asyncio, itertools, os, signal, sqlite3, sys
from pathlib import Path
from proxy.credentials import storefile
from proxy.credentials.store import Store
from proxy.secret import Secret

calls, last = itertools.count(), int(sys.argv[2])

class Dying(sqlite3.Connection):
    armed = False

    def execute(self, *arguments):
        if self.armed and next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)

async def main():
    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **more: connect(*arguments, factory=Dying, **more)
    store = await Store.open(Path(sys.argv[1]), [Secret(key) for key in sys.argv[3:]])
    Dying.armed = True
    await store.encrypt_all()
    Dying.armed = False
    print("over after", next(calls), flush=True)

asyncio.run(main())
"""  # another process, which is killed before it executes a certain statement


def secret(what, length=40):
    return Secret(f"{CANARY.decode()}-{what}-" + "x" * length)


def kept(name, generation=7, **changes):
    both = {"access_token": secret(f"access-{name}"), "refresh_token": secret(f"refresh-{name}"), **changes}
    return record(name=name, generation=generation, **both)


async def filled(store):
    """Put a record for each of `NAMES` into a store, and give it."""
    for name in NAMES:
        await store.write(kept(name))
    return store


def bytes_of(path):
    """Give all that stands in the file and beside it."""
    return b"".join(found.read_bytes() for found in sorted(path.parent.iterdir()) if found.is_file())


async def test_encrypting_what_is_in_clear(opened, path):
    """All tokens are counted and sealed, nothing else changes, and no other process has to end for it."""
    beside = await filled(await opened())
    await beside.write(policy.logged_out(record(name="out"), NOW))
    await beside.write(kept("no refresh", refresh_token=None))
    store = await opened(A)
    assert Recast({**dict.fromkeys(NAMES, 2), "no refresh": 1}) == await store.encrypt_all()
    assert [kept(name) for name in NAMES] == [await store.read(name) for name in NAMES]
    assert policy.logged_out(record(name="out"), NOW) == await store.read("out")
    assert [(1, None, None)] == query(
        path, "SELECT DISTINCT sealed IS NOT NULL, access_token, refresh_token FROM credential"
    )
    with pytest.raises(StoreError, match="are encrypted"):
        await beside.read(NAMES[0])


async def test_what_is_left_of_tokens_that_were_in_clear(opened, path):
    """Nothing, in the file or in its log, while others have it open and when they have closed it."""
    beside = await filled(await opened())
    for number in range(30):
        await beside.write(kept("grows", access_token=secret(number, 3000 * (number % 4))))
    await beside.write(policy.logged_out(record(name="grows"), NOW))
    assert CANARY in path.with_name("tokens.db-wal").read_bytes()
    assert "" == (await (await opened(A)).encrypt_all()).remains
    assert CANARY not in bytes_of(path)
    await beside.close()
    assert CANARY not in bytes_of(path)


async def test_what_an_earlier_version_left(opened, path):
    """It did not overwrite what it deleted, and all of that goes."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA secure_delete = OFF; {VERSION_1}")
    for number in range(20):
        connection.execute(
            "INSERT INTO credential (name, access_token, generation, scope, guard, rejected) "
            "VALUES (?, ?, 1, '', 0, 0)",
            (f"n{number}", secret(number, 3000).reveal()),
        )
    connection.execute("DELETE FROM credential WHERE name LIKE 'n%'")
    connection.close()
    assert CANARY in path.read_bytes()
    store = await opened(A)
    assert {"acme": 2} == (await store.encrypt_all()).tokens
    await store.close()
    assert CANARY not in bytes_of(path)


async def test_what_is_left_of_tokens_that_were_forgotten(opened, path):
    """Nothing, without a key as well, as soon as the file is closed."""
    store = await opened()
    await store.write(kept(NAME, access_token=secret("long", 9000)))
    await store.write(policy.logged_out(record(), NOW))
    await store.close()
    assert CANARY not in bytes_of(path)
    assert [(1,)] == (await opened())._connection.execute("PRAGMA secure_delete").fetchall()


async def test_single_record_that_was_in_clear(opened, path):
    """What a write has sealed leaves nothing either, once all are encrypted: there is nothing else to change then."""
    beside = await opened()
    await (await opened(A)).encrypt_all()  # of a new file, so that only the write calls for another sweep
    await beside.write(kept(NAME))
    store = await opened(A)
    await store.write(kept(NAME, generation=8))
    assert CANARY in bytes_of(path)
    assert Recast() == await store.encrypt_all()
    assert CANARY not in bytes_of(path)


async def test_another_key(opened, path):
    """What was sealed by the one before is sealed by the first; once more nothing is done."""
    await (await filled(await opened(A))).encrypt_all()
    old = query(path, "SELECT sealed FROM credential")
    store = await opened(B, A)
    assert dict.fromkeys(NAMES, 2) == (await store.encrypt_all()).tokens
    found = query(path, "SELECT * FROM credential")
    assert Recast() == await store.encrypt_all()
    assert found == query(path, "SELECT * FROM credential")
    assert not any(sealed.encode() in bytes_of(path) for (sealed,) in old)
    assert [kept(name) for name in NAMES] == [await (await opened(B)).read(name) for name in NAMES]


async def test_nothing_to_do(opened, path):
    """Others do not hear of it, as they would of a change."""
    store = await filled(await opened(A))
    await store.encrypt_all()
    before = await (other := await opened(A)).version()
    assert Recast() == await store.encrypt_all()
    assert before == await other.version()


async def test_without_keys(opened):
    """Encrypting changes nothing."""
    store = await filled(await opened())
    assert Recast() == await store.encrypt_all()
    assert [kept(name) for name in NAMES] == [await store.read(name) for name in NAMES]


async def test_decrypting(opened):
    """All tokens are there in clear, for whoever has no key."""
    await filled(await opened(A))
    store = await opened(B, A)
    await store.write(kept("b"))
    assert dict.fromkeys([*NAMES, "b"], 2) == (await store.decrypt_all()).tokens
    assert Recast() == await store.decrypt_all()
    plain = await opened()
    assert [kept(name) for name in (*NAMES, "b")] == [await plain.read(name) for name in (*NAMES, "b")]


@pytest.mark.parametrize("how", ["encrypt_all", "decrypt_all"])
async def test_one_row_that_cannot_be_opened(opened, path, how):
    """Nothing is changed."""
    store = await filled(await opened(A))
    other = await opened(B, A)
    query(path, "UPDATE credential SET sealed = 'damaged' WHERE name = 'c3'")
    before = query(path, "SELECT * FROM credential")
    with pytest.raises(StoreError, match="holds of c3 is damaged"):
        await getattr(other, how)()
    assert before == query(path, "SELECT * FROM credential")
    assert kept("c4") == await store.read("c4")


@pytest.mark.parametrize("hinders", ["reads", "writes"])
async def test_somebody_who_uses_the_file_for_long(opened, path, monkeypatch, hinders):
    """All is sealed; that it can still be read there is told, and the next time nothing is left."""
    await filled(await opened())
    monkeypatch.setattr(storefile, "_BUSY_TIMEOUT", 0.05)
    store = await opened(A)
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    if hinders == "reads":
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM credential").fetchall()
    else:
        swept = storefile.sweep

        def hindered(connection, *, patient):
            holder.execute("BEGIN IMMEDIATE")
            return swept(connection, patient=patient)

        monkeypatch.setattr("proxy.credentials.store.sweep", hindered)
    recast = await store.encrypt_all()
    assert dict.fromkeys(NAMES, 2) == recast.tokens
    assert "run `bearer-proxy store rekey` again" in recast.remains
    assert CANARY in bytes_of(path)
    holder.execute("ROLLBACK")
    holder.close()
    monkeypatch.undo()
    assert Recast() == await store.encrypt_all()
    assert CANARY not in bytes_of(path)


async def test_write_that_waits_meanwhile(opened, path):
    """It comes after, and is sealed too; what it wrote stays."""
    await filled(await opened(A))
    stores = [await opened(B, A) for _ in range(4)]
    await within(asyncio.gather(*(store.encrypt_all() for store in stores), stores[0].write(kept("c0", 8))))
    assert kept("c0", 8) == await (await opened(B)).read("c0")


@pytest.mark.parametrize("keys", [[A], [B, A]], ids=["first key", "another key"])
async def test_process_that_is_killed(tmp_path, keys):
    """Whichever statement it was killed before, all tokens are there, and the next one brings it to an end."""
    for statement in itertools.count():
        path = tmp_path / str(statement) / "tokens.db"
        path.parent.mkdir()
        await (await filled(await Store.open(path, keys[1:]))).close()
        async with script(KILLED, path, statement, *(key.reveal() for key in keys)) as process:
            ended = await said(process)
            await within(process.wait())
        store = await Store.open(path, keys)
        assert [kept(name) for name in NAMES] == [await store.read(name) for name in NAMES]
        await store.encrypt_all()
        await store.close()
        assert CANARY not in bytes_of(path)
        assert [(1, 5)] == query(path, "SELECT count(DISTINCT sealed_by), count(sealed) FROM credential")
        assert [("ok",)] == query(path, "PRAGMA integrity_check")
        if ended:
            break
        assert -signal.SIGKILL == process.returncode
    assert (f"over after {statement}", 0) == (ended, process.returncode)
    assert statement > 10


async def test_record_that_was_never_written(opened):
    """Encrypting an empty store makes it no richer."""
    store = await opened(A)
    assert Recast() == await store.encrypt_all()
    assert Record(name="other") == await store.read("other")
