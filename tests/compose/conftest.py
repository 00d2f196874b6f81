"""compose.yaml, running: in namespaces where they can be made, and on loopback addresses always."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.compose.contained import Contained
from tests.compose.deployment import Deployment
from tests.compose.namespaces import possible
from tests.compose.onloopback import OnLoopback

PLACES: dict[str, type[Deployment]] = {"namespaces": Contained} if possible() else {}
PLACES["loopback"] = OnLoopback


@contextlib.contextmanager
def _up(place: str, folder: Path) -> Iterator[Deployment]:
    deployment = PLACES[place](folder)
    with deployment.closing:
        deployment.start()
        yield deployment


@pytest.fixture(scope="module", params=PLACES)
def up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The proxy of compose.yaml, healthy and signed in; one for the whole module."""
    with _up(request.param, tmp_path_factory.mktemp(request.param)) as deployment:
        yield deployment


@pytest.fixture(params=PLACES)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractContextManager[Deployment]:
    """The same for one test."""
    return _up(request.param, tmp_path)
