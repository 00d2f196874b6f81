"""Store keys that change while a proxy runs: nobody notices, or it is said; no token is lost, none is left in clear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.sandbox import Sandbox
from tests.e2e.store_key import ALL, NAMES, A, B, changed, in_clear, kept, sealed_by, sign_in, use
from tests.support.beside import until
from tests.support.processes import Proxy
from tests.support.site import call, stored
from tests.support.vendor import Control


@pytest.fixture
async def second(bare_proxy: Proxy) -> AsyncIterator[Proxy]:
    """Another serve of the same folder and store, not started yet."""
    proxy = Proxy(bare_proxy.folder)
    yield proxy
    if proxy.process is not None:
        await proxy.kill()


def written(folder: Path) -> bytes:
    """All that a writer would change: not SQLite's index of the log, where readers put marks."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("tokens.db*")) if path.suffix != ".db-shm")


async def test_another_key_beside_a_running_serve(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """With both keys nobody notices; afterwards the new one is enough, and the old one opens nothing."""
    use(bare_proxy, vendors, A)
    await sign_in(bare_proxy, vendors)
    use(bare_proxy, vendors, B, A)
    await bare_proxy.start()
    await until(lambda: not sealed_by(bare_proxy, A), "sealed by the new key")
    use(bare_proxy, vendors, A, B)
    assert ALL == changed(await bare_proxy.command("store", "rekey"))
    use(bare_proxy, vendors, B, A)
    assert ALL == changed(await bare_proxy.command("store", "rekey"))
    assert [] == changed(await bare_proxy.command("store", "rekey"))
    before = await kept(bare_proxy, B)
    assert [1, 1, 1] == [generation for generation, *_ in before]
    assert [200] * 3 == [await call(bare_proxy, name) for name in NAMES]
    assert [0] * 3 == [(await Control(vendors, name).state())["exchanges"] for name in NAMES]
    await Control(vendors, "onecloud").expire()
    assert 200 == await call(bare_proxy, "onecloud")
    assert 0 == await bare_proxy.stop()
    use(bare_proxy, vendors, B)
    await bare_proxy.start()
    assert [200] * 3 == [await call(bare_proxy, name) for name in NAMES]
    assert [1, 1, 2] == [generation for generation, *_ in await kept(bare_proxy, B)]
    use(bare_proxy, vendors, A)
    assert 1 == (await bare_proxy.command("status")).code


async def test_key_that_changes_behind_a_running_serve(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """It goes on with the token at hand, exchanges nothing that it could not store, and says why."""
    use(bare_proxy, vendors, A)
    await sign_in(bare_proxy, vendors)
    await bare_proxy.start()
    use(bare_proxy, vendors, B, A)
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
    bare_proxy: Proxy, vendors: Sandbox, second: Proxy, how: str, keys: tuple[str, ...]
) -> None:
    """What the exchange brings is saved at once by the serve that made it, and sealed by the new key afterwards."""
    use(bare_proxy, vendors, *keys)
    await sign_in(bare_proxy, vendors)
    await bare_proxy.start()
    control = Control(vendors, "onecloud")
    await control.fault(on="token", fault="stall", when="after")
    await control.expire()
    waiting = asyncio.create_task(call(bare_proxy, "onecloud"))
    await control.wait("stalled", 1)
    use(second, vendors, B, *keys)
    if how == "rekey":
        done = asyncio.create_task(bare_proxy.command("store", "rekey"))
    else:
        await second.start()
    await until(lambda: sealed_by(bare_proxy, B), "others are sealed")
    await control.release()
    assert 200 == await waiting
    await until(lambda: 2 == stored(bare_proxy, "onecloud")[0], "saved")
    await bare_proxy.kill()
    assert "in memory only" not in bare_proxy.log
    if how == "rekey":
        assert sorted(ALL) == sorted(changed(await done))
        await second.start()
    assert 200 == await call(second, "onecloud")
    assert 0 == (await second.command("refresh", "onecloud")).code
    await until(lambda: not keys or not sealed_by(bare_proxy, A), "all sealed by the new key")
    assert [1, 1, 3] == [number for number, *_ in await kept(bare_proxy, B)]


async def test_command_without_the_key_beside_a_serve(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """What it puts in clear into a store that was empty is encrypted at once, and nothing else of it is left."""
    use(bare_proxy, vendors, A)
    await bare_proxy.start()
    use(bare_proxy, vendors)
    tokens = vendors.grant("onecloud")
    await bare_proxy.bring_tokens("onecloud", tokens)
    both = [str(tokens[key]).encode() for key in ("access_token", "refresh_token")]
    await until(lambda: not in_clear(bare_proxy, both), "encrypted")
    assert 200 == await call(bare_proxy, "onecloud")
