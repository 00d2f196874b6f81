"""What tests of connections share: an authority, dialers that trust it, and one caller's side."""

from __future__ import annotations

import ssl

import pytest
import trustme

from proxy.config import TlsFiles
from proxy.egress import upstream_trust
from proxy.gateway.transport.dial import Dialer
from tests.support.loops import PATIENCE

from .side import Side


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(ca: trustme.CA) -> ssl.SSLContext:
    context = upstream_trust(TlsFiles())
    ca.configure_trust(context)
    return context


@pytest.fixture
def dialer(trust: ssl.SSLContext) -> Dialer:
    """One that goes directly, and waits for long."""
    return Dialer(trust, PATIENCE, {})


@pytest.fixture
async def side() -> Side:
    return Side()
