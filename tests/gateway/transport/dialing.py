"""Connections as tests make them: by a forward proxy, or failing in our words."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from proxy.config import Upstream
from proxy.errors import RequestError
from proxy.gateway.transport.dial import Dialer
from tests.support.forward import ESTABLISHED, ForwardProxy
from tests.support.loops import Caller, serving

SHORT = 0.2  # seconds, for what never ends
VENDOR = "api.vendor.example"
UPSTREAM = Upstream("https", VENDOR, 443)
CANARY = "c4nary"


async def assert_fails(
    kind: type[RequestError], text: str, dialer: Dialer, upstream: Upstream = UPSTREAM
) -> RequestError:
    """Check that there is exactly this error, in our words, without a library's behind it; give it."""
    with pytest.raises(RequestError) as caught:
        await dialer.connect(upstream, Caller)
    assert (kind, text.format(upstream.origin)) == (type(caught.value), caught.value.description)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


@contextlib.asynccontextmanager
async def forwarding(answer: Sequence[bytes] = (ESTABLISHED,), target: int = 0) -> AsyncIterator[ForwardProxy]:
    """A forward proxy that gives this answer to CONNECT, and leads on to a port if it is told one."""
    forward = ForwardProxy(target, answer)
    async with serving(forward.serve) as forward.port:
        yield forward
