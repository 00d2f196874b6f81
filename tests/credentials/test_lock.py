"""Whom a lock file belongs to, where the administrator runs a command on the store of another user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.credentials.lock import CredentialLock

OWNER = 12_345


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Make the administrator of us, and give to whom files are given."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: found.append((user, group)))
    return found


def lock(folder: Path) -> CredentialLock:
    """The lock of a credential whose store is there."""
    (folder / "tokens.db").touch()
    return CredentialLock(folder / "tokens.db.acme.lock", "acme", folder / "tokens.db")


def take(folder: Path) -> None:
    taken = lock(folder)
    assert taken.try_acquire()
    taken.release()


@pytest.mark.parametrize("there", [False, True])
def test_lock_of_the_administrator(tmp_path: Path, given: list[tuple[int, int]], there: bool) -> None:
    """It is given to the owner of the store, be it new or left from before."""
    if there:
        (tmp_path / "tokens.db.acme.lock").touch()
    take(tmp_path)
    found = (tmp_path / "tokens.db").stat()
    assert [(found.st_uid, found.st_gid)] == given


@pytest.mark.parametrize("text", ["", "something"])
def test_file_with_another_name(tmp_path: Path, given: list[tuple[int, int]], text: str) -> None:
    """It may be anybody's, linked there by whoever may write to the folder: it locks, and stays whose it is."""
    (tmp_path / "theirs").write_text(text)
    (tmp_path / "tokens.db.acme.lock").hardlink_to(tmp_path / "theirs")
    take(tmp_path)
    assert [] == given


def test_file_that_holds_something(tmp_path: Path, given: list[tuple[int, int]]) -> None:
    """No lock does: it stays whose it is, though its other name may be gone by now."""
    (tmp_path / "tokens.db.acme.lock").write_text("something")
    take(tmp_path)
    assert [] == given


def test_lock_of_anybody_else(tmp_path: Path, given: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the administrator can give files away."""
    monkeypatch.setattr(os, "geteuid", lambda: OWNER)
    take(tmp_path)
    assert [] == given


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can give files away")
def test_owner(tmp_path: Path) -> None:
    """So the owner of the store can take the lock, and never gets another file with it."""
    theirs, ours = tmp_path / "theirs", tmp_path / "tokens.db.acme.lock"
    (tmp_path / "tokens.db").touch()
    os.chown(tmp_path / "tokens.db", OWNER, OWNER)
    theirs.touch()
    ours.hardlink_to(theirs)
    take(tmp_path)
    assert 0 == theirs.stat().st_uid
    ours.unlink()
    take(tmp_path)
    assert (OWNER, OWNER, 0) == (ours.stat().st_uid, ours.stat().st_gid, theirs.stat().st_uid)
