"""Signing in on a terminal: nothing that is pasted is shown, and the terminal is left as it was, whatever ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from proxy.sandbox import Sandbox
from tests.support.person import person, query_of, tokens_of
from tests.support.processes import Proxy, sandbox_config
from tests.support.site import stored
from tests.support.terminal import Terminal, on_terminal
from tests.support.vendor import Control

CTRL_C, CTRL_D = "\x03", "\x04"
PASTE_HERE = "Then paste the whole address"
OR_PASTE = "paste its whole address"

ENDS: dict[str, Callable[[Terminal], None]] = {
    "Ctrl-C": lambda terminal: terminal.type(CTRL_C),
    **{
        number.name: lambda terminal, number=number: terminal.process.send_signal(number)  # type: ignore[misc]
        for number in (signal.SIGTERM, signal.SIGHUP)
    },
}


def address_on(screen: str) -> str:
    """The first address that stands on a line of its own."""
    return next(line for line in screen.splitlines() if line.startswith("http"))


async def consent(url: str) -> str:
    """Consent at the vendor, and give the address at which one ends up."""
    async with person() as visitor:
        return await visitor.decide(url)


@pytest.mark.parametrize(
    ("vendor", "arguments"), [("readycloud", ("--no-browser", "--paste")), ("cloud66", ("--no-browser",))]
)
async def test_a_pasted_address(signing: Proxy, vendors: Sandbox, vendor: str, arguments: tuple[str, ...]) -> None:
    """It is taken without being shown, with --paste or while the callback is waited for; echo comes back."""
    async with on_terminal(signing, "login", vendor, *arguments) as terminal:
        await terminal.asks(PASTE_HERE if "--paste" in arguments else OR_PASTE)
        address = await consent(address_on(await terminal.shows("http")))
        terminal.type(f"{address}\n")
        assert 0 == await terminal.end(), terminal.screen
        assert terminal.echo
    assert f"signed in to {vendor}: an access token" in terminal.screen
    assert [] == [secret for secret in tokens_of(address) if secret in terminal.screen]
    assert 1 == stored(signing, vendor)[0]


async def test_a_paste_at_first_sight(signing: Proxy) -> None:
    """Who types as soon as the question stands there is not shown, and heard."""
    async with on_terminal(signing, "login", "readycloud", "--no-browser", "--paste") as terminal:
        await terminal.shows(PASTE_HERE)
        assert not terminal.echo
        terminal.type("https://www.readycloud.com/#access_token=canary\n")
        assert 0 == await terminal.end(), terminal.screen
    assert "canary" not in terminal.screen


async def test_a_callback_while_a_paste_is_waited_for(signing: Proxy) -> None:
    """The browser comes first: the command ends by itself, and echo comes back. An empty line is no paste."""
    async with on_terminal(signing, "login", "cloud66", "--no-browser") as terminal:
        await terminal.asks(OR_PASTE)
        terminal.type("\n")
        async with person() as visitor:
            url = address_on(await terminal.shows("http"))
            assert "Signed in" in await visitor.come_back(await visitor.decide(url))
        assert 0 == await terminal.end(), terminal.screen
        assert terminal.echo


async def test_ctrl_d_while_the_callback_is_waited_for(signing: Proxy) -> None:
    """The end of input ends the pasting, not the sign-in."""
    async with on_terminal(signing, "login", "cloud66", "--no-browser") as terminal:
        await terminal.asks(OR_PASTE)
        terminal.type(CTRL_D)
        async with person() as visitor:
            url = address_on(await terminal.shows("http"))
            assert "Signed in" in await visitor.come_back(await visitor.decide(url))
        assert 0 == await terminal.end(), terminal.screen
        assert terminal.echo


async def test_ctrl_d_in_place_of_a_paste(signing: Proxy) -> None:
    """With --paste there is nothing else to wait for: one sentence, exit 1."""
    async with on_terminal(signing, "login", "cloud66", "--no-browser", "--paste") as terminal:
        await terminal.asks(PASTE_HERE)
        terminal.type(CTRL_D)
        assert 1 == await terminal.end()
        assert terminal.echo
    assert "nothing was given: paste" in terminal.screen
    assert "Traceback" not in terminal.screen


async def test_a_line_that_the_terminal_cuts(signing: Proxy) -> None:
    """An address longer than a terminal's line is not taken for a whole one."""
    async with on_terminal(signing, "login", "readycloud", "--no-browser", "--paste") as terminal:
        await terminal.asks(PASTE_HERE)
        address = await consent(address_on(await terminal.shows("http")))
        terminal.type(f"{address}&more={'x' * 4000}\n")
        assert 1 == await terminal.end()
        assert terminal.echo
    assert "this is longer than a terminal takes in one line" in terminal.screen
    assert [] == [secret for secret in tokens_of(address) if secret in terminal.screen]


@pytest.mark.parametrize(
    ("end", "arguments"), [("Ctrl-C", ()), ("Ctrl-C", ("--paste",)), ("SIGTERM", ("--paste",)), ("SIGHUP", ())]
)
async def test_login_that_is_cut_short(signing: Proxy, vendors: Sandbox, end: str, arguments: tuple[str, ...]) -> None:
    """One sentence, exit 1, echo as before, the old tokens in force."""
    await signing.bring_tokens("readycloud", vendors.grant("readycloud"))
    async with on_terminal(signing, "login", "readycloud", "--no-browser", *arguments) as terminal:
        await terminal.asks(PASTE_HERE if arguments else OR_PASTE)
        ENDS[end](terminal)
        assert 1 == await terminal.end()
        assert terminal.echo
    assert "cancelled: nothing has changed" in terminal.screen
    assert "Traceback" not in terminal.screen
    assert 1 == stored(signing, "readycloud")[0]


async def test_login_that_nobody_answers(bare_proxy: Proxy, vendors: Sandbox) -> None:
    """When its time is over, echo is as before."""
    bare_proxy.configure(sandbox_config(vendors, "login_timeout: 500ms"))
    async with on_terminal(bare_proxy, "login", "readycloud", "--no-browser") as terminal:
        await terminal.asks(OR_PASTE)
        assert 1 == await terminal.end()
        assert terminal.echo
    assert "nobody signed in within" in terminal.screen


@pytest.mark.parametrize("command", ["import", "login"])
async def test_tokens_are_asked_for(signing: Proxy, vendors: Sandbox, command: str) -> None:
    """`login onecloud` asks as `import` does, without echo, and refreshes with what it was given."""
    tokens = vendors.grant("onecloud")
    async with on_terminal(signing, command, "onecloud") as terminal:
        await terminal.asks("Access token")
        terminal.type(f"{tokens['access_token']}\n")
        await terminal.asks("Refresh token")
        terminal.type(f"{tokens['refresh_token']}\n")
        await terminal.shows("Lifetime")
        terminal.type("86400\n")
        assert 0 == await terminal.end(), terminal.screen
        assert terminal.echo
    assert "imported for onecloud: an access token, a refresh token; it expires in 24 h" in terminal.screen
    assert [] == [token for key, token in tokens.items() if key.endswith("_token") and str(token) in terminal.screen]
    assert 0 == (await signing.command("refresh", "onecloud")).code


@pytest.mark.parametrize(
    ("end", "command"), [("Ctrl-C", "import"), ("Ctrl-C", "login"), ("SIGTERM", "import"), ("SIGHUP", "login")]
)
async def test_questions_that_are_cut_short(signing: Proxy, vendors: Sandbox, end: str, command: str) -> None:
    """At whatever question it is: exit 1, no traceback, echo as before, the old tokens in force."""
    await signing.bring_tokens("onecloud", vendors.grant("onecloud"))
    async with on_terminal(signing, command, "onecloud") as terminal:
        await terminal.asks("Access token")
        if command == "login":
            terminal.type("abc\n")
            await terminal.asks("Refresh token")
        ENDS[end](terminal)
        code = await terminal.end()
        assert terminal.echo
    assert 1 == code, terminal.screen
    assert "Traceback" not in terminal.screen
    assert 1 == stored(signing, "onecloud")[0]


async def test_a_denial_on_a_terminal(signing: Proxy, vendors: Sandbox) -> None:
    """The sentence stands on a line of its own, below what was asked."""
    control = Control(vendors, "cloud66")
    async with on_terminal(signing, "login", "cloud66", "--no-browser") as terminal:
        await terminal.asks(OR_PASTE)
        url = address_on(await terminal.shows("http"))
        async with person() as visitor:
            address = await visitor.decide(url, "deny")
            assert "access_denied" == query_of(address)["error"]
            assert "consent was denied at the vendor" in await visitor.come_back(address)
        assert 1 == await terminal.end()
        assert terminal.echo
    assert "\nconsent was denied at the vendor: nothing has changed; sign in again to consent\n" in (
        terminal.screen.replace("\r", "")
    )
    assert 0 == (await control.state())["exchanges"]
