"""Where tokens are kept: one SQLite file, written durably, and a lock for each credential beside it.

A write returns when the change is committed and synced (WAL, `synchronous=FULL`). Tokens are sealed by the keys that
the store was opened with; what these cannot open is never written over, nor is a row put beside it, even where
another process has changed the key meanwhile; but a row whose exchange is under way can be written to its end. What the
file itself is like is `storefile.py`'s, what a row is like `rows.py`'s. Knows nothing of what records mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import sqlite3
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StoreError
from ..secret import Secret
from . import rows
from .cipher import Cipher
from .lock import CredentialLock
from .mounts import shared_file_system
from .recasting import WAIT, Recast, recast
from .record import Record
from .storefile import open_file, plain, sweep, to_be_swept, transaction

T = TypeVar("T")

_LOST = "if it is lost, move the file away and sign in again"


class Store:
    """The token store of one file. Its one connection lives on one thread; every method is safe to call at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path  # resolved once open: locks lie beside the file itself, whatever link led to it
        self.unfinished = False  # whether something is left for `encrypt_all`
        self._recasting = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None
        self._cipher = Cipher()
        self._identity: tuple[int, int] | None = None

    @classmethod
    async def open(cls, path: Path, keys: Iterable[Secret] = ()) -> Store:
        """Open the store at `path`, creating it where nothing is; the first of `keys` seals, each of them opens.

        Raises `StoreError` where the file, or what is sealed in it, cannot be used; and then changed nothing.
        """
        store = cls(path)
        try:
            await store._run(lambda: store._open(Cipher(keys)))
        except BaseException:
            await store.close()
            raise
        return store

    async def read(self, name: str) -> Record:
        """Give the record of a credential; one that was never written has generation 0."""
        return await self._run(lambda: self._read(name, self._cipher))

    async def write(self, record: Record) -> None:
        """Commit and sync `record`."""
        await self._run(lambda: self._write(record))

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

    async def use_keys(self, keys: Iterable[Secret], names: Iterable[str] = ()) -> list[Record]:
        """Go on with other keys, and give the records of `names`. Raises `StoreError`, and then keeps the old keys."""
        cipher = Cipher(keys)

        def swap() -> list[Record]:
            self._check(cipher)
            found = [self._read(name, cipher) for name in names]
            self._cipher = cipher
            return found

        async with self._recasting:
            return await self._run(swap)

    async def encrypt_all(self, within: float = WAIT) -> Recast:
        """Seal all tokens under the first key, and leave nothing of them in clear; without keys do nothing.

        Waits `within` seconds for exchanges under way, and for others that use the file only if that is more than 0.
        Generations stay: others that use the store go on with what they have.
        """
        if not self._cipher:
            self.unfinished = False
            return Recast()
        async with self._recasting:
            self.unfinished = True
            done = await recast(self, self._cipher, within)
            self.unfinished = bool(done.remains)
            return done

    async def decrypt_all(self, within: float = WAIT) -> Recast:
        """Put all tokens into the file in clear. Waits as `encrypt_all` does."""
        async with self._recasting:
            return await recast(self, Cipher(), within)

    async def others(self, target: Cipher) -> list[str]:
        """Name the rows that are not as `target` seals them. Raises `StoreError` where one of them cannot be opened."""
        return await self._run(lambda: self._others(target))

    async def recast(self, names: Iterable[str], target: Cipher) -> dict[str, int]:
        """Seal these rows by `target`, or put them in clear, whoever may have their locks; count the tokens of each."""
        return await self._run(lambda: self._recast(names, target))

    async def sweep(self, *, patient: bool) -> str:
        """Leave nothing in the file of what rows held before; or say what keeps us from it."""
        return await self._run(lambda: sweep(self._used(), patient=patient))

    async def in_clear(self) -> bool:
        """Tell whether rows are in clear though there is a key."""
        clear = "SELECT EXISTS (SELECT 1 FROM credential WHERE sealed_by IS NULL)"
        return bool(self._cipher) and bool((await self._run(lambda: self._execute(clear)))[0][0])

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

    def sharing_warning(self) -> str:
        """Say that tokens lie in clear where other machines may read them, or nothing."""
        kind = "" if self._cipher else shared_file_system(self.path)
        if kind:
            return f"{self.path} is not encrypted, on a file system that others may share ({kind}): set store_key"
        return ""

    async def close(self) -> None:
        """Close the file. What was written is safe before this."""
        with contextlib.suppress(RuntimeError):  # it is closed already
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _amend(self, column: str, name: str, generation: int, value: float | str) -> None:
        statement = f"UPDATE credential SET {column} = ? WHERE name = ? AND generation = ?"  # noqa: S608 - our own names

        def amend() -> None:
            with transaction(self._used()):
                self._check_keys()
                self._execute(statement, (value, name, generation))

        await self._run(amend)

    def _open(self, cipher: Cipher) -> None:
        self._connection, self.path = open_file(self.path), self.path.resolve()
        self._identity = _identity(self.path)
        self._check(cipher)
        self._cipher = cipher

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self, name: str, cipher: Cipher) -> Record:
        found = self._rows(name)
        try:
            return rows.as_record(found[0], cipher) if found else Record(name=name)
        except (ValueError, TypeError):
            self._check_row(found[0], cipher)
            raise StoreError(f"what the token store {self.path} holds of {name} cannot be read: sign in anew") from None

    def _write(self, record: Record) -> None:
        with transaction(self._used()):
            found = self._rows(record.name)
            if not any(map(rows.marked, found)):  # else what an exchange brought would be lost
                self._check_keys()
            for before in found:
                self._check_row(before, self._cipher)
                if self._cipher and rows.sealed_by(before) is None:
                    to_be_swept(self._used())
                    self.unfinished = True
            self._execute(rows.WRITE, rows.as_row(record, self._cipher))

    def _others(self, target: Cipher) -> list[str]:
        found = [row for row in self._rows() if rows.sealed_by(row) != target.key_id]
        for row in found:
            self._check_row(row, self._cipher)
        return [rows.name_of(row) for row in found]

    def _recast(self, names: Iterable[str], target: Cipher) -> dict[str, int]:
        changed: dict[str, int] = {}
        with transaction(self._used()):
            self._check_keys()
            for row in (row for name in names for row in self._rows(name)):
                if rows.sealed_by(row) != target.key_id:
                    self._check_row(row, self._cipher)
                    changed[rows.name_of(row)] = sum(map(bool, rows.tokens_in(row, self._cipher)))
                    self._execute(rows.RECAST, rows.recast(row, self._cipher, target))
            if changed:
                to_be_swept(self._used())
        return changed

    def _check_keys(self) -> None:
        """See that nobody has sealed a row, of whatever credential, by a key that we lack. Raises `StoreError`."""
        for (key_id,) in self._execute("SELECT DISTINCT sealed_by FROM credential"):
            if not self._cipher.knows(key_id):
                raise self._key_missing(self._cipher)

    def _check(self, cipher: Cipher) -> None:
        """See that `cipher` can open all that is sealed. Raises `StoreError`."""
        for row in self._rows():
            self._check_row(row, cipher)

    def _check_row(self, row: rows.Row, cipher: Cipher) -> None:
        if not cipher.knows(rows.sealed_by(row)):
            raise self._key_missing(cipher)
        try:
            rows.tokens_in(row, cipher)
        except (ValueError, TypeError):
            raise StoreError(
                f"what {self.path} holds of {rows.name_of(row)} is damaged, though its store_key is right: "
                "put back a good copy of the file, or move it away and sign in again"
            ) from None

    def _key_missing(self, cipher: Cipher) -> StoreError:
        if cipher:
            return StoreError(
                f"{self.path} was written with another store_key: add that one behind the first, as a list; {_LOST}"
            )
        return StoreError(f"the tokens in {self.path} are encrypted: set store_key to their key; {_LOST}")

    def _rows(self, name: str | None = None) -> list[rows.Row]:
        """Give the row of one credential, if there is one, or those of all."""
        return self._execute(rows.READ) if name is None else self._execute(f"{rows.READ} WHERE name = ?", (name,))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"the token store {self.path} cannot be used: {plain(error)}") from None
        except RuntimeError:
            raise StoreError(f"the token store {self.path} is closed") from None

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return self._used().execute(statement, values).fetchall()

    def _used(self) -> sqlite3.Connection:
        """Give the connection, as long as it leads to the file of our name."""
        if self._connection is None:
            raise StoreError(f"the token store {self.path} is closed")
        if self._identity != _identity(self.path):
            # SQLite would go on with a file that nobody will ever open again.
            raise StoreError(f"the token store {self.path} was removed or replaced while in use: restart the proxy")
        return self._connection


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
