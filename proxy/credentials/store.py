"""Where tokens are kept: one SQLite file, written durably, and a lock for each credential beside it.

A write returns when the change is committed and synced (WAL, `synchronous=FULL`). What the file itself is like is
`storefile.py`'s. Knows nothing of what records mean.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StoreError
from ..secret import Secret
from .lock import CredentialLock
from .record import Origin, Record, Trouble, TroubleKind
from .storefile import open_file

T = TypeVar("T")

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
            store._connection, store.path = await store._run(lambda: (open_file(path), path.resolve()))
            store._identity = _identity(store.path)
        except BaseException:
            store._thread.shutdown(wait=False)
            raise
        return store

    async def read(self, name: str) -> Record:
        """Give the record of a credential; one that was never written has generation 0."""
        rows = await self._run(lambda: self._execute(f"{_READ} WHERE name = ?", (name,)))
        try:
            return _record(rows[0]) if rows else Record(name=name)
        except (ValueError, TypeError):
            raise StoreError(f"what the token store {self.path} holds of {name} cannot be read: sign in anew") from None

    async def write(self, record: Record) -> None:
        """Commit and sync `record`."""
        await self._run(lambda: self._execute(_WRITE, _row(record)))

    async def write_guard(self, name: str, generation: int, guard: float) -> None:
        """Commit T8's guard time, unless the tokens have changed since. Needs no lock: it touches nothing else."""
        await self._amend("guard", name, generation, guard)

    async def write_rejected(self, name: str, generation: int, rejected: bool) -> None:
        """Commit whether the upstream refuses the access token, as `write_guard` does."""
        await self._amend("rejected", name, generation, rejected)

    async def write_org_pk(self, name: str, generation: int, org_pk: str) -> None:
        """Commit which organization the tokens open, as `write_guard` does."""
        await self._amend("org_pk", name, generation, org_pk)

    async def version(self) -> int:
        """Give a number that changes when another process has written."""
        rows = await self._run(lambda: self._execute("PRAGMA data_version"))
        return int(rows[0][0])

    async def prove(self, challenge: str) -> str:
        """Give what only a reader of this store can make of `challenge`."""
        rows = await self._run(lambda: self._execute("SELECT key FROM own"))
        return hmac.new(bytes(rows[0][0]), challenge.encode(), hashlib.sha256).hexdigest()

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

    async def _amend(self, column: str, name: str, generation: int, value: float | str) -> None:
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
