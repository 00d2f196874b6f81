"""Fixtures that black-box suites share: the emulated vendors, and a proxy in a process of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.sandbox import VENDORS, Sandbox
from tests.support.processes import Proxy, sandbox_config


@pytest.fixture
async def vendors() -> AsyncIterator[Sandbox]:
    """All three emulated vendors."""
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def bare_proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """A proxy that is neither configured nor started."""
    proxy = Proxy(tmp_path)
    yield proxy
    assert 0 == await proxy.stop(), proxy.log
    assert "unforeseen" not in proxy.log
    assert "not foreseen" not in proxy.log


@pytest.fixture
async def proxy(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A running proxy before all three vendors, signed in to each."""
    bare_proxy.configure(sandbox_config(vendors))
    for name in VENDORS:
        await bare_proxy.bring_tokens(name, vendors.grant(name))
    await bare_proxy.start()
    return bare_proxy


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two processors: what tests wait for are other processes, and at times the clock."""
    return max(1, len(os.sched_getaffinity(0)) * 3 // 2)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped a test: there everything is installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def need(program: str) -> str:
    """The path of a program; without it the test is skipped."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found
