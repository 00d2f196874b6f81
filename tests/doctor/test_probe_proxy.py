"""Probes of an upstream beyond an egress proxy: who is to blame, and what a person is told."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import pytest

from proxy.config import Upstream
from proxy.doctor.facts import Failure, OriginSeen
from proxy.doctor.origins import judge_origin
from proxy.doctor.probe import see_origin

from .conftest import NOW, PATIENCE, SHORT, head, serving

CANARY = "c4nary"
HTTP, HTTPS = Upstream("http", "api.acme.example", 80), Upstream("https", "api.acme.example", 443)


async def see(upstream: Upstream, environ: Mapping[str, str], limit: float = PATIENCE) -> OriginSeen:
    return await see_origin(upstream, limit, ssl.create_default_context(), environ=environ, clock=lambda: NOW)


@pytest.mark.parametrize(
    ("failure", "upstream", "status"),
    [
        (None, HTTP, 200),
        (None, HTTP, 502),
        (Failure.PROXY_REFUSED, HTTP, 407),
        (Failure.PROXY_REFUSED, HTTPS, 407),
        (Failure.PROXY_REFUSED, HTTPS, 403),
    ],
)
async def test_proxy_that_answers(failure: Failure | None, upstream: Upstream, status: int) -> None:
    """For http its answers are the upstream's, but for one; for https any other than 2xx is a refusal."""
    async with serving(head(status)) as server:
        seen = await see(upstream, {"ALL_PROXY": f"http://user:{CANARY}@127.0.0.1:{server.port}"})
    assert (failure, "ALL_PROXY") == (seen.failure, seen.proxy)
    line = server.heads[0].split(b"\r\n")[0]
    assert line == (
        b"HEAD http://api.acme.example/ HTTP/1.1" if upstream is HTTP else b"CONNECT api.acme.example:443 HTTP/1.1"
    )
    assert b"\r\nProxy-Authorization: Basic " in server.heads[0]


@pytest.mark.parametrize("upstream", [HTTP, HTTPS])
@pytest.mark.parametrize("place", ["127.0.0.1:1", "no-such-proxy.invalid"])
async def test_proxy_that_is_not_there(upstream: Upstream, place: str) -> None:
    """It is not the upstream that is down."""
    expected = OriginSeen(Failure.PROXY_UNREACHABLE, proxy="ALL_PROXY")
    assert expected == await see(upstream, {"ALL_PROXY": f"http://{place}"})


@pytest.mark.parametrize(("late", "upstream"), [(Failure.ANSWER_TIMEOUT, HTTP), (Failure.CONNECT_TIMEOUT, HTTPS)])
async def test_proxy_that_is_silent(late: Failure, upstream: Upstream) -> None:
    """It is told how far it went, and by which way."""
    async with serving(None) as server:
        seen = await see(upstream, {"ALL_PROXY": f"http://127.0.0.1:{server.port}"}, SHORT)
    assert OriginSeen(late, proxy="ALL_PROXY") == seen


async def test_variable_that_cannot_be_used() -> None:
    """It is what has to be changed."""
    assert OriginSeen(Failure.PROXY_UNUSABLE) == await see(HTTPS, {"ALL_PROXY": f"socks5://{CANARY}"})


async def test_own_host() -> None:
    """It goes directly."""
    async with serving(head()) as server:
        seen = await see(server.origin(), {"ALL_PROXY": "http://127.0.0.1:1"})
    assert (None, "") == (seen.failure, seen.proxy)


@pytest.mark.parametrize("failure", [Failure.PROXY_UNUSABLE, Failure.PROXY_UNREACHABLE, Failure.PROXY_REFUSED])
def test_what_is_told(failure: Failure) -> None:
    """The variable is named, and the way out that is always there."""
    seen = OriginSeen(failure, proxy="HTTPS_PROXY" if failure is not Failure.PROXY_UNUSABLE else "")
    (finding,) = judge_origin(HTTPS.origin, "upstream of acme", seen, now=NOW, limit=1.0)
    told = finding.as_json()
    assert "proxy" in str(told["text"])
    assert "HTTPS_PROXY" in str(told["next_step"])
    assert "NO_PROXY" in str(told["next_step"])
