"""Canaries in the place of tokens and secrets: nothing that is logged, raised or shown has one in it."""

import json
import logging
import traceback
from typing import Any

import pytest

from proxy.credentials.answers import Granted, Passing, Refused, Uncertain, Unusable, read_answer
from proxy.credentials.exchange import TokenEndpoint, build_request
from proxy.credentials.record import Origin, Snapshot, TroubleKind
from proxy.errors import BearerProxyError
from proxy.secret import Secret

from .conftest import NOW, credential, provider, record, terms, tokens, within

CANARY = "canary7f3a9c"
TOKENS = tokens(f"{CANARY}-refresh", f"{CANARY}-access", expires_in=60.0)
SECRETS: dict[str, Any] = {"client_secret": Secret(f"{CANARY}-client")}
SEEDED = record(
    Origin.EXCHANGE, access_token=Secret(f"{CANARY}-access"), refresh_token=Secret(f"{CANARY}-refresh"), expires_in=60
)
DESCRIBED = {"error": "invalid_grant", "error_description": f"No such refresh token: {CANARY}"}
OUTCOMES = [
    Granted(TOKENS),
    Unusable(TOKENS, "unusable"),
    Passing("later"),
    Uncertain("no answer"),
    *(Refused(kind, "refused") for kind in (TroubleKind.GRANT, TroubleKind.CLIENT, TroubleKind.REFUSED)),
    read_answer(400, {}, json.dumps(DESCRIBED).encode(), provider(), NOW),
    read_answer(400, {}, json.dumps({"error": CANARY}).encode(), provider(), NOW),
    read_answer(200, {}, b'{"access_token": "%s %s"}' % (CANARY.encode(), CANARY.encode()), provider(), NOW),
]


@pytest.fixture
async def seeded(keep, store):
    await store.write(SEEDED)
    return await keep(store, **SECRETS)


def logged(caplog):
    """Give all that a handler could make of the records, their hidden fields among it."""
    formatter = logging.Formatter()
    return "\n".join(f"{formatter.format(one)} {vars(one)!r}" for one in caplog.records)


def raised(error):
    """Give all that could be shown of an error and of those behind it."""
    return "".join(traceback.format_exception(error)) + f"{error!r} {vars(error)!r} {error.__context__!r}"


@pytest.mark.parametrize(
    "shown",
    [
        TOKENS,
        SEEDED,
        Snapshot("acme", 1, Secret(CANARY)),
        credential(**SECRETS),
        terms(**SECRETS),
        build_request(credential(**SECRETS), Secret(CANARY)),
        TokenEndpoint(1.0),
        *OUTCOMES,
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_values(shown):
    """Neither repr nor str nor format has one in it."""
    assert CANARY not in f"{shown!r} {shown} {[shown]}"


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_exchange(seeded, vendor, clock, caplog, outcome):
    """Logs, errors and health of every outcome have none in them."""
    caplog.set_level(logging.DEBUG)
    clock.now += 60
    vendor.answers = [outcome]
    seen = []
    try:
        seen.append(repr(await within(seeded.replace(1))))
    except BearerProxyError as error:
        seen.append(raised(error))
    health = seeded.health()
    seen += [repr(health), repr(seeded), json.dumps(health.as_json(clock.now)), health.next_step(clock.now)]
    assert CANARY not in "\n".join([*seen, logged(caplog)])
    assert "exchange for acme" in caplog.text


@pytest.mark.parametrize("fails", ["mark", "tokens", "closed"])
async def test_store_that_fails(seeded, store, clock, caplog, fails):
    """Nor has what is said of it."""
    caplog.set_level(logging.DEBUG)
    clock.now += 60
    store.fails = lambda kept: fails == "mark" or kept.generation > 1
    if fails == "closed":
        await store.close()
    try:
        seen = repr(await within(seeded.replace(1)))
    except BearerProxyError as error:
        seen = raised(error)
    await within(seeded.stop())
    assert CANARY not in seen + logged(caplog)
    assert caplog.records


async def test_exchange_that_fails_in_a_way_nobody_foresaw(seeded, vendor, clock, caplog):
    """Nor has what is said of an exception that quotes what was sent."""
    caplog.set_level(logging.DEBUG)
    clock.now += 60

    async def fail():
        raise ValueError(CANARY)

    vendor.before = fail
    with pytest.raises(BearerProxyError) as caught:
        await within(seeded.replace(1))
    assert CANARY not in raised(caught.value) + logged(caplog)


async def test_database_error(store, caplog):
    """Nor has what SQLite says."""
    store._connection.execute("DROP TABLE credential")
    with pytest.raises(BearerProxyError) as caught:
        await store.write(SEEDED)
    assert CANARY not in raised(caught.value) + logged(caplog)


async def test_token_endpoint_that_cannot_be_called(caplog):
    """Nor has the outcome of a call that came to nothing."""
    caplog.set_level(logging.DEBUG)
    call = TokenEndpoint(5.0)
    for url in ("http://127.0.0.1:1/token", "https://nowhere.invalid/token"):
        outcome = await within(call(credential(token_url=url, **SECRETS), Secret(CANARY)))
        assert isinstance(outcome, Passing)
        assert CANARY not in repr(outcome) + logged(caplog)
