"""The file of a token store: made, told from files of others, and brought up to date. Knows nothing of records.

It is created 0600 and never over another file: one that is not ours, or of a newer version, is refused and left alone.
What is deleted from it is overwritten.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import StoreError

APPLICATION_ID = 0x42505258  # "BPRX", in the file's header: how we know a store of ours
SCHEMA_VERSION = 3
_BUSY_TIMEOUT = 5.0  # seconds that SQLite waits for another process's write
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_USED = "another process uses it"
_POLL = 0.02  # seconds between two tries of what SQLite does not wait for

# An earlier version that still runs cannot put tokens beside sealed ones: its write fails, and it says so.
_SEALED = "sealed TEXT CHECK (sealed IS NULL OR (access_token IS NULL AND refresh_token IS NULL))"
_SCHEMA = f"""
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
    trouble_cut_off_at  REAL,
    brought_at      REAL,
    org_pk          TEXT NOT NULL DEFAULT '',
    sealed_by       TEXT,
    {_SEALED}
) STRICT
"""


def open_file(path: Path) -> sqlite3.Connection:
    """Open a store, creating it where nothing is. Raises `StoreError` or `sqlite3.Error`, and then changed nothing."""
    _create(path)
    _look(path)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        if _version(connection) == 0:
            _make_ours(connection, path)
        if _version(connection) < SCHEMA_VERSION:
            _bring_up_to_date(connection)
        _check_version(_version(connection), path)
        _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all that is done inside, or nothing of it; nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite may have ended it by itself, as when the disk is full
            connection.execute("ROLLBACK")
        raise


def to_be_swept(connection: sqlite3.Connection) -> None:
    """Remember, in the transaction that makes it so, that the file still holds what rows held before."""
    connection.execute("UPDATE own SET unswept = unswept + 1")


def sweep(connection: sqlite3.Connection, *, patient: bool = True) -> str:
    """Leave nothing of what rows held before, in the file or beside it; or say what keeps us from it.

    Without being `patient` others that use the file are not waited for.
    """
    ((unswept,),) = connection.execute("SELECT unswept FROM own").fetchall()
    if not unswept:
        return ""
    ((waits,),) = connection.execute("PRAGMA busy_timeout").fetchall()
    try:
        if not patient:
            connection.execute("PRAGMA busy_timeout = 0")
            if not _written_through(connection):  # or the log would grow with each VACUUM in vain
                return _USED
        connection.execute("VACUUM")  # free pages, of versions too that did not overwrite what they deleted
        if not _written_through(connection):
            return _USED
        connection.execute("UPDATE own SET unswept = 0 WHERE unswept = ?", (unswept,))
    except sqlite3.OperationalError as error:
        return _USED if error.sqlite_errorcode & 0xFF in _BUSY else plain(error)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(waits)}")
    return ""


def _written_through(connection: sqlite3.Connection) -> bool:
    """Empty the log into the file, unless others still read or write it."""
    ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return not busy


def _patiently(work: Callable[[], object]) -> None:
    """Do what SQLite refuses at once, without waiting, while another process opens the file too."""
    end = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_POLL)
        else:
            return


def _create(path: Path) -> None:
    """Make an empty file, 0600, if there is none, and make its name durable."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        if not path.is_file():
            raise StoreError(f"the token store {path} is not a file") from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise StoreError(f"the token store {path} cannot be read and written by this user") from None
    except OSError as error:
        raise StoreError(f"the token store {path} cannot be created: {error.strerror}") from None


def _look(path: Path) -> None:
    """See that a file is empty or ours by its header alone: SQLite would already change another's."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return
    version, application = (int.from_bytes(header[at : at + 4]) for at in (60, 68))
    if header[:16] != b"SQLite format 3\0" or len(header) < 100 or application != APPLICATION_ID:
        raise _foreign(path)
    _check_version(version, path)


def _check_version(version: int, path: Path) -> None:
    if version > SCHEMA_VERSION:
        raise StoreError(f"{path} was written by a newer bearer-proxy: use that one")


def _foreign(path: Path) -> StoreError:
    return StoreError(f"{path} is not a token store of bearer-proxy: name another file in `store`, or move it away")


def _make_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Create the table, once, whoever else is doing it at this moment.

    Before WAL is on, so that the header says whose the file is as soon as there is one.
    """
    with transaction(connection):
        if _is_empty(connection, path):
            connection.execute(_SCHEMA)
            _make_key(connection)
            _make_sweeping(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Take a file of an earlier version to ours, in one transaction, once, whoever else is doing it."""
    with transaction(connection):
        for version in range(_version(connection), SCHEMA_VERSION):
            _STEPS[version](connection)
            connection.execute(f"PRAGMA user_version = {version + 1}")


def _to_version_2(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE credential ADD COLUMN brought_at REAL")
    connection.execute("ALTER TABLE credential ADD COLUMN org_pk TEXT NOT NULL DEFAULT ''")
    _make_key(connection)


def _to_version_3(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE credential ADD COLUMN sealed_by TEXT")
    connection.execute(f"ALTER TABLE credential ADD COLUMN {_SEALED}")
    _make_sweeping(connection)


def _make_key(connection: sqlite3.Connection) -> None:
    """Give the store the key by which its readers prove to each other that they are (`Store.prove`)."""
    connection.execute("CREATE TABLE own (key BLOB NOT NULL) STRICT")
    connection.execute("INSERT INTO own (key) VALUES (?)", (secrets.token_bytes(32),))


def _make_sweeping(connection: sqlite3.Connection) -> None:
    """Give the store a count of what is still to be swept away (`sweep`)."""
    connection.execute("ALTER TABLE own ADD COLUMN unswept INTEGER NOT NULL DEFAULT 1")


_STEPS = {1: _to_version_2, 2: _to_version_3}  # what makes a file of one version one of the next


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell an empty file from one that another process has just made ours."""
    if _version(connection) != 0:
        return False
    if connection.execute("SELECT 1 FROM sqlite_master").fetchall():
        raise _foreign(path)
    return True


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def plain(error: sqlite3.Error) -> str:
    """Say in our words what SQLite says of itself; it never quotes values."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    known = {
        "SQLITE_BUSY": "another process is writing to it",
        "SQLITE_FULL": "the disk is full",
        "SQLITE_READONLY": "it, or its folder, is read-only",
        "SQLITE_CANTOPEN": "it, or a file beside it, cannot be opened",
        "SQLITE_CORRUPT": "it is damaged",
        "SQLITE_NOTADB": "it is damaged",
    }
    return next((text for code, text in known.items() if name.startswith(code)), name)
