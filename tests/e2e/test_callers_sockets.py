"""Unix sockets of the data plane: who may open them, and whose processes may call over them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Gateway, listening, running
from tests.support.upstream import LIMIT, Upstream

KEY = "erp-key-0123456789"
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as caller:
    try:
        caller.connect(sys.argv[1])
    except PermissionError:
        sys.exit("refused by the file's mode")
    caller.sendall(sys.stdin.buffer.read())
    with caller.makefile("rb") as answer:
        print(answer.read().decode())
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder into which everybody may look, which pytest's own are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def ask(path: Path, user: int, *fields: bytes) -> str:
    """Ask as another user's process; give the status and the error, or why there was no connection."""
    code, out, err = await said(path, user, [*fields, b"Connection: close"])
    return f"{out.split()[1]} {'socket_users' in out}" if code == 0 else err


async def said(path: Path, user: int, *heads: list[bytes]) -> tuple[int, str, str]:
    """Ask for one thing after the other as another user's process, in one go; give how that process ends."""
    first = [b"GET /t/a HTTP/1.1", b"Host: any.example"]
    process = await asyncio.create_subprocess_exec(
        shutil.which("python3", path=os.defpath) or sys.executable,
        "-c",
        ASK,
        path,
        cwd="/",
        user=user,
        group=user,
        extra_groups=[],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT):
        out, err = await process.communicate(b"".join(b"\r\n".join([*first, *fields, b"", b""]) for fields in heads))
    return process.returncode or 0, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def served(folder: Path, tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, Upstream, Path]]:
    """A proxy that listens on a unix socket too."""
    path = folder / "s"
    own = {"listen": f"unix:{path}", "prefix": "/t", "credential": "test", "name": "own"}
    with listening() as listener:
        async with (
            running(tmp_path, listener, {"routes": [own], **settings}) as gateway,
            Upstream(gateway.tokens).serving(listener) as upstream,
        ):
            yield gateway, upstream, path


USERS = (0, 1, 2, 65534)
FINE, OTHER, MODE = "200 False", "403 True", "refused by the file's mode\n"


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        ([FINE, MODE, MODE, MODE], {}),
        ([FINE, FINE, FINE, FINE], {"socket_mode": "0666"}),
        ([OTHER, FINE, OTHER, OTHER], {"socket_mode": "0666", "socket_users": ["daemon"]}),
        ([OTHER, FINE, OTHER, FINE], {"socket_mode": "0666", "socket_users": [1, "nobody"]}),
        ([FINE, MODE, MODE, MODE], {"socket_mode": "0600", "socket_users": ["root", 1]}),
        (
            [OTHER, "401 False", OTHER, OTHER],
            {"socket_mode": "0666", "socket_users": [1], "anonymous": "none", "clients": {"erp": {"key": KEY}}},
        ),
    ],
    ids=["nothing said", "everybody", "one", "two", "a mode in the way", "a key is needed too"],
)
async def test_users(folder: Path, tmp_path: Path, expected: list[str], settings: dict[str, Any]) -> None:
    """The file's mode lets users in, and of those only the named ones may call; a key is asked for beside."""
    async with served(folder, tmp_path, **settings) as (_, upstream, path):
        assert expected == [await ask(path, user) for user in USERS]
        assert expected.count(FINE) == len(upstream.requests)


async def test_key_of_another_user(folder: Path, tmp_path: Path) -> None:
    """It does not help: whose process calls is asked first."""
    settings = {"socket_mode": "0666", "socket_users": ["daemon"], "clients": {"erp": {"key": KEY}}}
    async with served(folder, tmp_path, **settings) as (gateway, upstream, path):
        bearer = f"Authorization: Bearer {KEY}".encode()
        assert [FINE, OTHER] == [await ask(path, user, bearer) for user in (1, 2)]
        assert 1 == len(upstream.requests)
        assert KEY not in gateway.proxy.log


async def test_guesses_of_another_user(folder: Path, tmp_path: Path) -> None:
    """They keep that user out, and nobody else."""
    settings = {"socket_mode": "0666", "anonymous": "none", "clients": {"erp": {"key": KEY}}}
    async with served(folder, tmp_path, **settings) as (_, _upstream, path):
        bearer = f"Authorization: Bearer {KEY}".encode()
        heads = [*([bearer + b"%d" % number] for number in range(10)), [bearer, b"Connection: close"]]
        _, out, _ = await said(path, 1, *heads)
        assert ["401"] * 10 + ["429"] == re.findall(r"^HTTP/1.1 (\d+)", out, re.MULTILINE)
        assert FINE == await ask(path, 2, bearer)
