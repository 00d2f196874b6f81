"""The vendors' origins: which of them matter, and what their probes mean. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from ..config import CredentialConfig, Upstream
from .facts import Failure, OriginSeen
from .finding import Finding, ok, problem, warning

SKEW_WARNING, SKEW_PROBLEM = 60.0, 300.0  # seconds
CERTIFICATE_WARNING = 14.0  # days
_DAY = 86400.0
_KEYS = ("upstream", "token_url", "authorize_url")
_ASK_VENDOR = "ask who runs it; nothing is sent there until its certificate is good"

_FAILURES = {
    Failure.NO_ADDRESS: ("its name has no address", "check the name in {uses}, and this machine's DNS"),
    Failure.LOOK_UP_FAILED: ("its name cannot be looked up", "check this machine's DNS server and network"),
    Failure.LOOK_UP_TIMEOUT: (
        "its name was not looked up within {limit:g} s",
        "check this machine's DNS server and network",
    ),
    Failure.REFUSED: ("it refuses connections", "check host and port in {uses}; if they are right, it is down"),
    Failure.UNREACHABLE: ("there is no way to it from here", "check this machine's network and its firewall"),
    Failure.CONNECT_TIMEOUT: (
        "no connection within {limit:g} s (https: TLS included)",
        "check this machine's network and firewall, where packets may come to nothing, and scheme and port in {uses}",
    ),
    Failure.UNTRUSTED: (
        "TLS: its certificate is not signed by anyone whom this machine trusts",
        "name its CA in `ca_file`, or install the package ca-certificates; see that nobody intercepts TLS",
    ),
    Failure.EXPIRED: (
        "TLS: its certificate has expired, by this machine's clock",
        f"check the date of this machine; if it is right, {_ASK_VENDOR}",
    ),
    Failure.NOT_YET_VALID: (
        "TLS: its certificate is not valid yet, by this machine's clock",
        f"check the date of this machine; if it is right, {_ASK_VENDOR}",
    ),
    Failure.WRONG_NAME: (
        "TLS: its certificate is for another name",
        f"check the host in {{uses}}; if it is right, {_ASK_VENDOR}",
    ),
    Failure.TLS_FAILED: ("TLS: the handshake failed", "check scheme and port in {uses}: https is spoken there?"),
    Failure.NOT_HTTP: ("what answers is not HTTP", "check scheme, host and port in {uses}"),
    Failure.CLOSED: (
        "it closes the connection without an answer",
        "check scheme and port in {uses}; try again in a while",
    ),
    Failure.ANSWER_TIMEOUT: ("it gave no answer within {limit:g} s", "try again in a while, with a longer --timeout"),
    Failure.PROXY_UNUSABLE: (
        "the environment names a proxy for it that cannot be used",
        "write HTTPS_PROXY, HTTP_PROXY or ALL_PROXY as http://host:port, or add this host to NO_PROXY",
    ),
    Failure.PROXY_UNREACHABLE: (
        "the proxy on the way to it cannot be connected to",
        "check {proxy} and that proxy, or add this host to NO_PROXY",
    ),
    Failure.PROXY_REFUSED: (
        "the proxy on the way to it does not connect to it",
        "allow it there, check user and password in {proxy}, or add this host to NO_PROXY",
    ),
}


def origins_of(credentials: Iterable[CredentialConfig]) -> dict[str, tuple[Upstream, str]]:
    """Give each origin that configured credentials call, and the keys that name it, in the file's order."""
    uses: dict[str, dict[str, list[str]]] = {}
    parsed: dict[str, Upstream] = {}
    for credential in credentials:
        name = credential.provider_name or credential.name
        for key in () if credential.missing else _KEYS:
            url = getattr(credential.provider, key).partition("?")[0]
            if url:
                upstream = Upstream.parse(url)
                parsed.setdefault(upstream.origin, upstream)
                keys = uses.setdefault(upstream.origin, {}).setdefault(name, [])
                keys += [] if key in keys else [key]
    told = {
        origin: "; ".join(f"{', '.join(keys)} of {name}" for name, keys in named.items())
        for origin, named in uses.items()
    }
    return {origin: (parsed[origin], told[origin]) for origin in uses}


def judge_origin(origin: str, uses: str, seen: OriginSeen, *, now: float, limit: float) -> Iterator[Finding]:
    """Say whether an origin can be reached, how long its certificate lasts, and how far apart our clocks are."""
    by = f" (by the proxy that {seen.proxy} names)" if seen.proxy else ""
    if seen.failure is not None:
        text, step = _FAILURES[seen.failure]
        yield problem("network", origin, text.format(limit=limit) + by, step.format(uses=uses, proxy=seen.proxy))
        return
    way = "DNS and TCP" if seen.certificate_until is None else "DNS, TCP and TLS"
    yield ok("network", origin, f"{way} fine; HTTP {seen.status} after {seen.seconds:.2f} s{by}")
    if seen.certificate_until is not None:
        yield _judge_certificate(origin, (seen.certificate_until - now) / _DAY)
    if seen.server_time is None:
        yield ok("clock", origin, "its answer has no date: how far apart our clocks are is unknown")
    else:
        yield judge_skew(origin, seen.asked_at - seen.server_time)


def judge_skew(origin: str, ahead: float) -> Finding:
    """Judge a clock of ours that is so many seconds ahead."""
    apart = abs(ahead)
    if apart <= SKEW_WARNING:
        return ok("clock", origin, "our clocks agree" if apart < 2 else f"our clocks are {apart:.0f} s apart")
    text = f"this machine's clock is {math.ceil(apart)} s {'ahead of' if ahead > 0 else 'behind'} the date it gives"
    step = (
        "set this machine's clock (NTP): Retry-After and the expiry of tokens are reckoned by it, "
        "and stored times go wrong when it is set later"
    )
    return (problem if apart > SKEW_PROBLEM else warning)("clock", origin, text, step)


def _judge_certificate(origin: str, days: float) -> Finding:
    if days >= CERTIFICATE_WARNING:
        return ok("tls", origin, f"its certificate is good for {math.floor(days)} days")
    return warning(
        "tls",
        origin,
        f"its certificate expires in {max(days, 0.0):.1f} days",
        "see that it is renewed: without that all requests fail then",
    )
