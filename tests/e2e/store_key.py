"""A store under a key, from without: what anybody can read on the disk, and what those can who have the key."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from proxy.credentials.cipher import Cipher
from proxy.credentials.store import Store
from proxy.sandbox import Sandbox
from proxy.secret import Secret
from tests.support.processes import Done, Proxy, sandbox_config

A, B, C = (base64.b64encode(bytes([number]) * 32).decode() for number in (3, 4, 5))
NAMES = ["readycloud", "cloud66", "onecloud"]
ALL = ["readycloud: 2 tokens", "cloud66: 1 token", "onecloud: 2 tokens"]


def use(proxy: Proxy, vendors: Sandbox, *keys: str) -> None:
    """Write the configuration with these store keys."""
    proxy.configure(sandbox_config(vendors, f"store_key: {json.dumps(keys)}" if keys else ""))


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
