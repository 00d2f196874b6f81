"""compose.yaml on loopback addresses, for where no namespaces can be made."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from tests.compose.deployment import NOTHING, Deployment, done, replaced
from tests.compose.described import COMPOSE, NETWORK, PROXY, Described, described
from tests.support.processes import ROOT, Done, free_port

_PATIENCE = 40  # seconds


class OnLoopback(Deployment):
    """The proxy and the callers as processes of the test's own user, told apart by their addresses."""

    vendor_address = "127.57.81.250"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.admin_port, self.vendor_port = free_port(), free_port(), free_port()
        (folder / "etc").mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    @cached_property
    def described(self) -> Described:
        """What is started: compose.yaml with other places."""
        compose = replaced(
            COMPOSE.read_text(),
            {
                "10.57.81.": "127.57.81.",
                "admin: 0.0.0.0:8081": f"admin: 127.57.81.128:{self.admin_port}",
                "127.0.0.1:8081/healthz": f"127.57.81.128:{self.admin_port}/healthz",
                "/run/secrets/": f"{self.folder}/secrets/",
                "/etc/bearer-proxy": f"{self.folder}/etc",
            },
        )
        url = f"https://{self.vendor_address}:{self.vendor_port}"
        own = f'{{extends: readycloud, upstream: "{url}", token_url: "{url}/api/v1/oauth2/token/"}}'
        compose = compose.replace("\nx-hardened:", f"\n  providers: {{readycloud: {own}}}\n\nx-hardened:")
        dockerfile = replaced(
            (ROOT / "Dockerfile").read_text(),
            {
                "BEARER_PROXY_LISTEN=0.0.0.0:8080": f"BEARER_PROXY_LISTEN=127.57.81.128:{self.port}",
                "/etc/bearer-proxy": f"{self.folder}/etc",
                "/data": str(self.data),
                "/opt/bearer-proxy/bin:$PATH": f"{self.programs}:{os.environ['PATH']}",
            },
        )
        return described(compose, dockerfile)

    def outside(self) -> list[str]:
        """The beginning of a command line that runs where the vendor is."""
        return []

    def serve(self) -> None:
        """Start the proxy."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.arguments(), env=self._env(), cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.closing.callback(self._close)

    @property
    def pid(self) -> int:
        """The proxy's process id."""
        assert self._process is not None
        return self._process.pid

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the proxy, and give its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(_PATIENCE)

    def proxy(self, *command: str, stdin: str = "") -> Done:
        """Run a command of bearer-proxy with the same environment."""
        return done(self.arguments(*command), stdin, self._env())

    def health(self, environment: Mapping[str, str] = NOTHING) -> Done:
        """Run the command of the health check, with these variables too."""
        return done(self.described.service(PROXY)["healthcheck"]["test"][1:], env={**self._env(), **environment})

    def caller(self, name: str) -> Done:
        """Run a caller of compose.yaml at its address."""
        networks = self.described.service(name)["networks"]
        wished = networks[NETWORK]["ipv4_address"] if isinstance(networks, dict) else ""
        return done(self.described.arguments(name), env=self._curl(wished or self.address(1)))

    def curl(self, source: str, *arguments: str) -> Done:
        """Run curl at an address of the network, the host's own too."""
        command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *arguments]
        return done(command, env=self._curl(source))

    def on_the_host(self, port: int) -> bool:
        """Tell whether a port of the proxy's can be connected to on 127.0.0.1."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", {8080: self.port, 8081: self.admin_port}[port])) == 0

    def _env(self) -> dict[str, str]:
        return self.environment({"SSL_CERT_FILE": str(self.ca)})

    def _curl(self, source: str) -> dict[str, str]:
        """The environment in which curl knows the names of the network, and calls from an address of it."""
        home = self.folder / f"curl-{source}"
        home.mkdir(exist_ok=True)
        names = [PROXY, *self.described.service(PROXY)["networks"][NETWORK]["aliases"]]
        ports = {8080: self.port, 8081: self.admin_port}
        lines = [f'interface = "{source}"']
        lines += [f'connect-to = "{n}:{at}:{self.address(0)}:{to}"' for n in names for at, to in ports.items()]
        (home / ".curlrc").write_text("\n".join(lines))
        clean = {name: value for name, value in os.environ.items() if not re.fullmatch(r"(?i)\w+_proxy", name)}
        return clean | {"CURL_HOME": str(home)}

    def _close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(_PATIENCE)
