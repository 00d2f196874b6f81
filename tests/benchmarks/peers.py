"""The usual reverse proxies, as data. All do the same: three routes, the bearer token added.

Each has one worker and no access log, and beyond that the settings that its manual gives for keeping connections.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.processes import free_port

from .column import Running, Size
from .process import NotReadyError, Started, program
from .site import SETTINGS, Site

BUILD_WITHIN = 300.0  # seconds; the first build compiles Go's library
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
_ONE_THREAD = {"GOMAXPROCS": "1"}
_ARGUMENTS = ("{port}", "{plain}", "{tls}", "{own}", "{ca}", "{token_file}")


@dataclass(frozen=True, slots=True)
class Peer:
    """How a proxy is started. Words of commands may name values of the run, `{program}` and `{settings}`."""

    name: str
    label: str
    program: str
    settings: str
    command: tuple[str, ...]
    build: tuple[str, ...] = ()  # makes {binary}
    version_command: tuple[str, ...] = ()
    known_version: str = ""
    fills_in: bool = True  # the settings are a form, not a program
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    sizes: bool = False

    def missing(self) -> str:
        return "" if program(self.program) else "not installed"

    def version(self) -> str:
        if self.known_version:
            return self.known_version
        words = [program(self.program), *self.version_command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        found = _VERSION.search((done.stdout + done.stderr).replace(words[0], ""))
        return found[0] if found else "?"

    def start(self, site: Site, size: Size | None) -> Running:
        port = free_port()
        name = f"{self.name}-{port}"
        settings = SETTINGS / self.settings
        if self.fills_in:  # Envoy tells the language by the suffix
            settings = site.write(self.settings, name + settings.suffix, port=port)
        values = site.values(port=port, name=name, program=program(self.program), settings=settings)
        values["binary"] = self._binary(site, values)
        command = [word.format_map(values) for word in self.command]
        log = site.folder / f"{name}.log"
        started = Started(command, log, site.processors.proxy, environment=self.environment)
        try:
            started.wait_until_ready(port, "/rc/x")
        except BaseException:
            started.stop()
            raise
        return Running(site, started, port)

    def _binary(self, site: Site, values: Mapping[str, object]) -> str:
        path = site.folder / f"{self.name}-built"
        if self.build and not path.exists():
            words = [word.format_map({**values, "binary": path}) for word in self.build]
            done = subprocess.run(
                words, cwd=site.folder, capture_output=True, text=True, check=False, timeout=BUILD_WITHIN
            )
            if done.returncode:
                raise NotReadyError(f"it cannot be built: {(done.stderr.splitlines() or ['?'])[-1]}")
        return str(path)


NGINX = Peer(
    name="nginx",
    label="nginx",
    program="nginx",
    settings="nginx.conf",
    command=("{program}", "-p", "{folder}", "-e", "{name}.err", "-c", "{settings}"),
    version_command=("-v",),
)
PEERS = (
    NGINX,
    Peer(
        name="haproxy",
        label="HAProxy",
        program="haproxy",
        settings="haproxy.cfg",
        command=("{program}", "-db", "-f", "{settings}"),
        version_command=("-v",),
    ),
    Peer(
        name="envoy",
        label="Envoy",
        program="envoy",
        settings="envoy.yaml",
        command=(
            *("{program}", "--config-path", "{settings}", "--concurrency", "1"),
            *("--disable-hot-restart", "--log-level", "error"),
        ),
        version_command=("--version",),
    ),
    Peer(
        name="go",
        label="Go",
        program="go",
        settings="reverse_proxy.go",
        fills_in=False,
        build=("{program}", "build", "-o", "{binary}", "{settings}"),
        command=("{binary}", *_ARGUMENTS),
        version_command=("version",),
        environment=_ONE_THREAD,
    ),
    Peer(
        name="caddy",
        label="Caddy",
        program="caddy",
        settings="Caddyfile",
        command=("{program}", "run", "--config", "{settings}", "--adapter", "caddyfile"),
        version_command=("version",),
        environment=_ONE_THREAD,
    ),
    Peer(
        name="aiohttp",
        label="aiohttp",
        program=Path(sys.executable).name,
        settings="stock_aiohttp.py",
        fills_in=False,
        command=("{program}", "{settings}", *_ARGUMENTS),
        known_version=aiohttp.__version__,
    ),
)
