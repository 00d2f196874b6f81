"""Another configuration while exchanges, writes and sign-ins are under way: nothing is lost, mixed up or overheard."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from proxy.config import Callers, Config, Limits
from proxy.credentials import policy
from proxy.credentials.answers import Refused, Uncertain
from proxy.credentials.core import open_core
from proxy.credentials.policy import fingerprint
from proxy.credentials.record import Origin, TroubleKind
from proxy.errors import LoginRequiredError, NotConfiguredError, RenewalDelayedError, StoreError
from proxy.secret import Secret

from .conftest import NAME, credential, record, tokens, within

REFUSED = Refused(TroubleKind.CLIENT, "invalid_client")
OTHER_SECRET = {"client_secret": Secret("another-secret")}
KEYS = tuple(Secret(letter * 43 + "=") for letter in "AE")


def configured(folder, *credentials, **changes):
    """Give a configuration of these credentials."""
    made = Config(
        path=folder / "config.yaml",
        listen=(),
        admin=(),
        store=folder / "tokens.db",
        spool_dir=folder,
        callers=Callers(),
        credentials={one.name: one for one in credentials},
        routes=(),
        limits=Limits(),
    )
    return replace(made, **changes)


@asynccontextmanager
async def core_of_two(folder, clock, vendor):
    """Run a core with tokens for two credentials."""
    async with open_core(configured(folder, credential(), credential(name="b")), clock=clock) as opened:
        opened.exchange._endpoint = vendor
        for name in (NAME, "b"):
            await opened.put(name, tokens(), Origin.IMPORT)
        opened.start()
        yield opened


@pytest.fixture
async def core(tmp_path, clock, vendor):
    """Give a core with tokens for two credentials, whose vendor is behind a gate."""
    async with core_of_two(tmp_path, clock, vendor) as opened:
        yield opened
        vendor.gate.set()


async def rejected(keeper, vendor):
    """Have the token rejected; give who waits for a newer one, once the exchange has begun."""
    vendor.entered.clear()
    waiting = asyncio.create_task(keeper.replace(keeper.health().record.generation))
    await within(vendor.entered.wait())
    return waiting


async def test_refusal_of_the_client_of_before(keeper, vendor):
    """It is the old secret's, and who waits is served by an exchange with the new one."""
    vendor.gate.clear()
    vendor.answers = [REFUSED]
    old = fingerprint(keeper.config)
    waiting = await rejected(keeper, vendor)
    keeper.reconfigure(credential(**OTHER_SECRET))
    seen: list[str] = []
    vendor.before = lambda: note(seen, keeper)
    vendor.gate.set()
    assert 2 == (await within(waiting)).generation
    assert [old] == seen
    assert ["refresh-0", "refresh-0"] == vendor.sent


async def note(seen, keeper):
    """Write down whose refusal is remembered."""
    seen.append(keeper.health().record.trouble.fingerprint)


async def test_refusal_where_nothing_has_changed(keeper, vendor):
    """It stays in force: the client is the same."""
    vendor.answers = [REFUSED]
    with pytest.raises(LoginRequiredError):
        await keeper.replace(1)
    keeper.reconfigure(credential())
    with pytest.raises(LoginRequiredError):
        await keeper.replace(1)
    assert 1 == len(vendor.sent)


async def test_refusal_that_the_start_has_forgiven(keep, store, vendor):
    """It stays forgiven: the client has not been tried since."""
    trouble = policy.after(REFUSED, record(), policy.Terms.of(credential(), 30.0), 1.0, 0.5)
    await store.write(trouble)
    keeper = await keep(store)
    keeper.start()
    keeper.reconfigure(credential())
    assert 2 == (await within(keeper.replace(1))).generation


async def test_change_while_the_mark_is_written(keeper, store, vendor):
    """The exchange is made as it was begun: what it leaves uncertain is known to be so."""
    vendor.answers = [Uncertain("cut off")]
    write = store.write
    seen: list[float | None] = []

    async def changed_meanwhile(written):
        await write(written)
        if not seen:
            keeper.reconfigure(credential(renew="client_credentials", **OTHER_SECRET))
        seen.append(written.marked_at)

    store.write = changed_meanwhile
    waiting = asyncio.create_task(keeper.replace(1))
    await within(vendor.entered.wait())
    with pytest.raises(RenewalDelayedError):
        await within(waiting)
    assert [True, True] == [one is not None for one in seen[:2]]


async def test_credential_that_lacks_something_from_now_on(keeper):
    """Its token is given out no more, though it was a moment before."""
    assert 1 == (await keeper.current()).generation
    keeper.reconfigure(credential(missing=("client_secret",)))
    with pytest.raises(NotConfiguredError):
        await keeper.current()
    keeper.reconfigure(credential())
    assert 1 == (await keeper.current()).generation


async def test_credentials_that_come_and_go(core, tmp_path):
    """Each is there as long as it is named, with what the store holds of it."""
    await core.reload(configured(tmp_path, credential(), credential(name="c")))
    assert [(NAME, 1), ("c", 0)] == [(one.config.name, one.record.generation) for one in core.health()]
    await core.reload(configured(tmp_path, credential(name="b"), credential(name="c", client_id="other")))
    assert {"b": 1, "c": 0} == {one.config.name: one.record.generation for one in core.health()}
    assert "other" == core.keeper("c").config.client_id
    with pytest.raises(KeyError):
        core.keeper(NAME)


async def test_credential_that_goes_during_its_exchange(core, vendor, tmp_path):
    """The exchange ends as it would have, and is saved; then the lock is free."""
    vendor.gate.clear()
    waiting = await rejected(core.keeper(NAME), vendor)
    await core.reload(configured(tmp_path, credential(name="b")))
    lock = core.store.lock(NAME)
    assert not lock.try_acquire()
    vendor.gate.set()
    assert 2 == (await within(waiting)).generation
    assert 2 == (await core.store.read(NAME)).generation
    await within(asyncio.gather(*core._leaving))
    assert lock.try_acquire()
    lock.release()


async def test_stop_while_a_credential_that_is_gone_makes_its_exchange(core, vendor, tmp_path):
    """The stop waits for it, since the store is closed after it."""
    vendor.gate.clear()
    waiting = await rejected(core.keeper(NAME), vendor)
    await core.reload(configured(tmp_path, credential(name="b")))
    stopping = asyncio.create_task(core.stop())
    await within(asyncio.wait([core.keeper("b")._ahead, core._listener]))
    for _ in range(20):
        await core.store.version()  # a while in which all else that ends has ended
    assert not stopping.done()
    vendor.gate.set()
    await within(stopping)
    assert (2, 2) == ((await within(waiting)).generation, (await core.store.read(NAME)).generation)


async def test_credential_that_is_back_during_its_exchange(core, vendor, tmp_path):
    """Two keepers then, and one exchange: the new one waits for the lock, and takes what the old one has brought."""
    vendor.gate.clear()
    waiting = await rejected(core.keeper(NAME), vendor)
    before = core.keeper(NAME)
    await core.reload(configured(tmp_path, credential(name="b")))
    await core.reload(configured(tmp_path, credential(), credential(name="b")))
    after = core.keeper(NAME)
    assert before is not after
    another = asyncio.create_task(after.replace(1))
    vendor.gate.set()
    assert [2, 2] == [(await within(one)).generation for one in (waiting, another)]
    assert ["refresh-0"] == vendor.sent


async def test_credential_that_is_back_without_callers(core, vendor, tmp_path):
    """What the exchange of before has brought is known soon, though nobody asks for a token."""
    vendor.gate.clear()
    waiting = await rejected(core.keeper(NAME), vendor)
    await core.reload(configured(tmp_path, credential(name="b")))
    await core.reload(configured(tmp_path, credential(), credential(name="b")))
    async with asyncio.timeout(20):
        while core._heard == -1:
            await asyncio.sleep(0.02)
    vendor.gate.set()
    await within(waiting)
    async with asyncio.timeout(5):
        while core.keeper(NAME).health().record.generation != 2:
            await asyncio.sleep(0.02)


async def test_sign_in_to_a_credential_that_goes(core, tmp_path):
    """Its tokens are stored, under the lock, for when it is named again."""
    entered, gate = asyncio.Event(), asyncio.Event()

    async def bring():
        entered.set()
        await gate.wait()
        return tokens("brought")

    waiting = asyncio.create_task(core.fetch(NAME, bring, Origin.LOGIN))
    await within(entered.wait())
    await core.reload(configured(tmp_path, credential(name="b")))
    gate.set()
    assert 2 == (await within(waiting)).generation
    await core.reload(configured(tmp_path, credential(), credential(name="b")))
    assert "brought" == core.keeper(NAME).health().record.refresh_token.reveal()


async def test_while_others_are_heard(core, vendor, tmp_path, open_store, caplog):
    """A reload between two looks disturbs neither this round nor the next."""
    entered, gate = asyncio.Event(), asyncio.Event()
    first = core.keeper(NAME)
    look_again = first.look_again

    async def look():
        entered.set()
        await gate.wait()
        await look_again()

    first.look_again = look
    elsewhere = await open_store()
    await elsewhere.write(replace(record(), name="b", generation=5))
    await within(entered.wait())
    await core.reload(configured(tmp_path, credential(), credential(name="c"), credential(name="d")))
    gate.set()
    await elsewhere.write(replace(record(), name="c", generation=7))
    async with asyncio.timeout(20):
        while core.keeper("c").health().record.generation != 7:
            await asyncio.sleep(0.02)
    assert [] == [one for one in caplog.messages if "could not be read" in one]


async def test_tokens_stored_by_others_during_a_reload(core, tmp_path, open_store, monkeypatch):
    """A credential that comes is looked at once more when it is there: it was read a moment before."""
    elsewhere = await open_store()
    added = core._made_keeper

    def made(config):
        keeper = added(config)
        load = keeper.load

        async def load_and_miss(found):
            await load(found)
            await elsewhere.write(replace(record(), name=config.name, generation=4))
            core._heard = await core.store.version()  # somebody has looked at all that there were

        keeper.load = load_and_miss
        return keeper

    monkeypatch.setattr(core, "_made_keeper", made)
    await core.reload(configured(tmp_path, credential(), credential(name="b"), credential(name="c")))
    assert 0 == core.keeper("c").health().record.generation
    async with asyncio.timeout(20):
        while core.keeper("c").health().record.generation != 4:
            await asyncio.sleep(0.02)


async def test_key_that_does_not_open_the_store(core, tmp_path):
    """Nothing changes, neither keys nor credentials."""
    await core.reload(configured(tmp_path, credential(), credential(name="b"), store_keys=KEYS[:1]))
    await core.store.encrypt_all()
    with pytest.raises(StoreError, match="another store_key"):
        await core.reload(configured(tmp_path, credential(name="c"), store_keys=KEYS[1:]))
    assert [NAME, "b"] == [one.config.name for one in core.health()]
    assert 1 == (await core.store.read(NAME)).generation
    await core.put(NAME, tokens("later"), Origin.IMPORT)
    await core.reload(configured(tmp_path, credential(name="c"), store_keys=KEYS[::-1]))
    assert "later" == (await core.store.read(NAME)).refresh_token.reveal()


async def test_organizations_of_before(core, tmp_path):
    """Who was given them goes on with them."""
    await core.reload(configured(tmp_path, credential(orgs_path="/orgs/")))
    given = core.organizations()
    await core.reload(configured(tmp_path, credential(name="b")))
    assert ([NAME], []) == (list(given), list(core.organizations()))
