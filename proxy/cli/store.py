"""The commands for the file that tokens are kept in, whatever credentials they are of."""

from __future__ import annotations

import argparse
import sys

from ..config import Config
from ..credentials.store import Recast, Store
from ..errors import ConfigError
from .shared import configuration, to_the_end


def add_rekey_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `store rekey`."""
    parser.add_argument("--decrypt", action="store_true", help="write all tokens in clear, to go on without store_key")


def rekey(options: argparse.Namespace) -> int:
    """Encrypt all tokens with the first store_key, or write them in clear; beside a running `serve` too."""
    config = configuration(options, about="")
    if not config.store_keys and not options.decrypt:
        raise ConfigError(
            [f"{config.path}: store_key is not set: set it to a key, such as `openssl rand -base64 32` prints"]
        )
    if not config.store.exists():
        print("there is no token store yet; it is made at the first sign-in")
        return 0
    recast = to_the_end(_recast(config, decrypt=options.decrypt))
    how = "in clear" if options.decrypt else "encrypted with the first store_key"
    for name, count in recast.tokens.items():
        print(f"{name}: {count} token{'' if count == 1 else 's'}, now {how}")
    if not recast.tokens:
        print(f"nothing to change: what is stored is {how} already")
    if options.decrypt and config.store_keys:
        print("take store_key out of the configuration; until it is restarted, serve encrypts what it stores")
    elif len(config.store_keys) > 1:
        print("once every serve has the first store_key, the others are needed for copies of the store only")
    if recast.remains:
        print(f"warning: {recast.remains}", file=sys.stderr)
    return 1 if recast.remains else 0


async def _recast(config: Config, *, decrypt: bool) -> Recast:
    store = await Store.open(config.store, config.store_keys)
    try:
        return await (store.decrypt_all() if decrypt else store.encrypt_all())
    finally:
        await store.close()
