"""Our own proxy as a user runs it: `python -m proxy serve -c CONFIG`, tokens brought by `import`, its log in a file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from proxy import __version__
from tests.support.imports import bring
from tests.support.processes import ROOT, free_port

from .column import Running, Size
from .process import NotReadyError, Started
from .site import TOKEN, Site

PROVIDER = '  {name}: {{grant: manual, renew: none, upstream: "{upstream}"}}'


@dataclass(frozen=True, slots=True)
class Ours:
    """Bearer-proxy; `quiet` without access log and control plane, so without metrics."""

    name: str
    label: str
    quiet: bool = False
    sizes: bool = True

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return "" if self.quiet else f"{__version__} on Python {'.'.join(map(str, sys.version_info[:3]))}"

    def start(self, site: Site, size: Size | None) -> Running:
        port = free_port()
        folder = site.folder / f"{self.name}-{port}"
        folder.mkdir(mode=0o700)
        config = folder / "config.yaml"
        names, lines, prefix = _three() if size is None else _many(size)
        config.write_text("\n".join([*self._listeners(site, port), *_providers(site), *lines, ""]))
        for name in names:
            code, error = bring(config, name, json.dumps({"access_token": TOKEN}))
            if code:
                raise NotReadyError(f"a token cannot be imported: {error.strip()}")
        command = [sys.executable, "-m", "proxy", "serve", "-c", str(config)]
        environment = {"PYTHONPATH": str(ROOT)}
        started = Started(command, folder / "serve.log", site.processors.proxy, environment=environment)
        try:
            started.wait_until_ready(port, f"{prefix}/x")
        except BaseException:
            started.stop()
            raise
        return Running(site, started, port, prefix)

    def _listeners(self, site: Site, port: int) -> list[str]:
        admin, log = ("null", "off") if self.quiet else (f"127.0.0.1:{free_port()}", "on")
        return [f"listen: 127.0.0.1:{port}", f"admin: {admin}", f"access_log: {log}", f"ca_file: {site.ca}"]


def _providers(site: Site) -> list[str]:
    upstreams = {
        "plain": f"http://127.0.0.1:{site.plain}",
        "tls": f"https://localhost:{site.tls}",
        "own": f"http://127.0.0.1:{site.own}",
    }
    return ["providers:", *(PROVIDER.format(name=name, upstream=url) for name, url in upstreams.items())]


def _three() -> tuple[list[str], list[str], str]:
    """What the peers have too: credentials' names, configuration lines, and the prefix to call."""
    prefixes = {"plain": "/rc", "tls": "/tls", "own": "/own"}
    credentials = [f"  {name}: {{provider: {name}}}" for name in prefixes]
    routes = [f"  - {{prefix: {prefix}, credential: {name}}}" for name, prefix in prefixes.items()]
    return list(prefixes), ["credentials:", *credentials, "routes:", *routes], "/rc"


def _many(size: Size) -> tuple[list[str], list[str], str]:
    """Routes and credentials by number; the last route, with the last credential, is the one to call."""
    names = [f"c{number}" for number in range(size.credentials)]
    credentials = [f"  {name}: {{provider: plain}}" for name in names]
    last = size.routes - 1
    routes = [
        f"  - {{prefix: /r{number}, credential: {names[(number - last - 1) % len(names)]}}}"
        for number in range(size.routes)
    ]
    return names, ["credentials:", *credentials, "routes:", *routes], f"/r{last}"


OURS = (Ours("ours", "ours"), Ours("ours-quiet", "ours, quiet", quiet=True))
