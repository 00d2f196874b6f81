"""Records, a clock that only tests move, and keepers on real stores before vendors and disks that fail when told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from proxy.config import CredentialConfig, Limits, Provider
from proxy.credentials import policy
from proxy.credentials.keeper import Keeper
from proxy.credentials.organization import Organization
from proxy.credentials.policy import Terms
from proxy.credentials.record import Origin, Record, Tokens
from proxy.credentials.store import Store
from proxy.secret import Secret

from .fakes import FaultyStore, Vendor

T = TypeVar("T")

NOW = 1_800_000_000.0
NAME = "acme"
GUARD = 30.0
ROOT = Path(__file__).parents[2]
HOLDER = """
import asyncio, sys
from pathlib import Path
from proxy.credentials.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]))
    async with store.lock("acme"):
        print("held", flush=True)
        sys.stdin.readline()
    await store.close()
    print("released", flush=True)

asyncio.run(main())
"""  # another process, which holds the lock until it reads a line
PATIENCE = 20.0  # seconds after which a test that waits for an event fails instead of hanging


def provider(**changes: Any) -> Provider:
    return Provider(**{"upstream": "https://api.acme.example", "token_url": "https://acme.example/token", **changes})


def credential(**changes: Any) -> CredentialConfig:
    """Give a credential; keys that are a provider's change its provider."""
    ours = {key: changes.pop(key) for key in list(changes) if key in Provider.model_fields}
    fields = {"name": NAME, "client_id": "our-id", "client_secret": Secret("our-secret"), **changes}
    return CredentialConfig(provider=provider(**ours), **fields)


def terms(forgiven: float | None = None, **changes: Any) -> Terms:
    return replace(Terms.of(credential(**changes), GUARD), forgiven=forgiven)


def tokens(refresh: str | None = "refresh-0", access: str | None = "access", expires_in: float | None = None) -> Tokens:
    return Tokens(
        access_token=None if access is None else Secret(access),
        refresh_token=None if refresh is None else Secret(refresh),
        expires_in=expires_in,
    )


def record(
    origin: Origin = Origin.IMPORT, now: float = NOW, *, expires_in: float | None = None, **fields: Any
) -> Record:
    """Give a record as it is after tokens of `origin` came at `now`."""
    made = policy.accepted(Record(name=NAME), tokens(expires_in=expires_in), origin, now)
    return replace(made, **fields)


async def within(work: Awaitable[T]) -> T:
    """Wait for `work`, but not for ever."""
    async with asyncio.timeout(PATIENCE):
        return await work


class Clock:
    """Epoch seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
async def open_store(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[FaultyStore]]]:
    """Open one file again and again, each time as another process would."""
    opened: list[FaultyStore] = []

    async def open_one() -> FaultyStore:
        store = await FaultyStore.open(tmp_path / "tokens.db")
        assert isinstance(store, FaultyStore)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store) -> FaultyStore:
    """Give a store that holds tokens which were imported just now."""
    one: FaultyStore = await open_store()
    await one.write(record())
    return one


@pytest.fixture
async def keep(clock, vendor) -> AsyncIterator[Callable[..., Awaitable[Keeper]]]:
    """Make keepers on a store, as after a start; they are stopped at the end."""
    kept: list[Keeper] = []

    async def make(store: Store, *, exchange_timeout: float = 20.0, chance: float = 0.5, **changes: Any) -> Keeper:
        limits = Limits(renewal_guard=GUARD, exchange_timeout=exchange_timeout)
        keeper = Keeper(credential(**changes), store, vendor, limits, clock=clock, chance=lambda: chance)
        kept.append(keeper)
        await keeper.load()
        return keeper

    yield make
    vendor.gate.set()
    for keeper in kept:
        await within(keeper.stop())


@pytest.fixture
async def keeper(keep, store) -> Keeper:
    made: Keeper = await keep(store)
    return made


def listing(*keys: str) -> tuple[int, bytes]:
    """Give the answer that lists organizations of these keys."""
    return 200, json.dumps({"results": [{"url": f"/{key}/", "name": f"N{key}"} for key in keys]}).encode()


class OrgVendor:
    """Gives `answers` first, then the list of organizations of `keys`; counts what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes] | Exception] = []
        self.keys = ["7kQ2f"]
        self.asked = 0
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, _config: CredentialConfig, token: Secret) -> tuple[int, bytes]:
        assert "access" == token.reveal()
        self.asked += 1
        self.entered.set()
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else listing(*self.keys)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def orgs() -> OrgVendor:
    return OrgVendor()


@pytest.fixture
async def find(orgs, clock) -> AsyncIterator[Callable[[Keeper], Organization]]:
    """Make an organization of a keeper; it is stopped at the end."""
    made: list[Organization] = []

    def make(keeper: Keeper) -> Organization:
        made.append(Organization(keeper, orgs, clock=clock))
        return made[-1]

    yield make
    orgs.gate.set()
    for one in made:
        await within(one.stop())


@pytest.fixture
async def organization(find, keeper) -> Organization:
    found: Organization = find(keeper)
    return found


async def over(organization: Organization) -> None:
    """Wait until the look-up under way is over."""
    flight = organization._under_way()
    if flight is not None:
        await within(asyncio.wait([flight]))


async def stored(keeper: Keeper, open_store: Callable[[], Awaitable[Store]]) -> str:
    """Give what is in the store once all is written."""
    await keeper._seen.settle()
    return (await (await open_store()).read(NAME)).org_pk


@contextlib.asynccontextmanager
async def script(text: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python `text` as another process that can import the proxy; it is killed at the end, and never measured."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, *map(str, arguments), cwd=ROOT, env=unmeasured, stdin=-1, stdout=-1
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    """Give the next line that the process prints, and nothing once it has ended."""
    assert process.stdout is not None
    return (await within(process.stdout.readline())).decode().strip()


def tell(process: asyncio.subprocess.Process) -> None:
    """Give the process the line that it waits for."""
    assert process.stdin is not None
    process.stdin.write(b"\n")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


@pytest.fixture
async def opened(path):
    """Open the file with keys, again and again, each time as another process would."""
    stores = []

    async def open_one(*keys):
        stores.append(await Store.open(path, keys))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()
