"""What compose.yaml describes, started as it is written: who gets an answer, who does not, and how it ends."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.compose.deployment import Deployment
from tests.compose.described import NETWORK, PROXY
from tests.support.beside import watched_arguments
from tests.support.processes import Done

BY_PREFIX = "http://proxy:8080/readycloud/api/v2/orgs/"
BY_ALIAS = "http://readycloud.internal:8080/api/v2/orgs/"
CONTROL = "http://proxy:8081/api/credentials"
PUBLISHED = "Host: 127.0.0.1:8081"  # as a browser on the host says it, whose port is led here


def status(done: Done) -> int:
    """The last line of what curl printed."""
    assert 0 == done.code, done.err
    return int(done.out.rpartition("\n")[2])


def stranger(up: Deployment) -> str:
    """An address that belongs to none of the services."""
    return up.address(2)


def admitted(up: Deployment) -> str:
    """The address of the caller that the proxy knows by it."""
    return str(up.described.service("caller-by-network")["networks"][NETWORK]["ipv4_address"])


def secret(up: Deployment, name: str) -> str:
    return (up.folder / "secrets" / name).read_text().strip()


@pytest.mark.parametrize("name", ["caller-with-key", "caller-by-network"])
def test_a_caller_gets_an_answer(up: Deployment, name: str) -> None:
    """Its command line succeeds as it is written, and prints the vendor's list."""
    done = up.caller(name)
    assert 0 == done.code, done.out + done.err + up.log.read_text()
    assert 1 == len(json.loads(done.out)["results"])


def test_links_lead_back_by_the_way_the_caller_came(up: Deployment) -> None:
    """What the vendor says of itself is told by the proxy's name, with its port and prefix."""
    (found,) = json.loads(up.caller("caller-with-key").out)["results"]
    assert "readycloud.com" not in json.dumps(found)


@pytest.mark.parametrize("url", [BY_PREFIX, BY_ALIAS])
def test_another_address_without_a_key(up: Deployment, url: str) -> None:
    """401, and it is told how a key is given."""
    done = up.curl(stranger(up), "--include", url)
    assert 401 == status(done)
    assert "\nwww-authenticate: basic" in done.out.lower()


@pytest.mark.parametrize("url", [BY_PREFIX, BY_ALIAS])
def test_the_host_without_a_key(up: Deployment, url: str) -> None:
    """The host is on the network by its gateway, and nobody there either."""
    assert 401 == status(up.curl(up.gateway, url))


def test_a_wrong_key(up: Deployment) -> None:
    """401, as without one."""
    assert 401 == status(up.curl(stranger(up), "--user", "erp:no-such-key-as-this-one", BY_PREFIX))


@pytest.mark.parametrize(
    "arguments",
    [[BY_ALIAS], ["--request", "POST", "--data", "", BY_PREFIX]],
    ids=["another route", "another method"],
)
def test_the_key_opens_what_it_is_for(up: Deployment, arguments: list[str]) -> None:
    """403 for all but GET on the route of the sample."""
    assert 403 == status(up.curl(stranger(up), "--user", f"erp:{secret(up, 'erp_key')}", *arguments))


def test_a_name_that_is_not_the_proxys(up: Deployment) -> None:
    """A name that was made to mean its address (DNS rebinding) gets nothing, though the caller is admitted."""
    assert 403 == status(up.curl(admitted(up), "--header", "Host: rebound.example:8080", BY_PREFIX))


def test_the_services_name_without_a_key(up: Deployment) -> None:
    """The admitted caller may use the prefix as well: `hosts` has the name."""
    assert 200 == status(up.curl(admitted(up), BY_PREFIX))


def test_the_hosts_loopback_without_the_data_plane(up: Deployment) -> None:
    """The port of the data plane is not there."""
    assert not up.on_the_host(8080)


def test_the_control_plane_as_it_is_published(up: Deployment) -> None:
    """From the host it wants the key, and takes it."""
    key = f"any:{secret(up, 'admin_key')}"
    assert 401 == status(up.curl(up.gateway, "--header", PUBLISHED, CONTROL))
    done = up.curl(up.gateway, "--header", PUBLISHED, "--user", key, CONTROL)
    assert 200 == status(done)
    assert "ok" == json.loads(done.out.rpartition("\n")[0])["credentials"][0]["state"]


def test_the_control_plane_for_callers(up: Deployment) -> None:
    """They can reach it, and get nothing without its key."""
    assert status(up.curl(stranger(up), CONTROL)) in (401, 403)
    assert 401 == status(up.curl(stranger(up), "--header", PUBLISHED, CONTROL))


@pytest.mark.parametrize("environment", [{}, {"http_proxy": "http://127.0.0.1:9"}], ids=["plain", "forward proxy"])
def test_the_healthcheck(up: Deployment, environment: dict[str, str]) -> None:
    """The command succeeds beside the proxy, and asks no forward proxy that the engine names to all containers."""
    assert 0 == up.health(environment).code


def test_no_secret_is_seen_from_outside(up: Deployment) -> None:
    """None is in an argument of a process, in the proxy's environment, or in its log."""
    secrets = [path.read_text().strip() for path in (up.folder / "secrets").iterdir() if "client_id" not in path.name]
    with watched_arguments() as arguments:
        assert 0 == up.caller("caller-with-key").code
    assert any(BY_PREFIX in line for line in arguments.seen), "curl was never seen"
    environment = Path(f"/proc/{up.pid}/environ").read_text()
    assert "CONFIG=" in environment
    told = "\n".join([*arguments.seen, environment, up.log.read_text()])
    assert [] == [one for one in secrets if one in told]


def test_the_volume_holds_no_token_in_clear(up: Deployment) -> None:
    """What is stored is encrypted with the key from the secret's file."""
    stored = b"".join(path.read_bytes() for path in up.data.iterdir() if path.is_file())
    assert b"readycloud" in stored
    assert [] == [name for name in ("access_token", "refresh_token") if str(up.grant[name]).encode() in stored]


def test_the_proxy_stops_in_time(own: AbstractContextManager[Deployment]) -> None:
    """SIGTERM ends it with 0 within the time that it is given; the health check fails from then on."""
    with own as deployment:
        grace = deployment.described.service(PROXY)["stop_grace_period"]
        code, seconds = deployment.stop()
        assert 0 == code, deployment.log.read_text()
        assert seconds < float(grace.removesuffix("s"))
        assert 0 != deployment.health().code
