"""Another key by a reload, and what cannot be saved or sealed at once: all goes on as before, or as it is said."""

import asyncio
import sqlite3

import pytest

from proxy.credentials.core import open_core
from proxy.credentials.record import Origin
from proxy.credentials.store import Store
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NAME, credential, record, tokens, within
from .test_core_reload import KEYS, configured, core_of_two, rejected


@pytest.fixture
async def core(tmp_path, clock, vendor):
    """Give a core with tokens for two credentials."""
    async with core_of_two(tmp_path, clock, vendor) as opened:
        yield opened


@pytest.mark.parametrize("first", [KEYS[:1], ()], ids=["key", "no key"])
async def test_credential_that_cannot_be_read(core, tmp_path, first):
    """Nothing changes: what is stored later is sealed as before, and read by whoever has the keys of before."""
    same = (credential(), credential(name="b"))
    await core.reload(configured(tmp_path, *same, store_keys=first))
    store = core.store
    await store._run(lambda: store._execute("UPDATE credential SET origin = 'nonsense' WHERE name = 'b'"))
    await core.reload(configured(tmp_path, credential(), store_keys=first))
    with pytest.raises(StoreError, match="cannot be read"):
        await core.reload(configured(tmp_path, *same, store_keys=(KEYS[1], *first)))
    await core.put(NAME, tokens("later"), Origin.IMPORT)
    other = await Store.open(store.path, first)
    assert Secret("later") == (await other.read(NAME)).refresh_token
    await other.close()


async def test_key_for_a_store_that_cannot_be_written(core, tmp_path, monkeypatch, caplog):
    """The configuration is taken over as a whole, a warning says what is in clear yet, and it is sealed soon."""
    path = core.store.path
    core.store._connection.execute("PRAGMA busy_timeout = 50")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await core.reload(configured(tmp_path, credential(), credential(name="c"), store_keys=KEYS[:1]))
    assert [NAME, "c"] == [one.config.name for one in core.health()]
    assert "not all tokens are encrypted with the first store_key" in caplog.text
    holder.close()
    async with asyncio.timeout(20):
        while await core.store.in_clear():
            await asyncio.sleep(0.02)


async def test_row_that_others_write_in_clear(core, tmp_path, open_store):
    """It is sealed within a moment."""
    elsewhere = await open_store()
    await core.reload(configured(tmp_path, credential(), credential(name="b"), store_keys=KEYS[:1]))
    await elsewhere._run(lambda: elsewhere._execute("DELETE FROM credential"))
    await elsewhere.write(record())
    async with asyncio.timeout(20):
        while await core.store.in_clear():
            await asyncio.sleep(0.02)
    assert record() == await core.store.read(NAME)


async def test_tokens_of_a_credential_that_is_gone_and_cannot_be_saved(core, vendor, tmp_path, monkeypatch):
    """They are kept as long as the proxy lives, and its end waits for them no longer than for others."""
    monkeypatch.setattr("proxy.credentials.saver._SAVE_AGAIN", 0.001)
    monkeypatch.setattr("proxy.credentials.saver._LAST_TRIES", 0.0)
    store = core.store
    write, tries, works = store.write, [], False

    async def fails(written):
        if written.generation > 1 and not works:
            tries.append(written)
            raise StoreError("the disk is full")
        await write(written)

    monkeypatch.setattr(store, "write", fails)
    await within(await rejected(core.keeper(NAME), vendor))
    await core.reload(configured(tmp_path, credential(name="b")))
    async with asyncio.timeout(20):
        while len(tries) < 30:
            await asyncio.sleep(0.001)
    assert 1 == len(core._leaving)
    works = True
    await within(asyncio.gather(*core._leaving))
    assert 2 == (await store.read(NAME)).generation


async def test_stop_while_tokens_of_a_credential_that_is_gone_cannot_be_saved(tmp_path, clock, vendor, monkeypatch):
    """It tells that they are lost, after a while."""
    monkeypatch.setattr("proxy.credentials.saver._SAVE_AGAIN", 0.001)
    monkeypatch.setattr("proxy.credentials.saver._LAST_TRIES", 0.01)
    async with open_core(configured(tmp_path, credential(), credential(name="b")), clock=clock) as core:
        core.exchange._endpoint = vendor
        await core.put(NAME, tokens(), Origin.IMPORT)
        write = core.store.write

        async def fails(written):
            if written.generation > 1:
                raise StoreError("the disk is full")
            await write(written)

        monkeypatch.setattr(core.store, "write", fails)
        await within(await rejected(core.keeper(NAME), vendor))
        await core.reload(configured(tmp_path, credential(name="b")))
        with pytest.raises(StoreError, match="are lost"):
            await within(core.stop())
