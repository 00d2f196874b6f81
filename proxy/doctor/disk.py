"""Looks at the store and at folders, and reads how the credentials are. Makes no file where there is none."""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ..config import Config
from ..credentials.core import open_core
from ..credentials.health import Health
from ..credentials.policy import Terms
from ..credentials.record import Record
from ..errors import StoreError
from .facts import FolderSeen, Presence, StoreSeen


async def read_health(config: Config) -> list[Health]:
    """Give how every credential is, beside a running `serve` or without. Raises `StoreError`.

    A store that is not there yet holds nothing, and is not made for being asked.
    """
    if await asyncio.to_thread(_presence, config.store) in (Presence.NOTHING, Presence.EMPTY):
        return _unwritten(config)
    async with open_core(config) as core:
        return await core.health_beside_others()


async def see_store(config: Config) -> StoreSeen:
    """Look at the store as this user would use it."""
    path = config.store
    presence = await asyncio.to_thread(_presence, path)
    folder = await asyncio.to_thread(see_folder, _real(path).parent)
    if presence is Presence.DANGLING:
        return StoreSeen(path, presence, folder)
    if presence is not Presence.SOMETHING:
        return StoreSeen(path, presence, folder, health=tuple(_unwritten(config)))
    trouble, permissions, sharing, health = "", "", "", None
    try:
        async with open_core(config) as core:
            permissions, sharing = core.store.permission_warning(), core.store.sharing_warning()
            health = tuple(await core.health_beside_others())
    except StoreError as error:
        trouble = str(error)
    except (OSError, ValueError):  # the store knows what SQLite says, not all that a damaged record may hold
        trouble = f"the token store {path} cannot be read"
    locks = await asyncio.to_thread(lambda: tuple(_unusable_locks(path)))
    return StoreSeen(path, presence, folder, trouble, permissions, sharing, locks, health)


def see_folder(path: Path) -> FolderSeen:
    """Look at a folder that files are made in."""
    path = _real(path)
    try:
        mode = path.stat().st_mode
        free = shutil.disk_usage(path).free
    except OSError:
        return FolderSeen(path, exists=path.exists(), writable=False)
    if not stat.S_ISDIR(mode):
        return FolderSeen(path, exists=False)
    others = bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
    return FolderSeen(path, writable=os.access(path, os.W_OK | os.X_OK), open_to_others=others, free=free)


def _presence(path: Path) -> Presence:
    try:
        found = path.stat()
    except FileNotFoundError:
        return Presence.DANGLING if path.is_symlink() else Presence.NOTHING
    except OSError:
        return Presence.SOMETHING  # the store says what is wrong with it
    return Presence.EMPTY if stat.S_ISREG(found.st_mode) and not found.st_size else Presence.SOMETHING


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links that lead to themselves
        return path.absolute()


def _unwritten(config: Config) -> list[Health]:
    guard = config.limits.renewal_guard
    return [Health(one, Terms.of(one, guard), Record(name=name)) for name, one in config.credentials.items()]


def _unusable_locks(path: Path) -> Iterator[Path]:
    """Give the lock files of the store that this user cannot open as a renewal has to."""
    path = _real(path)
    for lock in sorted(path.parent.glob(f"{glob.escape(path.name)}.*.lock")):
        try:
            os.close(os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK))
        except OSError:
            yield lock
