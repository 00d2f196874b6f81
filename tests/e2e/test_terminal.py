"""Commands on a real terminal: tokens are asked for, and never shown."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, environment, sandbox_config


async def on_a_terminal(proxy: Proxy, *arguments: str, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command on a terminal, type each answer when its question stands there; give code and screen."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        cwd=proxy.folder,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # makes it the controlling terminal
    )
    os.close(theirs)
    screen = ""

    async def read() -> bool:
        nonlocal screen
        try:
            piece = await asyncio.to_thread(os.read, ours, 4096)
        except OSError:  # how Linux tells that the other end is closed
            return False
        screen += piece.decode()
        return True

    async with asyncio.timeout(20):
        seen = 0
        for question, answer in answers:
            while question not in screen[seen:]:
                assert await read(), screen
            seen = len(screen)
            os.write(ours, f"{answer}\n".encode())
        while await read():
            pass
        code = await process.wait()
    os.close(ours)
    return code, screen


async def test_import_asks_without_echo(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """Access token, refresh token and lifetime are asked for; only the lifetime is shown."""
    bare_proxy.configure(sandbox_config(vendors))
    tokens = vendors.grant("onecloud")
    code, screen = await on_a_terminal(
        bare_proxy,
        "import",
        "onecloud",
        answers=[
            ("Access token", str(tokens["access_token"])),
            ("Refresh token", str(tokens["refresh_token"])),
            ("Lifetime", "86400"),
        ],
    )
    assert 0 == code, screen
    assert "imported for onecloud: an access token, a refresh token; it expires in 24 h" in screen
    assert str(tokens["access_token"]) not in screen
    assert str(tokens["refresh_token"]) not in screen
    done = await bare_proxy.command("refresh", "onecloud")
    assert 0 == done.code, done.err


async def test_import_takes_a_whole_address(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """The address that a sign-in ends at is enough, with all that follows its #."""
    bare_proxy.configure(sandbox_config(vendors))
    address = (
        "https://www.readycloud.com/api/v1/oauth2/auth_code?state=x#access_token=abc&refresh_token=def&expires_in=60"
    )
    code, screen = await on_a_terminal(bare_proxy, "import", "readycloud", answers=[("Access token", address)])
    assert 0 == code, screen
    assert "it expires in 60 s" in screen
    assert "abc" not in screen


async def test_import_of_a_lifetime_that_is_none(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """It is refused, and nothing is stored."""
    bare_proxy.configure(sandbox_config(vendors))
    answers = [("Access token", "abc"), ("Refresh token", ""), ("Lifetime", "soon")]
    code, screen = await on_a_terminal(bare_proxy, "import", "readycloud", answers=answers)
    assert 1 == code
    assert "a lifetime is a number of seconds" in screen
    assert "never signed in" in (await bare_proxy.command("status")).out
