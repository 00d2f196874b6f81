"""The commands for the file that tokens are kept in, whatever credentials they are of."""

from __future__ import annotations

import argparse
import sys

from ..config import Config
from ..credentials.recasting import Recast
from ..credentials.store import Store
from ..errors import ConfigError
from .printing import printable
from .shared import configuration, to_the_end

_LOCK_GRACE = 5.0  # seconds beyond an exchange's own time that it is waited for


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
        print(f"{printable(name)}: {count} token{'' if count == 1 else 's'}, now {how}")
    if not recast.tokens and not recast.remains:
        print(f"nothing to change: what is stored is {how} already")
    if options.decrypt and config.store_keys:
        print("take store_key out of the configuration before serve starts again: one that has it encrypts all at once")
    elif len(config.store_keys) > 1:
        print("a serve that has not read the first store_key yet renews nothing: send it SIGHUP")
        print("then the others are needed for copies of the store only, such as backups")
    if recast.remains:
        print(f"warning: {printable(recast.remains)}", file=sys.stderr)
    return 1 if recast.remains else 0


async def _recast(config: Config, *, decrypt: bool) -> Recast:
    store = await Store.open(config.store, config.store_keys)
    try:
        within = config.limits.exchange_timeout + _LOCK_GRACE
        return await (store.decrypt_all(within) if decrypt else store.encrypt_all(within))
    finally:
        await store.close()
