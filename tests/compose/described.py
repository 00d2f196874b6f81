"""What compose.yaml and the Dockerfile describe together, read as Compose and the engine read them.

Knows the part of both formats that is in use here, and fails loudly on any other.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import ROOT

COMPOSE = ROOT / "compose.yaml"
PROXY = "proxy"
NETWORK = "callers"
_BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"  # of the image that ours is made from


@dataclass(frozen=True)
class Image:
    """What an image says of the containers that are made of it."""

    environment: dict[str, str]
    user: str
    workdir: str
    entrypoint: list[str]
    command: list[str]
    healthcheck: list[str]
    volumes: list[str]


@dataclass(frozen=True)
class Described:
    """compose.yaml, its `$$` resolved, and the image of the proxy."""

    data: dict[str, Any]
    image: Image

    def service(self, name: str) -> dict[str, Any]:
        """One service, as it is written."""
        service: dict[str, Any] = self.data["services"][name]
        return service

    @property
    def config(self) -> str:
        """The proxy's config.yaml."""
        return str(self.service(PROXY)["environment"]["CONFIG"])

    @property
    def environment(self) -> dict[str, str]:
        """What the proxy's container has in its environment."""
        return {**self.image.environment, **self.service(PROXY)["environment"]}

    @property
    def ipam(self) -> dict[str, str]:
        """The addresses of the network."""
        (found,) = self.data["networks"][NETWORK]["ipam"]["config"]
        return dict(found)

    def arguments(self, name: str) -> list[str]:
        """What is executed in the container of a service: the entrypoint and the command."""
        service = self.service(name)
        entrypoint = service.get("entrypoint", self.image.entrypoint if name == PROXY else [])
        return [*entrypoint, *service.get("command", [])]

    def secrets(self, name: str) -> dict[str, Path]:
        """Where the secrets of a service are in its container, and where their files are, from compose.yaml on."""
        return {f"/run/secrets/{one}": Path(self.data["secrets"][one]["file"]) for one in self.service(name)["secrets"]}


def described(compose: str | None = None, dockerfile: str | None = None) -> Described:
    """Read both files, or these texts in their place."""
    data = yaml.safe_load(COMPOSE.read_text() if compose is None else compose)
    return Described(
        _interpolated(data), image((ROOT / "Dockerfile").read_text() if dockerfile is None else dockerfile)
    )


def image(dockerfile: str) -> Image:
    """Read the last stage of a Dockerfile."""
    stage = re.split(r"^FROM .*$", dockerfile.replace("\\\n", " "), flags=re.MULTILINE)[-1]
    found: dict[str, list[str]] = {}
    for line in stage.splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest.strip())
    assert ["bearer-proxy"] == json.loads(found["ENTRYPOINT"][0])
    return Image(
        environment=dict(
            pair.replace("$PATH", _BASE_PATH).split("=", 1) for line in found["ENV"] for pair in shlex.split(line)
        ),
        user=found["USER"][0],
        workdir=found["WORKDIR"][0],
        entrypoint=json.loads(found["ENTRYPOINT"][0]),
        command=json.loads(found["CMD"][0]),
        healthcheck=json.loads(found["HEALTHCHECK"][0].partition("CMD ")[2]),
        volumes=found["VOLUME"],
    )


def _interpolated(value: Any) -> Any:
    """Write `$` for `$$`; a variable would need an answer, and there shall be none."""
    if isinstance(value, dict):
        return {key: _interpolated(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one) for one in value]
    if not isinstance(value, str):
        return value
    assert "$" not in value.replace("$$", ""), "compose.yaml takes something from the environment"
    return value.replace("$$", "$")
