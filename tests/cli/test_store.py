"""`store rekey` where something is left to say: the rest of it is told by tests that start it."""

from __future__ import annotations

import argparse
import asyncio
import base64
import sqlite3
from pathlib import Path

import pytest

from proxy.cli.store import rekey
from proxy.credentials import storefile
from proxy.credentials.record import Record
from proxy.credentials.store import Store
from proxy.secret import Secret

KEY = base64.b64encode(bytes(32)).decode()


async def fill(path: Path) -> None:
    store = await Store.open(path)
    await store.write(Record(name="gone", generation=1, access_token=Secret("CANARY")))
    await store.close()


def test_rekey_while_another_process_reads_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was encrypted is told, of a credential too that is not configured any more; so is what is left to do."""
    monkeypatch.setattr(storefile, "_BUSY_TIMEOUT", 0.05)
    (tmp_path / "config.yaml").write_text(f"store_key: {KEY}\n")
    options = argparse.Namespace(config=tmp_path / "config.yaml", decrypt=False)
    asyncio.run(fill(tmp_path / "tokens.db"))
    reader = sqlite3.connect(tmp_path / "tokens.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM credential").fetchall()
    assert 1 == rekey(options)
    reader.close()
    told = capsys.readouterr()
    assert "gone: 1 token, now encrypted with the first store_key\n" == told.out
    assert told.err.startswith("warning: ")
    assert "run `bearer-proxy store rekey` again" in told.err
    assert 0 == rekey(options)
    told = capsys.readouterr()
    assert ("nothing to change: what is stored is encrypted with the first store_key already\n", "") == told
    assert b"CANARY" not in b"".join(found.read_bytes() for found in tmp_path.glob("tokens.db*"))
