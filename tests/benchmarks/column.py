"""What stands above a column of the table: a proxy that can be started, once or several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .process import Started
from .site import Site


@dataclass(frozen=True, slots=True)
class Size:
    """How much is configured: routes that differ in their prefix, and credentials that they share."""

    routes: int = 1
    credentials: int = 1


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that answers. Below `prefix` it leads to the plain upstream, below /tls and /own to the two others."""

    site: Site
    started: Started
    port: int
    prefix: str = "/rc"


class Column(Protocol):
    """A proxy of which there is a column. `label` stands above it."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def sizes(self) -> bool:
        """Tell whether it can be started in a size."""

    def missing(self) -> str:
        """Say what is not installed; empty where nothing is missing."""

    def version(self) -> str:
        """Give what is measured, in a word."""

    def start(self, site: Site, size: Size | None) -> Running:
        """Start it and wait until it answers, or raise `NotReadyError`. `size` is for ours; None is what peers have."""
