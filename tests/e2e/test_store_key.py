"""Tokens encrypted at rest, as a person sets it up: a key, another key, none, and the wrong one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.credentials.cipher import Cipher
from proxy.credentials.store import Store
from proxy.sandbox import Sandbox
from proxy.secret import Secret
from tests.support.beside import until
from tests.support.processes import Done, Proxy, sandbox_config
from tests.support.site import call
from tests.support.vendor import Control

A, B, C = (base64.b64encode(bytes([number]) * 32).decode() for number in (3, 4, 5))
NAMES = ["readycloud", "cloud66", "onecloud"]
ALL = ["readycloud: 2 tokens", "cloud66: 1 token", "onecloud: 2 tokens"]

Use = Callable[..., None]


@pytest.fixture
def use(bare_proxy: Proxy, vendors: Sandbox) -> Use:
    """Write the configuration with these store keys."""

    def write(*keys: str) -> None:
        bare_proxy.configure(sandbox_config(vendors, f"store_key: {json.dumps(keys)}" if keys else ""))

    return write


@pytest.fixture
async def second(bare_proxy: Proxy) -> AsyncIterator[Proxy]:
    """Another serve of the same folder and store, not started yet."""
    proxy = Proxy(bare_proxy.folder)
    yield proxy
    if proxy.process is not None:
        await proxy.kill()


async def sign_in(proxy: Proxy, vendors: Sandbox) -> list[bytes]:
    """Bring tokens for all, and give them."""
    given = []
    for name in NAMES:
        tokens = vendors.grant(name)
        await proxy.bring_tokens(name, tokens)
        given += [str(tokens[key]).encode() for key in ("access_token", "refresh_token") if key in tokens]
    return given


def on_disk(folder: Path) -> bytes:
    """All that is kept of tokens: the store, and what is beside it."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("tokens.db*")))


def written(folder: Path) -> bytes:
    """All that a writer would change: not SQLite's index of the log, where readers put marks."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("tokens.db*")) if path.suffix != ".db-shm")


def in_clear(proxy: Proxy, tokens: list[bytes]) -> int:
    """How many of these tokens anybody can read who can read the disk, or the log."""
    return sum(token in on_disk(proxy.folder) + proxy.log.encode() for token in tokens)


async def kept(proxy: Proxy, *keys: str) -> list[list[Any]]:
    """What is stored of all credentials, for whoever has these keys: generation, access token, refresh token."""
    store = await Store.open(
        proxy.folder / "tokens.db", [Secret(key.replace("+", "-").replace("/", "_")) for key in keys]
    )
    try:
        records = [await store.read(name) for name in NAMES]
    finally:
        await store.close()
    return [
        [one.generation, *(token and token.reveal() for token in (one.access_token, one.refresh_token))]
        for one in records
    ]


def changed(done: Done) -> list[str]:
    """What `store rekey` says that it has changed."""
    assert (0, "") == (done.code, done.err), done.err
    return [line.partition(", now ")[0] for line in done.out.splitlines() if ", now " in line]


def sealed_by(proxy: Proxy, key: str) -> bool:
    """Whether anything is, or was, by what stands on the disk."""
    return str(Cipher([Secret(key)]).key_id).encode() in on_disk(proxy.folder)


def generation(proxy: Proxy, name: str) -> int:
    """The generation that is stored of a credential, under whatever key."""
    with contextlib.closing(sqlite3.connect(proxy.folder / "tokens.db")) as connection:
        query = "SELECT generation FROM credential WHERE name = ?"
        return int(connection.execute(query, (name,)).fetchone()[0])


async def test_tokens_under_a_key(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """They are brought, used and renewed as ever, and nobody can read them on the disk."""
    use(A)
    tokens = await sign_in(bare_proxy, vendors)
    assert 0 == in_clear(bare_proxy, tokens)
    await bare_proxy.start()
    for name in NAMES:
        assert 200 == await call(bare_proxy, name)
    await Control(vendors, "onecloud").expire()
    assert 200 == await call(bare_proxy, "onecloud")
    assert 0 == (await bare_proxy.command("refresh", "readycloud")).code
    found = await kept(bare_proxy, A)
    assert [2, 1, 2] == [generation for generation, *_ in found]
    tokens += [token.encode() for _, *both in found for token in both if token]
    assert 0 == await bare_proxy.stop()
    assert 0 == in_clear(bare_proxy, tokens)


async def test_key_for_a_store_in_clear(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """`serve` encrypts all that is there when it starts, also while a command has left it open; generations stay."""
    use()
    tokens = await sign_in(bare_proxy, vendors)
    assert 5 == in_clear(bare_proxy, tokens)
    before = await kept(bare_proxy)
    use(A)
    await bare_proxy.start()
    await until(lambda: not in_clear(bare_proxy, tokens), "encrypted")
    assert before == await kept(bare_proxy, A)
    for name in NAMES:
        assert 200 == await call(bare_proxy, name)


async def test_another_key_beside_a_running_serve(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """With both keys nobody notices; afterwards the new one is enough, and the old one opens nothing."""
    use(A)
    await sign_in(bare_proxy, vendors)
    use(B, A)
    await bare_proxy.start()
    await until(lambda: not sealed_by(bare_proxy, A), "sealed by the new key")
    use(A, B)
    assert ALL == changed(await bare_proxy.command("store", "rekey"))
    use(B, A)
    assert ALL == changed(await bare_proxy.command("store", "rekey"))
    assert [] == changed(await bare_proxy.command("store", "rekey"))
    before = await kept(bare_proxy, B)
    assert [1, 1, 1] == [generation for generation, *_ in before]
    for name in NAMES:
        assert 200 == await call(bare_proxy, name)
        assert 0 == (await Control(vendors, name).state())["exchanges"]
    await Control(vendors, "onecloud").expire()
    assert 200 == await call(bare_proxy, "onecloud")
    assert 0 == await bare_proxy.stop()
    use(B)
    await bare_proxy.start()
    for name in NAMES:
        assert 200 == await call(bare_proxy, name)
    assert [1, 1, 2] == [generation for generation, *_ in await kept(bare_proxy, B)]
    use(A)
    assert 1 == (await bare_proxy.command("status")).code


@pytest.mark.parametrize(
    ("keys", "words"),
    [((C,), "was written with another store_key: add that one"), ((), "are encrypted: set store_key to their key")],
    ids=["another key", "no key"],
)
async def test_wrong_key(bare_proxy: Proxy, vendors: Sandbox, use: Use, keys: tuple[str, ...], words: str) -> None:
    """Every command says so in one sentence, exits 1, and leaves each byte of the store as it was."""
    use(A)
    tokens = await sign_in(bare_proxy, vendors)
    use(*keys)
    before = on_disk(bare_proxy.folder)
    commands: list[tuple[tuple[str, ...], str]] = [
        (("serve",), ""),
        (("status",), ""),
        (("import", "onecloud"), json.dumps(vendors.grant("onecloud"))),
        (("login", "readycloud", "--no-browser", "--paste"), "http://127.0.0.1/callback#access_token=x"),
        (("store", "rekey", *([] if keys else ["--decrypt"])), ""),
    ]
    for arguments, typed in commands:
        done = await bare_proxy.command(*arguments, stdin=typed)
        assert 1 == done.code, arguments
        assert words in done.err, arguments
        assert "Traceback" not in done.err
        assert not any(secret.encode() in (done.out + done.err).encode() for secret in (A, C))
        assert before == on_disk(bare_proxy.folder), arguments
    done = await bare_proxy.command("doctor")
    assert 1 == done.code
    assert words in done.out
    assert "store_key to the key of its tokens" in done.out
    assert before == on_disk(bare_proxy.folder)
    use(A)
    await bare_proxy.start()
    assert 200 == await call(bare_proxy, "onecloud")
    assert 0 == in_clear(bare_proxy, tokens)


async def test_key_that_changes_behind_a_running_serve(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """It goes on with the token at hand, exchanges nothing that it could not store, and says why."""
    use(A)
    await sign_in(bare_proxy, vendors)
    await bare_proxy.start()
    use(B, A)
    assert ALL == changed(await bare_proxy.command("store", "rekey"))
    await until(lambda: "was written with another store_key" in bare_proxy.log, "heard")
    before = written(bare_proxy.folder)
    assert 200 == await call(bare_proxy, "onecloud")
    await Control(vendors, "onecloud").expire()
    assert 503 == await call(bare_proxy, "onecloud")
    assert 0 == (await Control(vendors, "onecloud").state())["exchanges"]
    assert before == written(bare_proxy.folder)
    assert 0 == await bare_proxy.stop()
    await bare_proxy.start()
    assert 200 == await call(bare_proxy, "onecloud")


@pytest.mark.parametrize("how", ["rekey", "second serve"])
@pytest.mark.parametrize("keys", [(A,), ()], ids=["another key", "first key"])
async def test_another_key_during_an_exchange(
    bare_proxy: Proxy, vendors: Sandbox, use: Use, second: Proxy, how: str, keys: tuple[str, ...]
) -> None:
    """What the exchange brings is saved at once by the serve that made it, and sealed by the new key afterwards."""
    use(*keys)
    await sign_in(bare_proxy, vendors)
    await bare_proxy.start()
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(call(bare_proxy, "onecloud"))
    await control.wait("stalled", 1)
    second.configure(sandbox_config(vendors, f"store_key: {json.dumps((B, *keys))}"))
    if how == "rekey":
        done = asyncio.create_task(bare_proxy.command("store", "rekey"))
    else:
        await second.start()
    await until(lambda: sealed_by(bare_proxy, B), "others are sealed")
    await control.release()
    assert 200 == await waiting
    await until(lambda: 2 == generation(bare_proxy, "onecloud"), "saved")
    await bare_proxy.kill()
    assert "in memory only" not in bare_proxy.log
    if how == "rekey":
        assert sorted(ALL) == sorted(changed(await done))
        await second.start()
    assert 200 == await call(second, "onecloud")
    assert 0 == (await second.command("refresh", "onecloud")).code
    await until(lambda: not keys or not sealed_by(bare_proxy, A), "all sealed by the new key")
    assert [1, 1, 3] == [number for number, *_ in await kept(bare_proxy, B)]


async def test_command_without_the_key_beside_a_serve(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """What it puts in clear into a store that was empty is encrypted at once, and nothing else of it is left."""
    use(A)
    await bare_proxy.start()
    use()
    tokens = vendors.grant("onecloud")
    await bare_proxy.bring_tokens("onecloud", tokens)
    both = [str(tokens[key]).encode() for key in ("access_token", "refresh_token")]
    await until(lambda: not in_clear(bare_proxy, both), "encrypted")
    assert 200 == await call(bare_proxy, "onecloud")


async def test_back_to_clear(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """`--decrypt` needs the key; afterwards nobody does."""
    use(A)
    tokens = await sign_in(bare_proxy, vendors)
    done = await bare_proxy.command("store", "rekey", "--decrypt")
    assert ALL == changed(done)
    assert "take store_key out of the configuration" in done.out
    assert 5 == in_clear(bare_proxy, tokens)
    use()
    assert [] == changed(await bare_proxy.command("store", "rekey", "--decrypt"))
    await bare_proxy.start()
    assert 200 == await call(bare_proxy, "onecloud")


async def test_rekey_without_a_key(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """It is a usage error that says what to set; nothing changes."""
    use()
    tokens = await sign_in(bare_proxy, vendors)
    before = on_disk(bare_proxy.folder)
    for arguments in (("store", "rekey"), ("store",), ("store", "nonsense")):
        done = await bare_proxy.command(*arguments)
        assert (2, "") == (done.code, done.out)
    assert "config.yaml: store_key is not set" in (await bare_proxy.command("store", "rekey")).err
    assert before == on_disk(bare_proxy.folder)
    assert 5 == in_clear(bare_proxy, tokens)


async def test_rekey_without_a_store(bare_proxy: Proxy, use: Use) -> None:
    """It makes none."""
    use(A)
    done = await bare_proxy.command("store", "rekey")
    assert (0, "there is no token store yet; it is made at the first sign-in\n") == (done.code, done.out)
    assert ["config.yaml"] == [path.name for path in bare_proxy.folder.iterdir()]


async def test_commands_that_encrypt_at_once(bare_proxy: Proxy, vendors: Sandbox, use: Use) -> None:
    """All of them end well, and each token is counted once."""
    use()
    tokens = await sign_in(bare_proxy, vendors)
    use(B, A)
    done = await asyncio.gather(*(bare_proxy.command("store", "rekey") for _ in range(3)))
    assert sorted(ALL) == sorted(line for one in done for line in changed(one))
    assert 0 == in_clear(bare_proxy, tokens)
