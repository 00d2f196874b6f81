"""compose.yaml put to work without an engine, by what engines are made of; or, where that cannot be had, on loopback.

As it is written: arguments, environment, users, secrets and their modes, read-only roots, addresses, and names. Both
differ in what lies outside: the vendor is the emulated one, behind TLS, and SSL_CERT_FILE stands for the system's
authorities; PYTHONPATH stands for the installed package. On loopback, besides: addresses of 127/8 in place of the
network's, ports that are free, folders of the test's in place of those in the container, the test's own user, and an
own `upstream` and `token_url`, because there the vendor's name cannot be made to lead anywhere else.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import trustme

from tests.compose.described import COMPOSE, PROXY, Described, described
from tests.support.processes import ROOT, Done

VENDOR = "www.readycloud.com"
APP = {"readycloud_client_id": "sandbox-app", "readycloud_client_secret": "sandbox-secret"}
NOTHING: Mapping[str, str] = MappingProxyType({})
_WITHIN = 30.0  # seconds


class Deployment(ABC):
    """The services of compose.yaml; `enter` makes the place for them, `start` starts the proxy and signs in."""

    vendor_address: str
    vendor_port = 443

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.closing = contextlib.ExitStack()
        self.grant: dict[str, object] = {}
        self.log = folder / "proxy.log"
        self.data = folder / "data"
        self.data.mkdir()
        make_secrets(folder)
        self.ca = folder / "ca.pem"
        self.programs = _programs(folder)

    @cached_property
    def described(self) -> Described:
        """What is started."""
        return described()

    def address(self, index: int) -> str:
        """An address of the network that nobody asked for: the proxy's is the first."""
        return str(ipaddress.ip_network(self.described.ipam["ip_range"])[index])

    @property
    def gateway(self) -> str:
        """Where the host is on the network, and whence come those who call a published port."""
        return self.described.ipam["gateway"]

    def start(self) -> None:
        """Start the vendor, sign in to it, start the proxy, and wait until it is healthy."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        certificate = self.folder / "vendor.pem"
        authority.issue_cert(VENDOR, self.vendor_address).private_key_and_cert_chain_pem.write_to_path(certificate)
        address = [self.vendor_address, str(self.vendor_port), str(certificate)]
        vendor = subprocess.Popen(
            [*self.outside(), sys.executable, "-m", "tests.compose.vendor", *address],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.closing.callback(_end, vendor)
        assert vendor.stdout is not None
        self.grant = json.loads(vendor.stdout.readline())
        done = self.proxy("import", "readycloud", stdin=json.dumps(self.grant))
        assert 0 == done.code, done.err
        self.serve()
        end = time.monotonic() + _WITHIN
        while self.health().code != 0:
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> tuple[int, float]:
        """Stop the proxy as an engine does; give its exit code, and the seconds that it took."""
        begun = time.monotonic()
        return self.end(signal.SIGTERM), time.monotonic() - begun

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """What the proxy has in its environment."""
        return {**self.described.environment, "PYTHONPATH": str(ROOT), **extra}

    def arguments(self, *command: str) -> list[str]:
        """How the proxy's container is started, with another command than its own."""
        own = self.described.service(PROXY).get("command", self.described.image.command)
        everything = self.described.arguments(PROXY)
        return [*everything[: -len(own)], *command] if command else everything

    @abstractmethod
    def outside(self) -> list[str]:
        """The beginning of a command line that runs where the vendor is."""

    @abstractmethod
    def serve(self) -> None:
        """Start the proxy."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The proxy's process id."""

    @abstractmethod
    def end(self, number: signal.Signals) -> int:
        """Send a signal to the proxy, and give its exit code."""

    @abstractmethod
    def proxy(self, *command: str, stdin: str = "") -> Done:
        """Run a command of bearer-proxy beside it, as `docker compose run` does."""

    @abstractmethod
    def health(self, environment: Mapping[str, str] = NOTHING) -> Done:
        """Run the command of the health check beside the proxy, with these variables too."""

    @abstractmethod
    def caller(self, name: str) -> Done:
        """Run a caller of compose.yaml to its end."""

    @abstractmethod
    def curl(self, source: str, *arguments: str) -> Done:
        """Run curl at an address of the network; its output ends with a line that holds the status."""

    @abstractmethod
    def on_the_host(self, port: int) -> bool:
        """Tell whether a port of the proxy's can be connected to on the host's own loopback."""


def make_secrets(folder: Path) -> None:
    """Do what the head of compose.yaml says."""
    head = COMPOSE.read_text().partition("\nname:")[0]
    commands = re.findall(r"^#   (.*secrets.*)$", head, re.MULTILINE)
    assert any(command.startswith("chmod") for command in commands)
    for command in (one for one in commands if not one.startswith("docker")):
        value = APP.get(command.rpartition("/")[2], "")
        subprocess.run(["sh", "-euc", command], cwd=folder, input=f"{value}\n", text=True, check=True)


def done(arguments: Sequence[str], stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
    """Run a command to its end."""
    ran = subprocess.run(arguments, input=stdin, env=env, capture_output=True, text=True, timeout=_WITHIN, check=False)
    return Done(ran.returncode, ran.stdout, ran.stderr)


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Put other texts in; each has to be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _programs(folder: Path) -> Path:
    """The programs that the image has in its PATH."""
    programs = folder / "bin"
    programs.mkdir()
    for name, arguments in (("python", ""), ("bearer-proxy", "-m proxy ")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments}"$@"\n')
        (programs / name).chmod(0o755)
    return programs


def _end(process: subprocess.Popen[bytes]) -> None:
    process.communicate()
