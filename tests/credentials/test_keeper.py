"""One exchange for everybody, and none where the rules forbid one (T1, T2, T6 to T9), on the real store."""

import asyncio

import pytest

from proxy.credentials.answers import Passing, Refused, Uncertain
from proxy.credentials.record import Origin, Snapshot, TroubleKind
from proxy.errors import LoginRequiredError, NotConfiguredError, RenewalDelayedError, RenewalGuardedError
from proxy.secret import Secret

from .conftest import GUARD, NAME, NOW, record, within

REFUSED_GRANT = Refused(TroubleKind.GRANT, "invalid_grant")
REFUSED_CLIENT = Refused(TroubleKind.CLIENT, "invalid_client")


async def renewed(keeper, vendor, generation=1):
    """Make the keeper's token one that an exchange brought."""
    snapshot = await keeper.replace(generation)
    vendor.sent.clear()
    return snapshot.generation


async def test_hundreds_of_rejections_of_one_generation(keeper, vendor, store):
    """They make one exchange and one generation, which all of them get (T1)."""
    vendor.gate.clear()
    callers = [asyncio.create_task(keeper.replace(1)) for _ in range(300)]
    await within(vendor.entered.wait())
    vendor.gate.set()
    snapshots = await within(asyncio.gather(*callers))
    assert {Snapshot(NAME, 2, Secret("access"))} == set(snapshots)
    assert ["refresh-0"] == vendor.sent
    assert 2 == (await store.read(NAME)).generation


async def test_rejections_that_come_one_after_another(keeper, vendor):
    """Those of the old generation get the newer token, of the very same text, without an exchange (T2)."""
    before = await keeper.current()
    snapshots = [await keeper.replace(1) for _ in range(20)]
    assert {Snapshot(NAME, 2, before.token)} == set(snapshots)
    assert 1 == len(vendor.sent)


async def test_rejection_that_comes_late_in_an_exchange(keeper, vendor, clock):
    """One of an older generation is answered at once with the token at hand, though that is being renewed (T2)."""
    generation = await renewed(keeper, vendor)
    clock.now += GUARD
    vendor.gate.clear()
    vendor.entered.clear()
    newest = asyncio.create_task(keeper.replace(generation))
    await within(vendor.entered.wait())
    assert generation == (await within(keeper.replace(generation - 1))).generation
    assert generation == (await within(keeper.current())).generation
    vendor.gate.set()
    assert generation + 1 == (await within(newest)).generation


async def test_client_credentials(keep, open_store, vendor):
    """The first caller's exchange brings a token, without any sign-in or refresh token."""
    keeper = await keep(await open_store(), renew="client_credentials")
    snapshots = await within(asyncio.gather(*(keeper.current() for _ in range(50))))
    assert {1} == {snapshot.generation for snapshot in snapshots}
    assert [None] == vendor.sent


async def test_credential_that_is_not_configured(keep, store, vendor):
    """Nothing can make it exchange."""
    keeper = await keep(store, missing=("client_id",))
    keeper.start()
    for work in (keeper.current(), keeper.replace(1), keeper.refresh()):
        with pytest.raises(NotConfiguredError):
            await work
    assert [] == vendor.sent


async def test_refused_grant(keep, keeper, vendor, clock, open_store):
    """It is not asked for again, not after a restart either, until a person asks (T6)."""
    vendor.answers = [REFUSED_GRANT, REFUSED_GRANT]
    with pytest.raises(LoginRequiredError, match=r"the vendor refused the refresh token \(invalid_grant\)"):
        await keeper.replace(1)
    clock.now += 10 * 86400
    again = await keep(await open_store(), client_secret=Secret("another"))
    again.start()
    for one in (keeper, again):
        with pytest.raises(LoginRequiredError):
            await one.replace(1)
        assert 1 == (await one.current()).generation
    assert 1 == len(vendor.sent)
    await again.refresh()
    assert 2 == len(vendor.sent)
    assert 2 == (await again.refresh()).record.generation
    assert 2 == (await again.replace(1)).generation


async def test_refused_grant_and_new_tokens(keeper, vendor, open_store):
    """They make it forgotten (T6)."""
    vendor.answers = [REFUSED_GRANT]
    with pytest.raises(LoginRequiredError):
        await keeper.replace(1)
    await (await open_store()).write(record(generation=2))
    await keeper.look_again()
    assert 3 == (await keeper.replace(2)).generation


@pytest.mark.parametrize("changed", [{"client_secret": Secret("another")}, {"client_id": "other"}, {}])
async def test_refused_client(keep, keeper, vendor, clock, open_store, changed):
    """It is not asked for again until it has changed or the program starts again (T6)."""
    vendor.answers = [REFUSED_CLIENT]
    with pytest.raises(LoginRequiredError, match="check client_id and client_secret"):
        await keeper.replace(1)
    clock.now += 86400
    same = await keep(await open_store())
    for one in (keeper, same):
        with pytest.raises(LoginRequiredError):
            await one.replace(1)
    assert 1 == len(vendor.sent)
    other = await keep(await open_store(), **changed)
    if not changed:
        other.start()
    assert 2 == (await other.replace(1)).generation


async def test_refused_client_after_the_clock_was_set_back(keeper, vendor, clock):
    """It is remembered all the same: no storm (T6)."""
    keeper.start()
    clock.now -= 3600
    vendor.answers = [REFUSED_CLIENT] * 3
    for _ in range(3):
        with pytest.raises(LoginRequiredError):
            await keeper.replace(1)
    assert 1 == len(vendor.sent)


async def test_refused_request(keeper, vendor, clock):
    """It is made again after ten minutes at the soonest, the code told (T6)."""
    vendor.answers = [Refused(TroubleKind.REFUSED, "invalid_scope")]
    with pytest.raises(RenewalDelayedError, match="invalid_scope"):
        await keeper.replace(1)
    clock.now += 599
    with pytest.raises(RenewalDelayedError):
        await keeper.replace(1)
    assert 1 == len(vendor.sent)
    clock.now += 1.1
    assert 2 == (await keeper.replace(1)).generation


@pytest.mark.parametrize("outcome", [Passing("later"), Uncertain("no answer")])
async def test_back_off(keeper, vendor, clock, outcome):
    """A rejection in it is answered at once and sends nothing; it doubles with each failure (T5, T7)."""
    vendor.answers = [outcome] * 4
    for expected in (1.0, 2.0, 4.0, 8.0):
        vendor.sent.clear()
        for _ in range(20):
            with pytest.raises(RenewalDelayedError) as caught:
                await within(keeper.replace(1))
            assert caught.value.retry_after is not None
            assert expected <= caught.value.retry_after <= expected + 1
        assert ["refresh-0"] == vendor.sent
        assert 1 == (await keeper.current()).generation
        clock.now += expected
    assert 2 == (await keeper.replace(1)).generation


async def test_back_off_that_the_vendor_asks_for(keeper, vendor, clock):
    """Retry-After is honoured and passed on (T7)."""
    vendor.answers = [Passing("later", 120.0)]
    with pytest.raises(RenewalDelayedError) as caught:
        await keeper.replace(1)
    assert caught.value.retry_after in (120, 121)
    clock.now += 119.9
    with pytest.raises(RenewalDelayedError):
        await keeper.replace(1)
    clock.now += 0.1
    assert 2 == (await keeper.replace(1)).generation


async def test_back_off_of_an_earlier_run(keep, keeper, vendor, open_store):
    """It holds across restarts (T7)."""
    vendor.answers = [Passing("later", 120.0)]
    with pytest.raises(RenewalDelayedError):
        await keeper.replace(1)
    again = await keep(await open_store())
    with pytest.raises(RenewalDelayedError):
        await again.replace(1)
    assert 1 == len(vendor.sent)


async def test_back_off_that_a_person_cuts_short(keeper, vendor):
    """Asking makes one exchange at once."""
    vendor.answers = [Passing("later", 120.0)]
    with pytest.raises(RenewalDelayedError):
        await keeper.replace(1)
    assert 2 == (await keeper.refresh()).record.generation


async def test_refresh_that_cannot_be(keep, open_store, vendor):
    """It says why."""
    keeper = await keep(await open_store())
    with pytest.raises(LoginRequiredError, match="nobody has signed in yet"):
        await keeper.refresh()
    assert [] == vendor.sent


async def test_young_token_that_is_rejected(keep, keeper, vendor, clock, open_store):
    """It is not exchanged within the guard time, by another process or after a restart neither (T8)."""
    generation = await renewed(keeper, vendor)
    clock.now = NOW + GUARD - 0.1
    for one in (keeper, await keep(await open_store())):
        for _ in range(20):
            with pytest.raises(RenewalGuardedError):
                await one.replace(generation)
    assert [] == vendor.sent
    clock.now = NOW + GUARD
    assert generation + 1 == (await keeper.replace(generation)).generation


async def test_young_token_past_its_own_expiry(keep, store, clock):
    """It is exchanged, however long the guard time has grown (T8)."""
    await store.write(record(Origin.EXCHANGE, expires_in=20.0, guard=120.0))
    keeper = await keep(store)
    clock.now = NOW + 19.9
    with pytest.raises(RenewalGuardedError):
        await keeper.replace(1)
    clock.now = NOW + 20.0
    assert 2 == (await keeper.replace(1)).generation


async def test_imported_token_that_is_rejected_at_once(keeper, vendor):
    """It is exchanged: its age is unknown (T8)."""
    assert 2 == (await keeper.replace(1)).generation
    assert 1 == len(vendor.sent)
