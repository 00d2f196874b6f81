"""Looks over the network: at vendors' origins, and at our own addresses. Nothing is exchanged, no token is at hand.

Every look has one time limit for the whole of it, and tells at which step it ended.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import ssl
import time
from collections.abc import Callable, Mapping

import aiohttp

from ..config import Address, Config, Upstream
from ..egress import Egress
from ..errors import EgressProxyError
from .asking import Way, asked, failure_of
from .facts import Failure, Held, Holder, OriginSeen
from .signature import holder_at

_LOCAL_LIMIT = 3.0  # seconds for an address of our own
_LONGEST_HEALTH = 4096  # bytes
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to call what listens everywhere
_HALF_A_SECOND = 0.5  # what a date in whole seconds leaves out, in the mean


async def see_origin(
    upstream: Upstream,
    limit: float,
    context: ssl.SSLContext,
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.time,
) -> OriginSeen:
    """Ask an origin for the head of `/`, within `limit` seconds in all."""
    way, egress, proxy = Way(), Egress(context, environ), ""
    try:
        found = egress.proxy(upstream.origin)
        proxy = found.variable if found else ""
        async with (
            asyncio.timeout(limit),
            asked("HEAD", f"{upstream.origin}/", way, context, egress=egress) as answer,
        ):
            seconds, now = time.monotonic() - way.since, clock()
    except TimeoutError:
        return OriginSeen(way.late, proxy=proxy)
    except (aiohttp.ClientError, EgressProxyError, OSError, ValueError) as error:
        return OriginSeen(failure_of(error, proxied=bool(proxy)), proxy=proxy)
    if proxy and answer.status == 407:  # for http there is no tunnel to refuse
        return OriginSeen(Failure.PROXY_REFUSED, proxy=proxy)
    certificate = answer.certificate
    return OriginSeen(
        status=answer.status,
        seconds=seconds,
        asked_at=now - seconds / 2,
        server_time=_date(answer.headers.get("Date", ""), answer.headers.get("Age", "")),
        certificate_until=float(ssl.cert_time_to_seconds(certificate["notAfter"])) if certificate else None,
        proxy=proxy,
    )


def _date(date: str, age: str) -> float | None:
    """Give the time by the server's clock: its date, plus what the answer has spent in caches (RFC 9111, 5.1)."""
    try:
        at = email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return at + _HALF_A_SECOND + (int(age) if age.isdecimal() and len(age) < 10 else 0)


async def see_addresses(config: Config) -> list[Held]:
    """Look who answers at each address that `serve` would listen on, the control plane's first."""
    own = [address for route in config.routes for address in route.listen]
    planes = [(True, one) for one in config.admin] + [(False, one) for one in dict.fromkeys((*config.listen, *own))]
    fixed = [(admin, address) for admin, address in planes if address.path or address.port]
    holders = await asyncio.gather(*(_holder(address, admin=admin) for admin, address in fixed))
    return [Held(str(address), holder, admin) for (admin, address), holder in zip(fixed, holders, strict=True)]


async def _holder(address: Address, *, admin: bool) -> Holder:
    """Ask at each host of an address; one that is ours settles it."""
    hosts = ("localhost",) if address.path else tuple(_ANYWHERE.get(host, host) for host in address.hosts)
    found = [await _holder_at(address, host, admin=admin) for host in hosts]
    order = (Holder.NOT_READY, Holder.OURS, Holder.ANOTHER, Holder.SILENT, Holder.HIDDEN, Holder.NOBODY)
    return min(found, key=order.index)


async def _holder_at(address: Address, host: str, *, admin: bool) -> Holder:
    way, origin = Way(), f"http://{host if address.path else Address(host, address.port)}"
    try:
        async with asyncio.timeout(_LOCAL_LIMIT):
            if not admin:
                return await holder_at(address, host, way)
            async with asked("GET", f"{origin}/healthz", way, path=address.path) as answer:
                short = answer.status == 200 and (answer.content_length or _LONGEST_HEALTH) < _LONGEST_HEALTH
                if not short or json.loads(await answer.read()) != {"status": "ok"}:
                    return Holder.ANOTHER
            async with asked("GET", f"{origin}/readyz", way, path=address.path) as answer:
                return Holder.NOT_READY if answer.status == 503 else Holder.OURS
    except TimeoutError:
        return Holder.SILENT if way.late is Failure.ANSWER_TIMEOUT else Holder.NOBODY
    except aiohttp.ClientConnectorError as error:
        return Holder.HIDDEN if isinstance(error.os_error, PermissionError) else Holder.NOBODY
    except (aiohttp.ClientError, OSError, ValueError, RecursionError):
        return Holder.ANOTHER
