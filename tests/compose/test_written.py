"""compose.yaml as it is written: held against the specification's schema, and against what it promises."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose.deployment import make_secrets, replaced
from tests.compose.described import COMPOSE, NETWORK, PROXY, described
from tests.support.processes import ROOT, command

CALLERS = "caller-with-key", "caller-by-network"
FROM_FILE = re.compile(r"\$\{file:/run/secrets/(\w+)\}")
COMPOSED = described()
CONFIG: dict[str, Any] = yaml.safe_load(COMPOSED.config)


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    """Hold a file against the compose specification's schema, which check-jsonschema brings along."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(check, capture_output=True, text=True, check=False, timeout=60)


def test_the_specifications_schema() -> None:
    """It is a compose file."""
    done = checked(COMPOSE)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_the_schema_sees_a_wrong_key(tmp_path: Path) -> None:
    """A key that the specification does not know is found."""
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE.read_text().replace("stop_grace_period:", "stop_grace:"))
    done = checked(path)
    assert 1 == done.returncode
    assert "stop_grace" in done.stdout


async def test_its_configuration(tmp_path: Path) -> None:
    """`check` has nothing to say of it, laid out as in the container and listening as the image does."""
    make_secrets(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(replaced(COMPOSED.config, {"/run/secrets": f"{tmp_path}/secrets"}))
    env = {name: value for name, value in COMPOSED.image.environment.items() if name.startswith("BEARER_PROXY_")}
    done = await command("check", cwd=tmp_path, env={**env, "BEARER_PROXY_CONFIG": str(config)})
    assert 0 == done.code, done.err
    assert "" == done.err
    assert "warning" not in done.out


@pytest.mark.parametrize("name", [PROXY, *CALLERS])
def test_a_service_has_as_little_as_can_be(name: str) -> None:
    """A root that cannot be written to, no capability, none to be had, no root's namespaces, one network."""
    service = COMPOSED.service(name)
    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert [NETWORK] == list(service["networks"])
    assert {"privileged", "user", "cap_add", "devices", "pid", "ipc", "network_mode"}.isdisjoint(service)


def test_the_images() -> None:
    """The callers' is pinned to a version; the proxy's is made here, and its user is not root."""
    for name in CALLERS:
        assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+\.\d+", COMPOSED.service(name)["image"])
    assert "." == COMPOSED.service(PROXY)["build"]
    assert "10001" == COMPOSED.image.user


def test_ports() -> None:
    """The control plane is published on the host's loopback, and nothing else is."""
    assert {PROXY: ["127.0.0.1:8081:8081"]} == {
        name: service["ports"] for name, service in COMPOSED.data["services"].items() if "ports" in service
    }
    assert "0.0.0.0:8081" == CONFIG["admin"]
    assert "0.0.0.0:8080" == COMPOSED.environment["BEARER_PROXY_LISTEN"]
    assert "listen" not in CONFIG


def test_the_configuration_takes_secrets_from_files() -> None:
    """Each is a reference to a file that the proxy is given, and the proxy is given no other."""
    app = CONFIG["credentials"]["readycloud"]
    written = [CONFIG["admin_key"], CONFIG["store_key"], app["client_id"], app["client_secret"]]
    written += [client["key"] for client in CONFIG["clients"].values()]
    matches = [FROM_FILE.fullmatch(value) for value in written]
    assert all(matches), written
    granted = COMPOSED.service(PROXY)["secrets"]
    assert sorted(granted) == sorted(match[1] for match in matches if match)
    assert sorted(granted) == sorted(COMPOSED.data["secrets"])


def test_secrets_are_files_beside_it() -> None:
    """They come from a folder that neither git nor the image takes; owner and mode are the host's, so none is set."""
    for name, secret in COMPOSED.data["secrets"].items():
        assert {"file": f"./secrets/{name}"} == secret
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" == ignore[0]
    assert ["!config.yaml", "!LICENSE", "!proxy", "!pyproject.toml", "!README.md"] == sorted(
        (line for line in ignore if line.startswith("!")), key=str.lower
    )


def test_no_secret_is_in_an_environment_or_an_argument() -> None:
    """The only variable is the configuration; the caller with a key reads it from its file, into a pipe."""
    found = {n: list(s.get("environment", ())) for n, s in COMPOSED.data["services"].items() if s.get("environment")}
    assert {PROXY: ["CONFIG"]} == found
    assert not any("env_file" in service for service in COMPOSED.data["services"].values())
    (script,) = COMPOSED.service("caller-with-key")["command"]
    written, piped = script.split(" | ")
    assert "$(cat /run/secrets/erp_key)" in written
    assert written.startswith("printf "), "a builtin of the shell, so that the key is no argument"
    assert "--config -" in piped
    assert "$" not in piped
    assert ["erp_key"] == COMPOSED.service("caller-with-key")["secrets"]
    assert "secrets" not in COMPOSED.service("caller-by-network")


def test_secrets_are_made_so_that_only_their_owner_gets_to_them(tmp_path: Path) -> None:
    """By the head's own commands: a folder for one user, in it files that a container's user can read."""
    umask = os.umask(0o077)
    try:
        make_secrets(tmp_path)
    finally:
        os.umask(umask)
    assert 0o700 == (tmp_path / "secrets").stat().st_mode & 0o777
    assert {0o644} == {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()}
    assert sorted(COMPOSED.data["secrets"]) == sorted(path.name for path in (tmp_path / "secrets").iterdir())


def test_the_grace_period_is_long_enough() -> None:
    """Requests in flight, then a renewal that the last of them set off, and some seconds to save and close."""
    renewal = 20.0  # seconds, the default of exchange_timeout
    assert "exchange_timeout" not in CONFIG
    grace = float(COMPOSED.service(PROXY)["stop_grace_period"].removesuffix("s"))
    assert 30.0 == grace
    assert float(CONFIG["shutdown_timeout"].removesuffix("s")) + renewal + 3.0 <= grace


def test_the_healthcheck_is_the_images() -> None:
    """It asks the control plane in the container, and no forward proxy of the environment."""
    test = COMPOSED.service(PROXY)["healthcheck"]["test"]
    assert ["CMD", *COMPOSED.image.healthcheck] == test
    assert "http://127.0.0.1:8081/healthz" in test[-1]
    assert "ProxyHandler({})" in test[-1]


def test_addresses() -> None:
    """Of the whole network one caller is admitted without a key; an address by chance never is, nor the host's."""
    ipam = COMPOSED.ipam
    subnet, by_chance = (ipaddress.IPv4Network(ipam[key]) for key in ("subnet", "ip_range"))
    admitted = [ipaddress.IPv4Network(one) for one in CONFIG["anonymous"]]
    fixed = ipaddress.IPv4Address(COMPOSED.service("caller-by-network")["networks"][NETWORK]["ipv4_address"])
    assert all(one.subnet_of(subnet) and one.num_addresses <= 16 for one in admitted)
    assert any(fixed in one for one in admitted)
    assert not any(one.overlaps(by_chance) or ipaddress.IPv4Address(ipam["gateway"]) in one for one in admitted)
    assert [NETWORK] == COMPOSED.service("caller-with-key")["networks"]


def test_names() -> None:
    """What the callers call is the service's name, an alias of it, and a route of the proxy's."""
    aliases = COMPOSED.service(PROXY)["networks"][NETWORK]["aliases"]
    assert [PROXY] == CONFIG["hosts"]
    assert aliases == [route["host"] for route in CONFIG["routes"] if "host" in route]
    urls = [re.findall(r"http://[^/]+/\S*", " ".join(COMPOSED.arguments(name))) for name in CALLERS]
    assert [
        [f"http://{PROXY}:8080/readycloud/api/v2/orgs/"],
        [f"http://{aliases[0]}:8080/api/v2/orgs/"],
    ] == urls


def test_callers_wait_for_the_proxy() -> None:
    """They start when its health check succeeds."""
    for name in CALLERS:
        assert {PROXY: {"condition": "service_healthy"}} == COMPOSED.service(name)["depends_on"]


def test_the_arguments_end_in_the_images() -> None:
    """The entrypoint only puts the configuration in its place: then comes what the image would have executed."""
    image = COMPOSED.image
    *shell, script, zero = COMPOSED.service(PROXY)["entrypoint"]
    assert (["sh", "-euc"], *image.entrypoint) == (shell, zero)
    writes, executes = script.split("; ")
    assert f'printf %s "$CONFIG" > {image.environment["BEARER_PROXY_CONFIG"]}' == writes
    assert f'exec {image.entrypoint[0]} "$@"' == executes
    assert image.command == COMPOSED.service(PROXY)["command"]
    (tmpfs,) = COMPOSED.service(PROXY)["tmpfs"]
    folder, _, options = tmpfs.partition(":")
    assert str(Path(image.environment["BEARER_PROXY_CONFIG"]).parent) == folder
    assert f"uid={image.user}" in options.split(",")
    assert [f"tokens:{path}" for path in image.volumes] == COMPOSED.service(PROXY)["volumes"]
