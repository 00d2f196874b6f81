"""The store and folders as they are found: nothing is made, nothing is changed, and nothing ends the looking."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.config import Limits, TlsFiles
from proxy.credentials import mounts
from proxy.credentials.core import open_core
from proxy.credentials.health import State
from proxy.credentials.record import Origin, Record, Tokens
from proxy.credentials.store import Store
from proxy.doctor.disk import read_health, see_folder, see_store
from proxy.doctor.facts import Presence
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NOW, credential

KEY, OTHER_KEY = Secret("A" * 43 + "="), Secret("B" * 42 + "A=")


@dataclass
class Settings:
    """The part of a configuration that the credential core needs."""

    store: Path
    limits: Limits
    credentials: dict[str, Any]
    tls: TlsFiles = field(default_factory=TlsFiles)
    store_keys: tuple[Secret, ...] = ()


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    return Settings(tmp_path / "tokens.db", Limits(), {"acme": credential()})


@pytest.fixture
async def signed_in(settings: Any) -> Any:
    async with open_core(settings) as core:
        await core.put("acme", Tokens(access_token=Secret("a"), refresh_token=Secret("r")), Origin.LOGIN)
    return settings


def states(health):
    return [one.state(NOW)[0] for one in health]


async def test_no_store(settings, tmp_path):
    """All have never signed in, and no file is made for it."""
    assert [State.NEVER_SIGNED_IN] == states(await read_health(settings))
    seen = await see_store(settings)
    assert (Presence.NOTHING, "", [State.NEVER_SIGNED_IN]) == (seen.presence, seen.trouble, states(seen.health))
    assert [] == list(tmp_path.iterdir())


async def test_no_folder(settings, tmp_path):
    """A folder that is missing is told, and not made."""
    settings.store = tmp_path / "none" / "tokens.db"
    seen = await see_store(settings)
    assert (Presence.NOTHING, False) == (seen.presence, seen.folder.exists)
    assert [] == list(tmp_path.iterdir())


async def test_an_empty_file(settings):
    """It stays empty."""
    settings.store.touch()
    assert [State.NEVER_SIGNED_IN] == states(await read_health(settings))
    assert Presence.EMPTY is (await see_store(settings)).presence
    assert 0 == settings.store.stat().st_size


async def test_a_link_to_nothing(settings, tmp_path):
    """The store would be refused there, and the file that it names is not made."""
    settings.store.symlink_to(tmp_path / "gone")
    seen = await see_store(settings)
    assert (Presence.DANGLING, None) == (seen.presence, seen.health)
    assert not (tmp_path / "gone").exists()


async def test_a_link_to_itself(settings):
    """It leads nowhere, and ends nothing."""
    settings.store.symlink_to(settings.store)
    seen = await see_store(settings)
    assert "is not a file" in seen.trouble
    assert seen.health is None


async def test_a_store(signed_in, tmp_path):
    """It is read, and left as it was."""
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    seen = await see_store(signed_in)
    assert (Presence.SOMETHING, "", "", ()) == (seen.presence, seen.trouble, seen.permissions, seen.locks)
    assert [State.OK] == states(seen.health)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


async def test_a_link_to_the_store(signed_in, tmp_path):
    """Folder and locks are those of the file itself."""
    (tmp_path / "elsewhere").mkdir()
    signed_in.store = tmp_path / "elsewhere" / "link.db"
    signed_in.store.symlink_to(tmp_path / "tokens.db")
    seen = await see_store(signed_in)
    assert (tmp_path.resolve(), [State.OK]) == (seen.folder.path, states(seen.health))


async def test_a_store_that_others_can_read(signed_in):
    """The store's own warning is passed on."""
    signed_in.store.chmod(0o644)
    assert "can be read by other users" in (await see_store(signed_in)).permissions


@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["no key", "key"])
async def test_a_store_that_other_machines_may_read(signed_in, tmp_path, monkeypatch, keys):
    """The store's own warning is passed on, unless its tokens are encrypted."""
    (tmp_path / "mountinfo").write_text("1 0 0:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "mountinfo")
    signed_in.store_keys = keys
    assert (not keys) is ("others may share (nfs4)" in (await see_store(signed_in)).sharing)


@pytest.mark.parametrize(
    ("keys", "words"),
    [((), "are encrypted: set store_key"), ((OTHER_KEY,), "was written with another store_key")],
    ids=["no key", "another key"],
)
async def test_a_store_that_our_keys_do_not_open(signed_in, keys, words):
    """It is told in the store's words, and left as it was."""
    store = await Store.open(signed_in.store, [KEY])
    await store.encrypt_all()
    await store.close()
    before = signed_in.store.read_bytes()
    signed_in.store_keys = keys
    seen = await see_store(signed_in)
    assert words in seen.trouble
    assert seen.health is None
    with pytest.raises(StoreError, match=words):
        await read_health(signed_in)
    assert before == signed_in.store.read_bytes()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at" * 9, b"x"])
async def test_a_foreign_file(settings, content):
    """It is told in the store's words, and left alone."""
    settings.store.write_bytes(content)
    seen = await see_store(settings)
    assert "is not a token store of bearer-proxy" in seen.trouble
    assert seen.health is None
    assert content == settings.store.read_bytes()


async def test_a_folder_in_its_place(settings):
    """So is what is no file at all."""
    settings.store.mkdir()
    assert "is not a file" in (await see_store(settings)).trouble


async def test_a_store_of_another_user(signed_in, monkeypatch):
    """What this user cannot read is told as such."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    seen = await see_store(signed_in)
    assert "cannot be read and written by this user" in seen.trouble
    assert seen.health is None


async def test_a_damaged_store(signed_in):
    """The header is ours, what follows is not readable any more."""
    content = signed_in.store.read_bytes()
    signed_in.store.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    seen = await see_store(signed_in)
    assert "is damaged" in seen.trouble
    assert seen.health is None


async def test_a_record_that_makes_no_sense(signed_in):
    """A value that nobody foresaw is a problem of the store, not of the command."""
    with sqlite3.connect(signed_in.store) as connection:
        connection.execute("UPDATE credential SET origin = 'canary'")
    connection.close()
    seen = await see_store(signed_in)
    assert ("cannot be read" in seen.trouble, "canary" in seen.trouble) == (True, False)
    assert seen.health is None


async def test_status_of_a_foreign_file(settings):
    """Whoever only wants to know how the credentials are gets the error."""
    settings.store.write_bytes(b"x" * 200)
    with pytest.raises(StoreError, match="not a token store"):
        await read_health(settings)


async def test_a_renewal_under_way_elsewhere(signed_in):
    """A mark under a lock that another holds is a renewal; without the lock it is one that was cut off."""
    store = await Store.open(signed_in.store)
    record = await store.read("acme")
    await store.write(Record(name="acme", generation=1, refresh_token=record.refresh_token, marked_at=NOW))
    await store.close()
    assert [State.UNCERTAIN] == states(await read_health(signed_in))
    with Path(f"{signed_in.store}.acme.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert [State.RENEWING] == states((await see_store(signed_in)).health)


async def test_a_lock_that_cannot_be_opened(signed_in):
    """A link in its place would keep every renewal from beginning."""
    lock = Path(f"{signed_in.store}.other.lock")
    lock.symlink_to(signed_in.store)
    assert (lock,) == (await see_store(signed_in)).locks


def test_folders(tmp_path):
    """What is no folder, what cannot be written to, what others may write to, and how much is free."""
    (tmp_path / "file").touch()
    assert [False, False] == [see_folder(tmp_path / name).exists for name in ("none", "file")]
    (tmp_path / "open").mkdir()
    for mode, expected in ((0o755, False), (0o777, True), (0o1777, False), (0o775, False)):
        (tmp_path / "open").chmod(mode)
        assert expected is see_folder(tmp_path / "open").open_to_others
    seen = see_folder(tmp_path)
    assert (True, True) == (seen.exists, seen.writable)
    assert seen.free is not None
    assert seen.free > 0


def test_a_folder_that_this_user_cannot_write_to(tmp_path, monkeypatch):
    """Files are made there, and so it has to be writable and searchable."""
    asked = []
    monkeypatch.setattr(os, "access", lambda path, how: asked.append(how))
    assert not see_folder(tmp_path).writable
    assert [os.W_OK | os.X_OK] == asked
