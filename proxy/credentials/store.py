"""Where tokens are kept: one SQLite file, written durably, and a lock for each credential beside it.

A write returns when the change is committed and synced (WAL, `synchronous=FULL`). The file is created 0600 and never
created over another: a file that is not ours is refused and left alone. Knows nothing of what records mean.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StoreError
from ..secret import Secret
from .lock import CredentialLock
from .record import Origin, Record, Trouble, TroubleKind

T = TypeVar("T")

APPLICATION_ID = 0x42505258  # "BPRX", in the file's header: how we know a store of ours
SCHEMA_VERSION = 1
_BUSY_TIMEOUT = 5.0  # seconds that SQLite waits for another process's write
_POLL = 0.02  # seconds between two tries of what SQLite does not wait for

_SCHEMA = """
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
) STRICT
"""
_TROUBLE = tuple(field.name for field in fields(Trouble))
_PLAIN = tuple(field.name for field in fields(Record) if field.name != "trouble")
_COLUMNS = (*_PLAIN, *(f"trouble_{name}" for name in _TROUBLE))
_WRITE = (
    f"INSERT INTO credential ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - our names
    f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in _COLUMNS[1:])}"
)
_READ = f"SELECT {', '.join(_COLUMNS)} FROM credential"  # noqa: S608 - our own column names


class Store:
    """The token store of one file. Its one connection lives on one thread; every method is safe to call at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path  # resolved once open: locks lie beside the file itself, whatever link led to it
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Open the store at `path`, creating it where nothing is. Raises `StoreError`, and then changed nothing."""
        store = cls(path)
        try:
            store._connection, store.path = await store._run(lambda: (_open(path), path.resolve()))
            store._identity = _identity(store.path)
        except BaseException:
            store._thread.shutdown(wait=False)
            raise
        return store

    async def read(self, name: str) -> Record:
        """Give the record of a credential; one that was never written has generation 0."""
        rows = await self._run(lambda: self._execute(f"{_READ} WHERE name = ?", (name,)))
        return _record(rows[0]) if rows else Record(name=name)

    async def write(self, record: Record) -> None:
        """Commit and sync `record`."""
        await self._run(lambda: self._execute(_WRITE, _row(record)))

    async def write_guard(self, name: str, generation: int, guard: float) -> None:
        """Commit T8's guard time, unless the tokens have changed since. Needs no lock: it touches nothing else."""
        await self._amend("guard", name, generation, guard)

    async def write_rejected(self, name: str, generation: int, rejected: bool) -> None:
        """Commit whether the upstream refuses the access token, as `write_guard` does."""
        await self._amend("rejected", name, generation, rejected)

    async def version(self) -> int:
        """Give a number that changes when another process has written."""
        rows = await self._run(lambda: self._execute("PRAGMA data_version"))
        return int(rows[0][0])

    def lock(self, name: str) -> CredentialLock:
        """Give the lock of a credential, not yet taken."""
        return CredentialLock(self.path.with_name(f"{self.path.name}.{name}.lock"), name, self.path)

    def permission_warning(self) -> str:
        """Say what is wrong with who may read the file, or nothing."""
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
        except OSError:
            return ""
        if mode & 0o077:
            return f"{self.path} can be read by other users (mode {mode:04o}): chmod 600 it"
        return ""

    async def close(self) -> None:
        """Close the file. What was written is safe before this."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        self._thread.shutdown(wait=False)

    async def _amend(self, column: str, name: str, generation: int, value: float) -> None:
        statement = f"UPDATE credential SET {column} = ? WHERE name = ? AND generation = ?"  # noqa: S608 - our own names
        await self._run(lambda: self._execute(statement, (value, name, generation)))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"the token store {self.path} cannot be used: {_plain(error)}") from None
        except RuntimeError:
            raise StoreError(f"the token store {self.path} is closed") from None

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        if self._connection is None:
            raise StoreError(f"the token store {self.path} is closed")
        if self._identity != _identity(self.path):
            # SQLite would go on with a file that nobody will ever open again.
            raise StoreError(f"the token store {self.path} was removed or replaced while in use: restart the proxy")
        return self._connection.execute(statement, values).fetchall()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(path: Path) -> sqlite3.Connection:
    _create(path)
    _look(path)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            _make_ours(connection, path)
        _check_version(connection.execute("PRAGMA user_version").fetchone()[0], path)
        _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


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
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_empty(connection, path):
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell an empty file from one that another process has just made ours."""
    if connection.execute("PRAGMA user_version").fetchone()[0] != 0:
        return False
    if connection.execute("SELECT 1 FROM sqlite_master").fetchall():
        raise _foreign(path)
    return True


def _row(record: Record) -> tuple[Any, ...]:
    plain = (getattr(record, name) for name in _PLAIN)
    trouble = (None if record.trouble is None else getattr(record.trouble, name) for name in _TROUBLE)
    return tuple(value.reveal() if isinstance(value, Secret) else value for value in (*plain, *trouble))


def _record(row: tuple[Any, ...]) -> Record:
    values = dict(zip(_COLUMNS, row, strict=True))
    trouble = None
    if values["trouble_kind"] is not None:
        told = {name: values[f"trouble_{name}"] for name in _TROUBLE}
        trouble = Trouble(**{**told, "kind": TroubleKind(told["kind"])})
    plain = {name: values[name] for name in _PLAIN}
    for name in ("access_token", "refresh_token"):
        plain[name] = None if plain[name] is None else Secret(plain[name])
    plain["rejected"] = bool(plain["rejected"])
    plain["origin"] = None if plain["origin"] is None else Origin(plain["origin"])
    return Record(**plain, trouble=trouble)


def _plain(error: sqlite3.Error) -> str:
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
