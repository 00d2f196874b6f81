"""Another configuration in the composition root: one that cannot be used has changed nothing when that is found."""

import json
from dataclasses import replace

import pytest

from proxy.app import running
from proxy.config import Config, load
from proxy.credentials.record import Origin, Tokens
from proxy.errors import BadTargetError
from proxy.secret import Secret

KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "c2l4dGVlbi1zaXh0ZWVuLXNpeHRlZW4tc2l4dGVlbi0="]
PROVIDER = {"upstream": "https://x.example", "token_url": "https://x.example/token", "client_auth": "none"}


@pytest.fixture
def configured(tmp_path):
    """Give the configuration of these credentials, with a route to each, and of these keys of the store."""

    def made(*names: str, keys: list[str]) -> Config:
        own = {
            "listen": "127.0.0.1:0",
            "admin": None,
            "store_key": keys,
            "providers": {"p": PROVIDER},
            "credentials": {name: {"provider": "p", "client_id": "id"} for name in names},
            "routes": [{"prefix": f"/{name}", "credential": name} for name in names],
        }
        (tmp_path / "config.yaml").write_text(json.dumps(own))
        return load(tmp_path / "config.yaml", {})[0]

    return made


async def test_routes_that_cannot_be_made(configured):
    """Credentials, routes and keys of the store are those of before, and the old configuration still opens it."""
    before, after = configured("a", "b", keys=KEYS[:1]), configured("a", "c", keys=KEYS[::-1])
    one = after.credentials["c"]
    spoilt = one.provider.model_copy(update={"oauth_paths": ("/a/../token",)})  # as no file can have it
    after = replace(after, credentials={**after.credentials, "c": replace(one, provider=spoilt)})
    async with running(before) as proxy:
        await proxy.core.put("a", Tokens(access_token=Secret("token")), Origin.IMPORT)
        with pytest.raises(BadTargetError):
            await proxy.reload(after)
        assert ["a", "b"] == [health.config.name for health in proxy.core.health()]
        assert 1 == (await proxy.core.store.read("a")).generation
        await proxy.reload(before)
