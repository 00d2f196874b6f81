"""Files of earlier versions: brought up to date once, with all that is in them."""

import asyncio
import functools
import hashlib
import hmac
import itertools
import sqlite3
from dataclasses import replace

import pytest

from proxy.credentials import storefile
from proxy.credentials.record import Origin, Record, Trouble, TroubleKind
from proxy.credentials.store import Store
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NAME, NOW, said, script, tell, within

# All that version 1 wrote, as SQLite's `.dump` of such a file tells it.
VERSION_1 = """
CREATE TABLE credential (
    name            TEXT PRIMARY KEY,
    generation      INTEGER NOT NULL,
    access_token    TEXT,
    refresh_token   TEXT,
    scope           TEXT NOT NULL,
    expires_at      REAL,
    obtained_at     REAL,
    origin          TEXT,
    guard           REAL NOT NULL,
    rejected        INTEGER NOT NULL,
    marked_at       REAL,
    exchanged_at    REAL,
    trouble_kind    TEXT,
    trouble_reason  TEXT,
    trouble_at      REAL,
    trouble_retry_at    REAL,
    trouble_failures    INTEGER,
    trouble_fingerprint TEXT,
    trouble_cut_off_at  REAL
) STRICT;
INSERT INTO credential VALUES('acme',7,'access','réfresh ☃','order company',1800000060.25,1800000000.0,'exchange',60.0,
    0,1800000001.0,1800000000.0,'passing trouble','it failed',1800000000.0,1800000009.0,3,'',NULL);
INSERT INTO credential VALUES('other',2,NULL,NULL,'',NULL,1800000000.0,'logout',0.0,1,
    NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
PRAGMA application_id = 1112560216;
PRAGMA user_version = 1;
"""
# The same of version 2.
VERSION_2 = (
    VERSION_1.replace(
        "trouble_cut_off_at  REAL\n", "trouble_cut_off_at  REAL, brought_at REAL, org_pk TEXT NOT NULL DEFAULT ''\n"
    )
    .replace("NULL);", "NULL,NULL,'7kQ2f');")
    .replace("user_version = 1", "user_version = 2")
    + """
CREATE TABLE own (key BLOB NOT NULL) STRICT;
INSERT INTO own VALUES(X'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef');
"""
)
KEPT = Record(
    name=NAME,
    generation=7,
    access_token=Secret("access"),
    refresh_token=Secret("réfresh ☃"),
    scope="order company",
    expires_at=NOW + 60.25,
    obtained_at=NOW,
    origin=Origin.EXCHANGE,
    guard=60.0,
    marked_at=NOW + 1,
    exchanged_at=NOW,
    trouble=Trouble(kind=TroubleKind.PASSING, reason="it failed", at=NOW, retry_at=NOW + 9, failures=3),
)
OTHER = Record(name="other", generation=2, obtained_at=NOW, origin=Origin.LOGOUT, rejected=True)
OPENER = """
import asyncio, sys
from pathlib import Path
from proxy.credentials.store import Store

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    store = await Store.open(Path(sys.argv[1]))
    print((await store.read("acme")).generation, flush=True)
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path):
    """Give a file of version 1, as a serve that is over has left it."""
    made = tmp_path / "tokens.db"
    connection = sqlite3.connect(made)
    connection.executescript(VERSION_1)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return made


def version(path):
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return found


async def test_file_of_version_1(path):
    """Its tokens, and all else, are there; what is new is empty, and can be written; it opens again as ours."""
    for expected in (KEPT, replace(KEPT, org_pk="7kQ2f")):
        store = await Store.open(path)
        assert [expected, OTHER] == [await store.read(NAME), await store.read("other")]
        await store.write_org_pk(NAME, 7, "7kQ2f")
        assert (replace(KEPT, org_pk="7kQ2f"), OTHER) == (await store.read(NAME), await store.read("other"))
        await store.close()
        assert storefile.SCHEMA_VERSION == version(path)


async def test_file_of_version_2(tmp_path):
    """So it is; the key by which its readers know each other stays."""
    path = tmp_path / "two.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_2)
    connection.close()
    before = hmac.new(bytes.fromhex("0123456789abcdef" * 4), b"x", hashlib.sha256).hexdigest()
    for keys in ([], [Secret("A" * 43 + "=")]):
        store = await Store.open(path, keys)
        await store.encrypt_all()
        assert [replace(KEPT, org_pk="7kQ2f"), replace(OTHER, org_pk="7kQ2f")] == [
            await store.read(NAME),
            await store.read("other"),
        ]
        assert before == await store.prove("x")
        await store.close()
        assert storefile.SCHEMA_VERSION == version(path)


async def test_file_of_version_1_that_a_serve_of_that_version_has_open(path):
    """What that one still writes is not lost."""
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("SELECT * FROM credential").fetchall()
    store = await Store.open(path)
    columns = "name, generation, scope, guard, rejected"
    old.execute(f"INSERT INTO credential ({columns}) VALUES ('new', 3, '', 0, 0)")
    old.execute("UPDATE credential SET generation = 8 WHERE name = 'acme'")
    old.close()
    assert [replace(KEPT, generation=8), Record(name="new", generation=3)] == [
        await store.read(NAME),
        await store.read("new"),
    ]
    await store.close()


async def test_many_stores_that_open_a_file_of_version_1_at_once(path):
    """All of them succeed."""
    stores = await within(asyncio.gather(*(Store.open(path) for _ in range(12))))
    assert [KEPT] * 12 == [await store.read(NAME) for store in stores]
    for store in stores:
        await store.close()


async def test_many_processes_that_open_a_file_of_version_1_at_once(path):
    """They do too."""
    async with script(OPENER, path) as one, script(OPENER, path) as two, script(OPENER, path) as three:
        processes = [one, two, three]
        assert ["ready"] * 3 == [await said(process) for process in processes]
        for process in processes:
            tell(process)
        assert ["7"] * 3 == [await said(process) for process in processes]


@pytest.mark.parametrize("statement", range(7))
async def test_file_that_another_process_brings_up_to_date_while_we_open_it(path, monkeypatch, statement):
    """It is opened, wherever between our looks at it the other came in, and once."""
    connect, looks = sqlite3.connect, itertools.count()

    class Interrupted(sqlite3.Connection):
        def execute(self, *arguments):
            if next(looks) == statement and not self.in_transaction:
                with monkeypatch.context() as patched:
                    patched.setattr(sqlite3, "connect", connect)
                    storefile.open_file(path).close()
            return super().execute(*arguments)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(connect, factory=Interrupted))
    store = await Store.open(path)
    assert KEPT == await store.read(NAME)
    await store.close()


async def test_file_that_cannot_be_brought_up_to_date(path, monkeypatch):
    """It is left as it was, whatever was done before that, and opens when that is mended."""
    with monkeypatch.context() as patched:
        patched.setattr(storefile, "SCHEMA_VERSION", 4)
        patched.setitem(storefile._STEPS, 3, lambda file: file.execute("ALTER TABLE credential ADD COLUMN org_pk TEXT"))
        with pytest.raises(StoreError, match="cannot be used"):
            await Store.open(path)
    assert 1 == version(path)
    store = await Store.open(path)
    assert KEPT == await store.read(NAME)
    await store.close()


async def test_readers_of_one_store(path):
    """They make the same proof of a challenge, in a file brought up to date as well, and of each challenge another."""
    one, other = await Store.open(path), await Store.open(path)
    assert await one.prove("port 1: x") == await other.prove("port 1: x")
    assert await one.prove("port 1: x") != await one.prove("port 2: x")
    await one.close()
    await other.close()


async def test_readers_of_two_stores(tmp_path):
    """They make different proofs."""
    one, other = await Store.open(tmp_path / "one.db"), await Store.open(tmp_path / "other.db")
    assert await one.prove("x") != await other.prove("x")
    await one.close()
    await other.close()
