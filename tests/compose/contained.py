"""compose.yaml in containers of network and mount namespaces."""

from __future__ import annotations

import itertools
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.compose.deployment import NOTHING, VENDOR, Deployment, done
from tests.compose.described import NETWORK, PROXY
from tests.compose.namespaces import Container, Inside, Namespace
from tests.support.processes import Done

_CURL_USER = 100  # of curl's image
_OURS = "203.0.113.1"  # RFC 5737: the proxy's way out, which the callers have not
_CA = "/etc/ssl/authorities.pem"
_LIBRARIES = Path("/etc/ld.so.cache")


class Contained(Deployment):
    """The proxy and each caller in a container of its own, on a bridge at which the host is too."""

    vendor_address = "203.0.113.2"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._numbers = itertools.count()
        self._host = self._namespace()
        self._outside = self._namespace(self._host)
        self._outside.ip("link set lo up")
        prefix = self.described.ipam["subnet"].partition("/")[2]
        self._host.ip(
            "link set lo up",
            "link add callers type bridge",
            f"address add {self.gateway}/{prefix} dev callers",
            "link set callers up",
        )
        self._place = self._plugged(self.address(0))
        self._place.ip(
            f"link add outward type veth peer name inward netns {self._outside.pid}",
            f"address add {_OURS}/30 dev outward",
            "link set outward up",
        )
        self._outside.ip(f"address add {self.vendor_address}/30 dev inward", "link set inward up")
        if self.described.image.user.isdecimal():
            subprocess.run(["chown", self.described.image.user, self.data], check=False, capture_output=True)
        self._proxy: Container | None = None

    def outside(self) -> list[str]:
        """The beginning of a command line that runs where the vendor is."""
        return self._outside.enter()

    def serve(self) -> None:
        """Start the proxy."""
        self._proxy = Container(self._in_proxy(self.arguments()), self.log)
        self.closing.callback(self._proxy.close)

    @property
    def pid(self) -> int:
        """The proxy's process id, outside."""
        assert self._proxy is not None
        return self._proxy.first

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the proxy, and give its exit code."""
        assert self._proxy is not None
        return self._proxy.end(number)

    def proxy(self, *command: str, stdin: str = "") -> Done:
        """Run a command of bearer-proxy in a container like the proxy's."""
        return done(self._in_proxy(self.arguments(*command)), stdin)

    def health(self, environment: Mapping[str, str] = NOTHING) -> Done:
        """Run the command of the health check beside the proxy, with these variables too."""
        kind, *command = self.described.service(PROXY)["healthcheck"]["test"]
        assert "CMD" == kind
        return done(self._in_proxy(command, environment))

    def caller(self, name: str) -> Done:
        """Run a caller of compose.yaml in its container."""
        service = self.described.service(name)
        networks = service["networks"]
        wished = networks[NETWORK]["ipv4_address"] if isinstance(networks, dict) else ""
        secrets = self.described.secrets(name) if "secrets" in service else {}
        return self._at(wished or self.address(1), self.described.arguments(name), secrets)

    def curl(self, source: str, *arguments: str) -> Done:
        """Run curl at an address of the network, the host's own too."""
        command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *arguments]
        if source != self.gateway:
            return self._at(source, command, {})
        inside = Inside(files=self._files({}), user=_CURL_USER)
        return done(inside.command(self._host, self._root(), command))

    def on_the_host(self, port: int) -> bool:
        """Tell whether a port can be connected to on the host's own loopback."""
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        return done([*self._host.enter(), "python3", "-c", code]).code == 0

    def _at(self, address: str, command: list[str], secrets: dict[str, Path]) -> Done:
        place = self._plugged(address)
        try:
            inside = Inside(files=self._files(secrets), user=_CURL_USER)
            return done(inside.command(place, self._root(), command))
        finally:
            place.close()

    def _in_proxy(self, command: list[str], environment: Mapping[str, str] = NOTHING) -> list[str]:
        image, service = self.described.image, self.described.service(PROXY)
        programs = image.environment["PATH"].partition(":")[0]
        inside = Inside(
            environment=self.environment({"SSL_CERT_FILE": _CA, **environment}),
            files={
                **self._files(self.described.secrets(PROXY), f"{self.vendor_address} {VENDOR}\n"),
                **{f"{programs}/{one.name}": one for one in self.programs.iterdir()},
                _CA: self.ca,
            },
            folders={volume.partition(":")[2]: self.data for volume in service["volumes"]},
            tmpfs=service["tmpfs"],
            user=int(image.user),
            workdir=image.workdir,
        )
        return inside.command(self._place, self._root(), command)

    def _files(self, secrets: dict[str, Path], more: str = "") -> dict[str, Path]:
        """What an engine puts into a container, beside what its image has."""
        names = [PROXY, *self.described.service(PROXY)["networks"][NETWORK]["aliases"]]
        hosts = self.folder / f"hosts-{next(self._numbers)}"
        hosts.write_text(f"127.0.0.1 localhost\n{self.address(0)} {' '.join(names)}\n{more}")
        lookup = self.folder / "nsswitch.conf"
        lookup.write_text("hosts: files\npasswd: files\n")
        found = {"/etc/hosts": hosts, "/etc/nsswitch.conf": lookup}
        if _LIBRARIES.exists():
            found[str(_LIBRARIES)] = _LIBRARIES
        return found | {path: self.folder / file for path, file in secrets.items()}

    def _plugged(self, address: str) -> Namespace:
        """A new network that is connected to the bridge."""
        place = self._namespace(self._host)
        name = f"callers{next(self._numbers)}"
        prefix = self.described.ipam["subnet"].partition("/")[2]
        self._host.ip(
            f"link add {name} type veth peer name eth0 netns {place.pid}",
            f"link set {name} master callers up",
        )
        place.ip(
            "link set lo up",
            f"address add {address}/{prefix} dev eth0",
            "link set eth0 up",
            f"route add default via {self.gateway}",
        )
        return place

    def _namespace(self, owner: Namespace | None = None) -> Namespace:
        place = Namespace(owner)
        self.closing.callback(place.close)
        return place

    def _root(self) -> Path:
        return self.folder / f"root-{next(self._numbers)}"
