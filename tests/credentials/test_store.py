"""The token store on real files: what it keeps, what it refuses, and that it changes nothing that is not its own."""

import asyncio
import contextlib
import dataclasses
import os
import sqlite3
import stat
import tempfile
from pathlib import Path

import pytest

from proxy.credentials import policy
from proxy.credentials.record import Origin, Record, Trouble, TroubleKind
from proxy.credentials.store import Store
from proxy.credentials.storefile import APPLICATION_ID, SCHEMA_VERSION
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NAME, NOW, record, said, script, tell, tokens, within

TROUBLE = Trouble(
    kind=TroubleKind.CLIENT, reason="it failed", at=NOW, retry_at=NOW + 1, failures=3, fingerprint="f", cut_off_at=NOW
)
FULL = Record(
    name=NAME,
    generation=2**40,
    access_token=Secret("access"),
    refresh_token=Secret("réfresh ☃ 'quoted'"),
    scope="a b",
    expires_at=NOW + 0.25,
    obtained_at=NOW,
    origin=Origin.EXCHANGE,
    guard=60.0,
    marked_at=NOW + 1,
    trouble=TROUBLE,
    exchanged_at=NOW,
    org_pk="7kQ2f",
)
OPENER = """
import asyncio, os, sys
from pathlib import Path
from proxy.credentials.record import Record
from proxy.credentials.store import Store
from proxy.errors import StoreError

async def main():
    path = Path(sys.argv[1])
    if os.geteuid() == 0:
        os.setuid(65534)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        store = await Store.open(path)
        await store.write(Record(name=sys.argv[2], generation=1))
        await store.close()
    except StoreError as error:
        print("refused:", error, flush=True)
    else:
        print("opened", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def open_folder():
    """Give a folder that users other than root can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)
        Path(name).chmod(0o777)


def files_of(folder):
    """Give the name and bytes of every file in it."""
    return {found.name: found.read_bytes() for found in folder.iterdir() if found.is_file()}


@pytest.mark.parametrize(
    "kept",
    [
        FULL,
        Record(name=NAME),
        record(trouble=dataclasses.replace(TROUBLE, retry_at=None, cut_off_at=None)),
        policy.logged_out(record(), NOW),
    ],
)
async def test_record_that_was_written(open_store, kept):
    """It comes back as it was, in another process too."""
    one, other = await open_store(), await open_store()
    await one.write(FULL)
    await one.write(kept)
    assert kept == await one.read(NAME)
    assert kept == await other.read(NAME)


async def test_record_that_was_never_written(open_store):
    """It has generation 0."""
    assert Record(name="other") == await (await open_store()).read("other")


async def test_files_of_a_store(open_store, path):
    """Nobody else may read any of them, whatever the umask."""
    before = os.umask(0)
    try:
        store = await open_store()
        await store.write(FULL)
        store.lock(NAME).try_acquire()
    finally:
        os.umask(before)
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    assert dict.fromkeys(["tokens.db", "tokens.db-wal", "tokens.db-shm", "tokens.db.acme.lock"], 0o600) == modes
    assert "" == store.permission_warning()


async def test_store_that_others_can_read(open_store, path):
    """It is used, with a warning that says what to do."""
    store = await open_store()
    path.chmod(0o640)
    assert "chmod 600" in store.permission_warning()


async def test_durability(open_store):
    """Each commit is synced to the disk before it counts."""
    store = await open_store()
    assert [("wal",)] == store._connection.execute("PRAGMA journal_mode").fetchall()
    assert [(2,)] == store._connection.execute("PRAGMA synchronous").fetchall()


def make_foreign(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def make_foreign_with_an_id(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 7")
    connection.close()


def make_foreign_that_was_killed(path):
    """Leave a database behind whose last commit is in its write-ahead log."""
    with tempfile.TemporaryDirectory() as name:
        connection = sqlite3.connect(f"{name}/x")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
        path.write_bytes(Path(f"{name}/x").read_bytes())
        path.with_name("tokens.db-wal").write_bytes(Path(f"{name}/x-wal").read_bytes())
        connection.close()


def make_newer(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE credential (of_the_future)")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()


NOT_OURS = {
    "foreign": (make_foreign, "not a token store"),
    "foreign id": (make_foreign_with_an_id, "not a token store"),
    "foreign and killed": (make_foreign_that_was_killed, "not a token store"),
    "newer": (make_newer, "newer bearer-proxy"),
    "text": (lambda path: path.write_text("listen: localhost:8080\n" * 500), "not a token store"),
    "short text": (lambda path: path.write_text("hello"), "not a token store"),
    "one byte": (lambda path: path.write_text("x"), "not a token store"),
    "zeros": (lambda path: path.write_bytes(b"\x00" * 4096), "not a token store"),
    "directory": (lambda path: path.mkdir(), "not a file"),
    "dangling": (lambda path: path.symlink_to(path.with_name("nowhere")), "not a file"),
}


@pytest.mark.parametrize(("make", "message"), NOT_OURS.values(), ids=NOT_OURS)
async def test_file_that_is_not_ours(path, make, message):
    """It is refused, and not one byte in its folder changes."""
    make(path)
    before = files_of(path.parent)
    with pytest.raises(StoreError, match=message):
        await Store.open(path)
    assert before == files_of(path.parent)


async def test_folder_that_is_missing(tmp_path):
    """It is not made."""
    with pytest.raises(StoreError, match="cannot be created: No such file"):
        await Store.open(tmp_path / "missing" / "tokens.db")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["folder", "file", "folder of a store"])
async def test_store_that_cannot_be_written(open_folder, what):
    """It is refused in words that say so, and nothing changes."""
    path = open_folder / "tokens.db"
    if what != "folder":
        store = await Store.open(path)
        await store.write(FULL)
        await store.close()
        path.chmod(0o444 if what == "file" else 0o666)
    if what != "file":
        open_folder.chmod(0o555)
    before = files_of(open_folder)
    async with script(OPENER, path, "other") as process:
        tell(process)
        assert "ready" == await said(process)
        refused = await said(process)
    assert refused.startswith("refused: the token store")
    assert "cannot be" in refused
    assert before == files_of(open_folder)


async def test_file_that_is_empty(path):
    """It is made a store: someone has prepared its permissions."""
    path.touch(0o600)
    store = await Store.open(path)
    await store.write(FULL)
    assert FULL == await store.read(NAME)
    await store.close()


async def test_many_processes_that_open_a_new_store_at_once(open_folder):
    """All of them succeed, and none undoes another's work."""
    path, names = open_folder / "tokens.db", [f"c{n}" for n in range(6)]
    async with contextlib.AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(script(OPENER, path, name)) for name in names]
        assert ["ready"] * 6 == [await said(process) for process in processes]
        for process in processes:
            tell(process)
        assert ["opened"] * 6 == [await said(process) for process in processes]
    path.chmod(0o666)
    store = await Store.open(path)
    assert [1] * 6 == [(await store.read(name)).generation for name in names]
    await store.close()


async def test_many_stores_that_open_a_new_file_at_once(path):
    """All of them succeed."""
    stores = await within(asyncio.gather(*(Store.open(path) for _ in range(12))))
    await asyncio.gather(*(store.write(Record(name=f"c{n}")) for n, store in enumerate(stores)))
    for store in stores:
        await store.close()


async def test_generation_across_logout_and_restarts(open_store):
    """It grows by one with each change and is never reset."""
    seen = []
    for change in range(4):
        store = await open_store()
        before = await store.read(NAME)
        made = policy.accepted(before, tokens(), Origin.LOGIN, NOW) if change % 2 else policy.logged_out(before, NOW)
        await store.write(made)
        seen.append((await store.read(NAME)).generation)
        await store.close()
    assert [1, 2, 3, 4] == seen


async def test_guard_of_a_generation_that_has_passed(open_store):
    """It is not written; that of the present one is, and nothing else with it."""
    store = await open_store()
    await store.write(record(generation=7, trouble=TROUBLE))
    await store.write_guard(NAME, 6, 99.0)
    assert record(generation=7, trouble=TROUBLE) == await store.read(NAME)
    await store.write_guard(NAME, 7, 99.0)
    assert record(generation=7, trouble=TROUBLE, guard=99.0) == await store.read(NAME)


async def test_organization_of_a_generation_that_has_passed(open_store):
    """It is not written; that of the present one is, and nothing else with it."""
    store = await open_store()
    await store.write(record(generation=7, trouble=TROUBLE))
    await store.write_org_pk(NAME, 6, "gone")
    await store.write_org_pk("other", 7, "gone")
    assert record(generation=7, trouble=TROUBLE) == await store.read(NAME)
    await store.write_org_pk(NAME, 7, "7kQ2f")
    assert record(generation=7, trouble=TROUBLE, org_pk="7kQ2f") == await store.read(NAME)


async def test_version(open_store):
    """It changes when another has written, and not of itself."""
    one, other = await open_store(), await open_store()
    before = await one.version()
    await one.write(FULL)
    assert before == await one.version()
    await other.write(record())
    assert before != await one.version()
