"""/metrics: the figures of credentials and requests, for those who may read the other pages, and never a secret."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from proxy.config import CredentialConfig
from proxy.control.endpoints import OUTCOMES
from proxy.control.plane import make_app
from proxy.credentials.answers import Granted, Passing, Refused, Uncertain, Unusable, outcome_word
from proxy.credentials.core import open_core
from proxy.credentials.exchange import Code, TokenEndpoint
from proxy.credentials.health import State
from proxy.credentials.record import Origin, Tokens, TroubleKind
from proxy.metrics import Metrics
from proxy.secret import Secret
from proxy.signin.attempts import SignIn

from .conftest import ACCESS, REFRESH, TOKENS, Redeeming, credential, make_config

NOW = 1_800_000_000.0
CODE = Code(Secret("a-code"), Secret("a-verifier"), "http://127.0.0.1:8081/callback")


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Give every sample of ours by its name and the values of its labels in the order of the labels' names."""
    families = text_string_to_metric_families(text)
    found = [one for family in families for one in family.samples if one.name.startswith("bearer_proxy_")]
    return {
        (one.name.removeprefix("bearer_proxy_"), *(text for _, text in sorted(one.labels.items()))): one.value
        for one in found
    }


async def read(served) -> dict[tuple[str, ...], float]:
    answer = await served("GET", "/metrics")
    assert 200 == answer.status
    return samples(answer.text)


async def test_form(serve):
    """It is Prometheus's text, kept by nobody, with the figures of the process."""
    answer = await (await serve())("GET", "/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (answer.status, answer.fields["content-type"])
    assert "no-store" == answer.fields["cache-control"]
    assert "\nprocess_resident_memory_bytes " in answer.text


async def test_requests(aiohttp_client, tmp_path):
    """Those that the data plane counts are told beside the credentials."""
    metrics = Metrics([("/a", "a")])
    metrics.request("/a", "GET", 200, 0.1, 338, 0)
    config = make_config(tmp_path, credential())
    async with open_core(config) as core:
        app: web.Application = make_app(config, core, SignIn(config, core, Redeeming()), metrics)
        found = samples(await (await (await aiohttp_client(app)).get("/metrics")).text())
    assert 1 == found["requests_total", "200", "a", "GET", "/a"]
    assert 338 == found["sent_bytes_total", "/a"]
    assert 1 == found["store_up",]


@pytest.mark.parametrize(
    ("status", "path", "lines"),
    [
        (200, "/metrics", ["Authorization: Bearer k3y"]),
        (401, "/metrics", []),
        (401, "/metrics", ["Authorization: Bearer k4y"]),
        (200, "/metrics", ["Authorization: Bearer k3y", "Host: prometheus.example"]),
        (403, "/metrics", ["Authorization: Bearer k4y", "Host: evil.example"]),
        (403, "/metrics", ["Authorization: Bearer k3y", "Origin: http://evil.example"]),
        (403, "/metrics", ["Authorization: Bearer k3y", "Sec-Fetch-Site: cross-site"]),
        (401, "/metrics/", []),
    ],
)
async def test_who_may_read(serve, status, path, lines):
    """It is guarded as the other pages are."""
    answer = await (await serve(admin_key="k3y"))("GET", path, *lines)
    assert status == answer.status
    assert (status == 200) == ("bearer_proxy_" in answer.text)


async def test_states(serve):
    """A credential is 1 in the state that `status` tells, and 0 in all others."""
    served = await serve(credential(), credential("b"), credential("c", missing=("client_id",)))
    await served.core.put("a", TOKENS, Origin.LOGIN)
    found = await read(served)
    expected = {"a": "ok", "b": "never signed in", "c": "not configured"}
    assert {(name, state.value): float(expected[name] == state) for name in expected for state in State} == {
        key[1:]: value for key, value in found.items() if key[0] == "credential_state"
    }


async def test_expiry(serve):
    """It is told where it is known, as a time."""
    served = await serve(credential(), credential("b"), credential("c"))
    await served.core.put("a", Tokens(access_token=Secret(ACCESS), expires_in=3600.0), Origin.LOGIN)
    await served.core.put("b", TOKENS, Origin.LOGIN)
    found = await read(served)
    record = served.core.keeper("a").health().record
    assert {("a",): pytest.approx(record.expires_at)} == {
        key[1:]: value for key, value in found.items() if key[0] == "token_expiry_timestamp_seconds"
    }
    await served.core.forget("a")
    assert ("token_expiry_timestamp_seconds", "a") not in await read(served)


async def test_trouble_with_the_store(serve, monkeypatch):
    """It is told that the store is down, and whose tokens are not saved."""
    served = await serve(credential(), credential("b"))
    assert {1.0} == {value for key, value in (await read(served)).items() if key[0] == "store_up"}
    served.core.store_trouble = "the disk is full"
    with monkeypatch.context() as patch:
        patch.setattr(served.core.keeper("b")._saver, "_task", object())
        found = await read(served)
    assert (0, 0, 1) == (found["store_up",], found["tokens_unsaved", "a"], found["tokens_unsaved", "b"])


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("granted", Granted(TOKENS)),
        ("refused", Refused(TroubleKind.GRANT, "invalid_grant")),
        ("unusable", Unusable(Tokens(), "no token")),
        ("unavailable", Passing("503")),
        ("uncertain", Uncertain("no answer")),
    ],
)
async def test_exchanges(serve, monkeypatch, word, outcome):
    """Renewals and redeemed codes are counted by what came of them; what never happened is 0."""

    async def answered(*_: object) -> object:
        return outcome

    monkeypatch.setattr(TokenEndpoint, "__call__", answered)
    monkeypatch.setattr(TokenEndpoint, "redeem", answered)
    served = await serve(credential(), credential("b"))
    assert {0.0} == {value for key, value in (await read(served)).items() if key[0] == "exchanges_total"}
    await served.core.put("a", TOKENS, Origin.LOGIN)
    await served.core.keeper("a").refresh()
    config: CredentialConfig = served.core.keeper("a").config
    assert outcome == await served.core.exchange.redeem(config, CODE)
    found = await read(served)
    assert 2 == found["exchanges_total", "a", word]
    expected = {(name, one): 2.0 * ((name, one) == ("a", word)) for name in ("a", "b") for one in OUTCOMES}
    assert expected == {key[1:]: value for key, value in found.items() if key[0] == "exchanges_total"}
    assert word == outcome_word(outcome)


async def test_replays(serve):
    """They are counted by what the vendor said to the new token, of whichever generation."""
    served = await serve()
    for accepted in (True, True, False):
        served.core.keeper("a").replayed(7, accepted=accepted)
    found = await read(served)
    assert (2, 1) == (found["replays_total", "a", "accepted"], found["replays_total", "a", "rejected"])


async def test_secrets(serve):
    """No token and no client secret is told, nor who signed in."""
    served = await serve()
    await served.core.put("a", TOKENS, Origin.LOGIN)
    answer = await served("GET", "/metrics?a=canary-of-a-query")
    secrets = (ACCESS, REFRESH, "cl1ent-s3cret", "our-id", "order", "canary-of-a-query")
    assert [] == [secret for secret in secrets if secret in answer.raw]


async def test_read_by_many_at_once(serve):
    """Each gets all of it."""
    served = await serve()
    first, *others = await asyncio.gather(*(read(served) for _ in range(20)))
    assert [first] * 19 == others
