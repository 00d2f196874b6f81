"""A store with keys: its tokens are sealed, and what its keys cannot open is neither read nor written over."""

import base64
import sqlite3
import time
from dataclasses import replace

import pytest

from proxy.credentials import policy
from proxy.credentials.record import Record
from proxy.errors import StoreError
from proxy.secret import Secret

from .conftest import NAME, NOW, record, tokens

A, B, C = (Secret(base64.urlsafe_b64encode(bytes([number]) * 32).decode()) for number in (1, 2, 3))
ANOTHER, NONE = "was written with another store_key", r"are encrypted: set store_key to their key"


def do(path, statement, *values):
    """Do to the file what only somebody without its keys would."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "kept", [record(generation=7), policy.logged_out(record(), NOW), Record(name=NAME), record(refresh_token=None)]
)
async def test_record_under_a_key(opened, path, kept):
    """It comes back as it was; its tokens are in the file as sealed text alone."""
    await (await opened(A)).write(kept)
    assert kept == await (await opened(B, A)).read(NAME)
    ((access, refresh, sealed),) = do(path, "SELECT access_token, refresh_token, sealed FROM credential")
    assert (None, None) == (access, refresh)
    assert "refresh-0" not in sealed


async def test_record_in_clear_while_there_is_a_key(opened):
    """It is read; when it is written again it is sealed."""
    await (await opened()).write(record())
    store = await opened(A)
    assert record() == await store.read(NAME)
    await store.write(record(generation=2))
    with pytest.raises(StoreError, match=NONE):
        await opened()
    assert record(generation=2) == await store.read(NAME)


@pytest.mark.parametrize(("keys", "message"), [((B,), ANOTHER), ((B, C), ANOTHER), ((), NONE)], ids=["B", "B, C", "no"])
async def test_store_that_others_keys_sealed(opened, path, keys, message):
    """It is not opened, not one byte changes, and the message says what to do and tells no key."""
    store = await opened(A)
    await store.write(record())
    await store.write(record(name="other"))
    await store.close()
    before = {found.name: found.read_bytes() for found in path.parent.iterdir()}
    with pytest.raises(StoreError, match=message) as caught:
        await opened(*keys)
    assert before == {found.name: found.read_bytes() for found in path.parent.iterdir()}
    assert str(path) in str(caught.value)
    assert not any(key.reveal()[:8] in str(caught.value) for key in (A, B, C))


async def test_one_row_that_is_sealed_by_another_key(opened):
    """It is enough to refuse the store, also where the row holds no tokens."""
    await (await opened()).write(record())
    await (await opened(A)).write(policy.logged_out(record(name="other"), NOW))
    for keys, message in (((B,), ANOTHER), ((), NONE)):
        with pytest.raises(StoreError, match=message):
            await opened(*keys)


async def changed(opened, keys=(A,)):
    """Give a store with `keys` that was open while another process encrypted everything with key B."""
    store = await opened(*keys)
    await store.write(record(generation=7))
    other = await opened(B, A)
    await other.encrypt_all()
    return store, other


@pytest.mark.parametrize(("keys", "message"), [((A,), ANOTHER), ((), NONE)], ids=["another key", "no key"])
async def test_key_that_changes_while_a_store_is_open(opened, keys, message):
    """Whoever lacks the new one reads and writes nothing any more, of no credential; what is there stays."""
    store, other = await changed(opened, keys)
    for work in (
        lambda: store.read(NAME),
        lambda: store.write(record(generation=8)),
        lambda: store.write(record(name="new")),
        lambda: store.write_guard(NAME, 7, 99.0),
        lambda: store.write_rejected(NAME, 7, True),
        lambda: store.write_org_pk(NAME, 7, "7kQ2f"),
    ):
        with pytest.raises(StoreError, match=message):
            await work()
    assert record(generation=7) == await other.read(NAME)
    assert Record(name="new") == await other.read("new")


async def test_store_that_hears_of_the_new_key(opened):
    """It goes on, and seals with it."""
    store, other = await changed(opened)
    await store.use_keys([B, A])
    await store.write(record(generation=8))
    assert record(generation=8) == await other.read(NAME)
    assert record(generation=8) == await (await opened(B)).read(NAME)


@pytest.mark.parametrize(("keys", "message"), [((C,), ANOTHER), ((), NONE)], ids=["another key", "no key"])
async def test_keys_that_do_not_fit(opened, keys, message):
    """They are refused, and those of before stay."""
    store = await opened(A)
    await store.write(record())
    with pytest.raises(StoreError, match=message):
        await store.use_keys(keys)
    await store.write(record(generation=2))
    assert record(generation=2) == await store.read(NAME)


async def test_first_key_for_a_store_in_clear(opened):
    """It is taken; from then on what is written is sealed."""
    store = await opened()
    await store.write(record())
    await store.use_keys([A])
    assert record() == await store.read(NAME)
    await store.write(record())
    with pytest.raises(StoreError, match=NONE):
        await opened()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE credential SET sealed = substr(sealed, 1, 60)",
        "UPDATE credential SET sealed = NULL",
        "UPDATE credential SET sealed = 'CANARY'",
        "UPDATE credential SET generation = 8 WHERE name = 'acme'",
        "UPDATE credential SET sealed = (SELECT sealed FROM credential WHERE name = 'other') WHERE name = 'acme'",
        "UPDATE credential SET name = 'else' WHERE name = 'acme'",
    ],
    ids=["cut", "gone", "text", "of another generation", "of another credential", "under another name"],
)
async def test_damage_under_the_right_key(opened, path, damage):
    """It is no wrong key, and is told as damage: when it is met in an open store, and when one is opened."""
    store = await opened(A)
    for name in (NAME, "other"):
        await store.write(record(name=name, generation=7))
    do(path, damage)
    met = "else" if "'else'" in damage else NAME
    before = do(path, "SELECT * FROM credential")
    for work in (
        lambda: store.read(met),
        lambda: store.write(record(name=met, generation=9)),
        lambda: store.use_keys([A]),
        lambda: store.use_keys([B, A]),
        lambda: opened(A),
    ):
        with pytest.raises(StoreError, match=rf"holds of {met} is damaged, .* put back a good copy") as caught:
            await work()
        assert "CANARY" not in str(caught.value)
    assert before == do(path, "SELECT * FROM credential")


async def test_sealed_text_that_somebody_calls_clear(opened, path):
    """It is never taken for a token."""
    store = await opened(A)
    await store.write(record())
    do(path, "UPDATE credential SET sealed_by = NULL")
    found = await store.read(NAME)
    assert (None, None) == (found.access_token, found.refresh_token)


async def test_earlier_version_that_is_still_running(opened, path):
    """Its statements put no tokens in clear beside sealed ones: they fail, and it keeps them."""
    store = await opened(A)
    await store.write(record())
    for column in ("access_token", "refresh_token"):
        with pytest.raises(sqlite3.IntegrityError):
            do(path, f"UPDATE credential SET {column} = 'clear', generation = generation + 1")
    assert record() == await store.read(NAME)


async def test_write_that_fails_in_its_midst(opened, monkeypatch):
    """Nothing of it is done, and the store can be used at once."""
    store = await opened(A)
    await store.write(record())
    with pytest.raises(StoreError, match="cannot be used"):
        await store.write(record(scope=None))
    assert record() == await store.read(NAME)
    await store.write(replace(record(), generation=2))


async def test_a_hundred_credentials(opened):
    """Opening them costs nobody a noticeable moment."""
    store = await opened(A)
    for number in range(100):
        await store.write(replace(record(), name=f"c{number}", access_token=tokens(access="x" * 1000).access_token))
    began = time.perf_counter()
    await opened(C, B, A)
    assert time.perf_counter() - began < 0.5
