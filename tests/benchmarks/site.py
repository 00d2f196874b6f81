"""Where a run takes place: its folder, its certificate authority, the upstream (nginx), and the ports of both.

Settings of other programs are files in `settings/`, in which `%{name}` stands for a value of the run.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import trustme

from tests.support.processes import free_port

from .process import Processors, Started, program

SETTINGS = Path(__file__).parent / "settings"
TOKEN = "tok"  # the upstream takes no other
DOWNLOAD = 64 << 20  # bytes


def _json_of(size: int) -> str:
    """Make a JSON object of exactly `size` bytes."""
    empty = json.dumps({"count": 1, "next": None, "results": ""})
    return empty.replace('""', f'"{"0" * (size - len(empty))}"')


class _Settings(Template):
    delimiter = "%"


@dataclass(frozen=True, slots=True)
class Site:
    """What the proxies of a run have to know. `own` is the port of an upstream that is in this process."""

    folder: Path
    processors: Processors
    plain: int
    tls: int
    listener: socket.socket = field(repr=False)

    @property
    def own(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def values(self, **more: object) -> dict[str, object]:
        """Give what may be named in settings and commands."""
        return {
            "folder": self.folder,
            "plain": self.plain,
            "tls": self.tls,
            "own": self.own,
            "ca": self.ca,
            "token": TOKEN,
            "token_file": self.token_file,
            "user": "user root;" if os.geteuid() == 0 else "",  # else nginx's workers could not enter the folder
            **more,
        }

    def write(self, settings: str, name: str, **more: object) -> Path:
        """Fill in a file of settings, and put it into the folder."""
        path = self.folder / name
        path.write_text(_Settings((SETTINGS / settings).read_text()).substitute(self.values(**more)))
        return path


@contextmanager
def opened(folder: Path, processors: Processors) -> Iterator[Site]:
    """Fill the folder, and have both upstreams listen meanwhile."""
    _fill(folder)
    with socket.create_server(("127.0.0.1", free_port()), backlog=64) as listener:
        site = Site(folder, processors, free_port(), free_port(), listener)
        site.write("upstream.conf", "upstream.conf", small=_json_of(338))
        command = [program("nginx"), "-p", str(folder), "-e", "upstream.err", "-c", "upstream.conf"]
        upstream = Started(command, folder / "upstream.log", processors.rest)
        try:
            upstream.wait_until_ready(site.plain, "/x", wanted=401)
            yield site
        finally:
            upstream.stop()


def _fill(folder: Path) -> None:
    for name in ("www", "temp"):
        (folder / name).mkdir()
    for name, size in (("kib", 1 << 10), ("page", 64 << 10)):
        (folder / "www" / name).write_text(_json_of(size))
    with (folder / "www/big").open("wb") as big:
        for _ in range(64):
            big.write(b"x" * (DOWNLOAD // 64))
    (folder / "token").write_text(TOKEN)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "upstream.pem"))
