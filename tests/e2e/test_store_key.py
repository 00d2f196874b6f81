"""Tokens encrypted at rest, as a person sets it up: a key, none, the wrong one, and the way back."""

from __future__ import annotations

import asyncio
import json

import pytest

from proxy.sandbox import Sandbox
from tests.e2e.store_key import ALL, NAMES, A, B, C, changed, in_clear, kept, on_disk, sign_in, use
from tests.support.beside import until
from tests.support.processes import Proxy
from tests.support.site import call
from tests.support.vendor import Control


async def test_tokens_under_a_key(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """They are brought, used and renewed as ever, and nobody can read them on the disk."""
    use(bare_proxy, vendors, A)
    tokens = await sign_in(bare_proxy, vendors)
    assert 0 == in_clear(bare_proxy, tokens)
    await bare_proxy.start()
    assert [200] * 3 == [await call(bare_proxy, name) for name in NAMES]
    await Control(vendors, "onecloud").expire()
    assert 200 == await call(bare_proxy, "onecloud")
    assert 0 == (await bare_proxy.command("refresh", "readycloud")).code
    found = await kept(bare_proxy, A)
    assert [2, 1, 2] == [generation for generation, *_ in found]
    tokens += [token.encode() for _, *both in found for token in both if token]
    assert 0 == await bare_proxy.stop()
    assert 0 == in_clear(bare_proxy, tokens)


async def test_key_for_a_store_in_clear(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """`serve` encrypts all that is there when it starts, also while a command has left it open; generations stay."""
    use(bare_proxy, vendors)
    tokens = await sign_in(bare_proxy, vendors)
    assert 5 == in_clear(bare_proxy, tokens)
    before = await kept(bare_proxy)
    use(bare_proxy, vendors, A)
    await bare_proxy.start()
    await until(lambda: not in_clear(bare_proxy, tokens), "encrypted")
    assert before == await kept(bare_proxy, A)
    assert [200] * 3 == [await call(bare_proxy, name) for name in NAMES]


@pytest.mark.parametrize(
    ("keys", "words"),
    [((C,), "was written with another store_key: add that one"), ((), "are encrypted: set store_key to their key")],
    ids=["another key", "no key"],
)
async def test_wrong_key(bare_proxy: Proxy, vendors: Sandbox, keys: tuple[str, ...], words: str) -> None:
    """Every command says so in one sentence, exits 1, and leaves each byte of the store as it was."""
    use(bare_proxy, vendors, A)
    tokens = await sign_in(bare_proxy, vendors)
    use(bare_proxy, vendors, *keys)
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
    use(bare_proxy, vendors, A)
    await bare_proxy.start()
    assert 200 == await call(bare_proxy, "onecloud")
    assert 0 == in_clear(bare_proxy, tokens)


async def test_back_to_clear(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """`--decrypt` needs the key; afterwards nobody does."""
    use(bare_proxy, vendors, A)
    tokens = await sign_in(bare_proxy, vendors)
    done = await bare_proxy.command("store", "rekey", "--decrypt")
    assert ALL == changed(done)
    assert "take store_key out of the configuration" in done.out
    assert 5 == in_clear(bare_proxy, tokens)
    use(bare_proxy, vendors)
    assert [] == changed(await bare_proxy.command("store", "rekey", "--decrypt"))
    await bare_proxy.start()
    assert 200 == await call(bare_proxy, "onecloud")


async def test_rekey_without_a_key(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """It is a usage error that says what to set; nothing changes."""
    use(bare_proxy, vendors)
    tokens = await sign_in(bare_proxy, vendors)
    before = on_disk(bare_proxy.folder)
    for arguments in (("store", "rekey"), ("store",), ("store", "nonsense")):
        done = await bare_proxy.command(*arguments)
        assert (2, "") == (done.code, done.out)
    assert "config.yaml: store_key is not set" in (await bare_proxy.command("store", "rekey")).err
    assert before == on_disk(bare_proxy.folder)
    assert 5 == in_clear(bare_proxy, tokens)


async def test_rekey_without_a_store(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """It makes none."""
    use(bare_proxy, vendors, A)
    done = await bare_proxy.command("store", "rekey")
    assert (0, "there is no token store yet; it is made at the first sign-in\n") == (done.code, done.out)
    assert ["config.yaml"] == [path.name for path in bare_proxy.folder.iterdir()]


async def test_commands_that_encrypt_at_once(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """All of them end well, and each token is counted once."""
    use(bare_proxy, vendors)
    tokens = await sign_in(bare_proxy, vendors)
    use(bare_proxy, vendors, B, A)
    done = await asyncio.gather(*(bare_proxy.command("store", "rekey") for _ in range(3)))
    assert sorted(ALL) == sorted(line for one in done for line in changed(one))
    assert 0 == in_clear(bare_proxy, tokens)
