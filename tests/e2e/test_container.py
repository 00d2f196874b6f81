"""The container image as its Dockerfile describes it, as far as that can be seen without an engine."""

from __future__ import annotations

import asyncio
import json
import re
import sys

from proxy.sandbox import Sandbox
from tests.support.processes import ROOT, Proxy, command, environment, free_port, sandbox_config

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def image_environment() -> dict[str, str]:
    """What the ENV instruction sets."""
    return dict(re.findall(r"\b(BEARER_PROXY_\w+)=(\S+)", DOCKERFILE))


async def test_a_fresh_container_is_not_open(bare_proxy: Proxy) -> None:
    """The image's address and the example configuration: exit 2, saying who may call has to be said."""
    (bare_proxy.folder / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    env = {"BEARER_PROXY_LISTEN": image_environment()["BEARER_PROXY_LISTEN"]}
    done = await command("serve", cwd=bare_proxy.folder, env=env)
    assert 2 == done.code
    assert "config.yaml:6: listen: BEARER_PROXY_LISTEN: this listens beyond loopback" in done.err
    assert not (bare_proxy.folder / "tokens.db").exists()


async def test_the_image_starts_once_it_is_told_who_may_call(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Listening by environment, the store elsewhere, and the HEALTHCHECK's command work; SIGTERM ends it with 0."""
    data = bare_proxy.folder / "data"
    data.mkdir()
    text = sandbox_config(vendors, "anonymous: any")
    bare_proxy.configure(text)
    bare_proxy.port = free_port()
    await bare_proxy.start(
        {"BEARER_PROXY_LISTEN": f"0.0.0.0:{bare_proxy.port}", "BEARER_PROXY_STORE": f"sqlite:{data / 'tokens.db'}"}
    )
    assert (data / "tokens.db").exists()
    healthcheck = json.loads(re.findall(r"HEALTHCHECK[^[]*(\[.*\])", DOCKERFILE)[0])
    healthcheck[-1] = healthcheck[-1].replace("127.0.0.1:8081", f"127.0.0.1:{bare_proxy.admin_port}")
    process = await asyncio.create_subprocess_exec(sys.executable, *healthcheck[1:], env=environment())
    assert 0 == await process.wait()
    assert 0 == await bare_proxy.stop()


def test_the_image_is_lean_and_safe() -> None:
    """Two stages, not root, tokens on a volume, a clean end."""
    assert 2 == len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE))
    assert re.search(r"^USER \d+$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", DOCKERFILE, re.MULTILINE)
    assert image_environment()["BEARER_PROXY_STORE"].startswith("sqlite:/data/")
    assert "STOPSIGNAL SIGTERM" in DOCKERFILE
