"""Our proxy and nginx side by side, each before a recorder of its own, all in one loop for the whole of a module."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.conftest import Gateway, Settings, listening, port_of
from tests.e2e.smuggling.nginx import nginx
from tests.e2e.smuggling.recorder import Recorder


@dataclass
class Side:
    """A proxy, by its port, and what it let through."""

    port: int
    recorder: Recorder


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Short limits, so that what only waits ends while a test looks on."""
    return {
        "client_header_timeout": "1s",
        "client_body_timeout": "1s",
        "keepalive_timeout": "2s",
        "lingering_timeout": "1s",
        "proxy_read_timeout": "3s",
        "log_level": "warning",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(gateway: Gateway) -> AsyncIterator[Side]:
    """Our proxy, with the route /t."""
    async with Recorder().serving(gateway.listener) as recorder:
        yield Side(gateway.proxy.port, recorder)


@pytest.fixture(scope="module")
def other_listener() -> Iterator[socket.socket]:
    """Where the upstream behind nginx listens."""
    with listening() as listener:
        yield listener


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(tmp_path_factory: pytest.TempPathFactory, other_listener: socket.socket) -> AsyncIterator[Side]:
    """nginx; without it the test is skipped."""
    folder: Path = tmp_path_factory.mktemp("nginx")
    with nginx(folder, port_of(other_listener)) as port:
        async with Recorder().serving(other_listener) as recorder:
            yield Side(port, recorder)
