"""One look-up for everybody, and what comes of one that fails, on the real keeper and store."""

import asyncio

import pytest

from proxy.config import Callers, Config, Limits
from proxy.credentials.answers import Passing, Refused
from proxy.credentials.core import open_core
from proxy.credentials.organization import AGAIN
from proxy.credentials.record import Origin, TroubleKind
from proxy.errors import (
    LoginRequiredError,
    OrganizationAmbiguousError,
    OrganizationMissingError,
    OrganizationRefusedError,
    RenewalDelayedError,
    RequestError,
    ShuttingDownError,
    UpstreamError,
    UpstreamReadTimeoutError,
)

from .conftest import NAME, credential, listing, over, record, stored, tokens, within

REJECTED = (401, b"")


async def test_hundreds_of_callers(organization, orgs, keeper, open_store):
    """They make one look-up, and get what it finds; so does everybody after them, without one."""
    orgs.gate.clear()
    callers = [asyncio.create_task(organization.current()) for _ in range(300)]
    await within(orgs.entered.wait())
    orgs.gate.set()
    assert {"7kQ2f"} == set(await within(asyncio.gather(*callers)))
    assert "7kQ2f" == await organization.current()
    assert 1 == orgs.asked
    assert "7kQ2f" == await stored(keeper, open_store)


async def test_restart(organization, orgs, keeper, keep, find, open_store):
    """What was found is kept."""
    await organization.current()
    await keeper.stop()
    assert "7kQ2f" == await find(await keep(await open_store())).current()
    assert 1 == orgs.asked


async def test_organization_that_is_chosen(keep, store, find, orgs):
    """It is given, and never looked up or doubted."""
    await store.write(record(org_pk="x"))  # it was found before it was chosen
    chosen = find(await keep(store, org_pk="x"))
    assert "x" == await chosen.current()
    chosen.doubt("x")
    assert chosen._under_way() is None
    assert 0 == orgs.asked


async def test_caller_who_hangs_up(organization, orgs):
    """The look-up goes on without it."""
    orgs.gate.clear()
    one, other = (asyncio.create_task(organization.current()) for _ in range(2))
    await within(orgs.entered.wait())
    one.cancel()
    await asyncio.wait([one])
    orgs.gate.set()
    assert "7kQ2f" == await within(other)
    assert (True, 1) == (one.cancelled(), orgs.asked)


async def test_all_callers_hang_up(organization, orgs, keeper):
    """What it finds is kept all the same."""
    orgs.gate.clear()
    caller = asyncio.create_task(organization.current())
    await within(orgs.entered.wait())
    caller.cancel()
    await asyncio.wait([caller])
    orgs.gate.set()
    await over(organization)
    assert "7kQ2f" == keeper.grant[1]


async def test_token_that_is_rejected(organization, orgs, vendor, keeper):
    """It is renewed once, and the list asked for again; that is kept for the new tokens."""
    orgs.answers = [REJECTED]
    assert "7kQ2f" == await organization.current()
    assert (2, ["refresh-0"], (2, "7kQ2f")) == (orgs.asked, vendor.sent, keeper.grant)


async def test_renewed_token_that_is_rejected(organization, orgs, vendor, keeper):
    """There is no third time; the guard time grows, as after any replay."""
    orgs.answers = [REJECTED, REJECTED]
    with pytest.raises(OrganizationRefusedError, match="answered 401"):
        await organization.current()
    assert (2, ["refresh-0"]) == (orgs.asked, vendor.sent)
    assert keeper.health().record.guard > 0


@pytest.mark.parametrize(
    ("expected", "outcome"),
    [(RenewalDelayedError, Passing("later")), (LoginRequiredError, Refused(TroubleKind.GRANT, "invalid_grant"))],
)
async def test_renewal_that_fails(organization, orgs, vendor, expected, outcome):
    """The caller hears it as for any other request."""
    orgs.answers, vendor.answers = [REJECTED], [outcome]
    with pytest.raises(expected):
        await organization.current()


async def test_nobody_has_signed_in(keep, open_store, find, orgs):
    """Nothing is asked."""
    with pytest.raises(LoginRequiredError):
        await find(await keep(await open_store())).current()
    assert 0 == orgs.asked


REFUSALS = [
    (OrganizationAmbiguousError, listing("a", "b")),
    (OrganizationMissingError, listing()),
    (OrganizationRefusedError, (403, b"")),
]


@pytest.mark.parametrize(("expected", "answer"), REFUSALS)
async def test_vendor_that_says_no(organization, orgs, clock, expected, answer):
    """It is told to everybody, and not asked again for a minute."""
    orgs.answers = [answer]
    told = await within(asyncio.gather(*(organization.current() for _ in range(50)), return_exceptions=True))
    assert {expected} == {type(error) for error in told}
    clock.now += AGAIN - 0.1
    with pytest.raises(expected):
        await organization.current()
    assert 1 == orgs.asked
    clock.now += 0.1
    assert "7kQ2f" == await organization.current()


@pytest.mark.parametrize(("expected", "answer"), REFUSALS)
async def test_vendor_that_says_no_to_other_tokens(organization, orgs, keeper, open_store, expected, answer):
    """It is asked again as soon as the tokens have changed, or the clock was set back."""
    orgs.answers = [answer]
    with pytest.raises(expected):
        await organization.current()
    await (await open_store()).write(record(generation=2))
    await keeper.look_again()
    assert "7kQ2f" == await organization.current()


async def test_vendor_that_said_no_before_the_clock_was_set_back(organization, orgs, clock):
    """It is asked again."""
    orgs.answers = [listing("a", "b")]
    with pytest.raises(OrganizationAmbiguousError):
        await organization.current()
    clock.now -= 3600
    assert "7kQ2f" == await organization.current()


@pytest.mark.parametrize("answer", [(503, b""), (200, b"<html>"), UpstreamReadTimeoutError("too slow")])
async def test_passing_trouble(organization, orgs, answer):
    """All who wait hear it; who comes after asks again."""
    orgs.answers = [answer]
    told = await within(asyncio.gather(*(organization.current() for _ in range(50)), return_exceptions=True))
    assert all(isinstance(error, UpstreamError) for error in told)
    assert 1 == orgs.asked
    assert "7kQ2f" == await organization.current()


async def test_failure_that_was_not_foreseen(organization, orgs, caplog):
    """It is answered as a failure of the proxy, without its words."""
    orgs.answers = [RuntimeError("canary")]
    with pytest.raises(RequestError) as caught:
        await organization.current()
    assert ("internal_error", False) == (caught.value.error, "canary" in caplog.text)
    assert "RuntimeError" in caplog.text


def config(folder):
    """Give a configuration of two credentials, one of which has organizations."""
    credentials = {NAME: credential(orgs_path="/orgs/"), "other": credential(name="other")}
    return Config(
        path=folder / "config.yaml",
        listen=(),
        admin=(),
        admin_key=credential().client_secret,
        store=folder / "tokens.db",
        spool_dir=folder,
        callers=Callers(),
        credentials=credentials,
        routes=(),
        limits=Limits(),
    )


async def test_core(tmp_path, orgs):
    """It has an organization for each credential whose provider lists them; login, import and logout drop it."""
    async with open_core(config(tmp_path)) as core:
        assert [NAME] == list(core.organizations())
        organization = core.organizations()[NAME]
        organization._ask = orgs
        for count, origin in enumerate([Origin.LOGIN, Origin.IMPORT], start=1):
            await core.put(NAME, tokens(), origin)
            assert (count * 2 - 1, "") == core.keeper(NAME).grant
            assert "7kQ2f" == await organization.current()
            await core.forget(NAME)
            assert (count * 2, "") == core.keeper(NAME).grant
        await core.put(NAME, tokens(), Origin.IMPORT)
        orgs.gate.clear()
        orgs.entered.clear()
        caller = asyncio.create_task(organization.current())
        await within(orgs.entered.wait())
    with pytest.raises(ShuttingDownError):
        await caller
    assert 3 == orgs.asked
