"""Sign-ins that are cut short - by a signal, by kill -9, by the vendor - leave the old tokens in force, whole."""

from __future__ import annotations

import asyncio
import fcntl
import json
import signal
import sys
import termios
from pathlib import Path

import aiohttp
import pytest

from proxy.sandbox import Sandbox
from tests.support.processes import Proxy, sandbox_config
from tests.support.signing import PATHS, Person, fragment_of, person, query_of, register, running, stored, tokens_of
from tests.support.vendor import Control

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@pytest.fixture
async def signing(bare_proxy: Proxy, vendors: Sandbox) -> Proxy:
    """A proxy that does not run, with tokens for Cloud 66, its callback registered at the vendors."""
    bare_proxy.configure(sandbox_config(vendors))
    await register(vendors, bare_proxy)
    await bare_proxy.bring_tokens("cloud66", vendors.grant("cloud66"))
    return bare_proxy


async def works(proxy: Proxy, name: str) -> bool:
    """Whether the vendor takes the token that is in force, through a proxy that is started for that."""
    if proxy.process is None:
        await proxy.start()
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/{name}{PATHS[name]}") as response:
        return response.status == 200


@pytest.mark.parametrize("number", SIGNALS)
async def test_login_before_consent(signing: Proxy, number: signal.Signals) -> None:
    """Nothing was stored, and the callback's port is free again."""
    before = stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login:
        await login.url()
        login.process.send_signal(number)
        assert 0 != (await login.done(5)).code
    assert before == stored(signing, "cloud66")
    assert await works(signing, "cloud66")


@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGINT, "after"), (signal.SIGTERM, "before"), (signal.SIGKILL, "before"), (signal.SIGKILL, "after")],
)
async def test_login_while_the_code_is_exchanged(
    signing: Proxy, vendors: Sandbox, number: signal.Signals, when: str
) -> None:
    """Killed, the old tokens stand; asked to end, it waits for the vendor's answer and keeps what that brings."""
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when=when)
    before = stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login, person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await visitor.decide(await login.url())))
        await control.wait("stalled", 1)
        login.process.send_signal(number)
        if number is signal.SIGKILL:
            assert -number == (await login.done(5)).code
            await control.release()
            with pytest.raises(aiohttp.ClientError):
                await arriving
            assert before == stored(signing, "cloud66")
        else:
            await control.release()
            assert 0 == (await login.done(5)).code, login.err
            assert "Signed in" in await arriving
            assert before[0] + 1 == stored(signing, "cloud66")[0]
    assert await works(signing, "cloud66")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_login_while_the_vendor_never_answers(
    bare_proxy: Proxy, vendors: Sandbox, number: signal.Signals
) -> None:
    """Asked to end, it waits no longer than exchange_timeout, and has changed nothing."""
    bare_proxy.configure(sandbox_config(vendors, "exchange_timeout: 500ms"))
    await register(vendors, bare_proxy)
    await bare_proxy.bring_tokens("cloud66", vendors.grant("cloud66"))
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="before")
    before = stored(bare_proxy, "cloud66")
    async with running(bare_proxy, "login", "cloud66", "--no-browser", "--paste") as login, person() as visitor:
        login.type(await visitor.decide(await login.url()) + "\n")
        await control.wait("stalled", 1)
        login.process.send_signal(number)
        done = await login.done(5)
    assert (1, 1) == (done.code, len(done.err.splitlines()))
    assert "the token endpoint did not answer in 0.5 s" in done.err
    assert before == stored(bare_proxy, "cloud66")


@pytest.mark.parametrize(
    ("fault", "when"), [("drop", "before"), ("truncate", "after"), ("garbage", "after"), ("fail", "before")]
)
async def test_an_answer_that_is_lost(signing: Proxy, vendors: Sandbox, fault: str, when: str) -> None:
    """Page and command say what happened; the old tokens stay in force, and another sign-in works."""
    await Control(vendors, "cloud66").fault(on="token", fault=fault, when=when)
    before = stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login, person() as visitor:
        address = await visitor.decide(await login.url())
        page = await visitor.come_back(address)
        done = await login.done()
    assert (1, 400, 1) == (done.code, visitor.status, len(done.err.splitlines()))
    assert done.err.strip() in page
    assert "the code could not be exchanged: " in done.err
    assert "sign in again" in done.err
    assert before == stored(signing, "cloud66")
    async with running(signing, "login", "cloud66", "--no-browser") as login, person() as visitor:
        assert "Signed in" in await visitor.come_back(await visitor.decide(await login.url()))
        assert 0 == (await login.done()).code
    assert before[0] + 1 == stored(signing, "cloud66")[0]


async def begun(proxy: Proxy, visitor: Person, name: str) -> str:
    """Begin on the page of the running proxy, consent, and give the address that leads back."""
    await visitor.press(f"{proxy.admin_url}/login/{name}", f"/login/{name}")
    return await visitor.decide(visitor.location)


@pytest.mark.parametrize(("number", "stays"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
async def test_serve_that_ends_while_the_code_is_exchanged(
    signing: Proxy, vendors: Sandbox, number: signal.Signals, stays: bool
) -> None:
    """It waits for the vendor's answer, for longer than for browsers, and what that brings is stored."""
    if not stays:
        signing.configure(sandbox_config(vendors, "shutdown_timeout: 100ms"))
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await begun(signing, visitor, "cloud66")))
        await control.wait("stalled", 1)
        if not stays:
            arriving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await arriving
        assert signing.process is not None
        signing.process.send_signal(number)
        async with asyncio.timeout(10):
            while "stopping" not in signing.log:
                await asyncio.sleep(0.01)
        ended = asyncio.create_task(signing.stop())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), 0.3)  # it does not end meanwhile
        await control.release()
        assert 0 == await ended
        if stays:
            assert "Signed in" in await arriving
    assert before[0] + 1 == stored(signing, "cloud66")[0]
    assert await works(signing, "cloud66")


async def test_serve_that_is_killed_while_the_code_is_exchanged(signing: Proxy, vendors: Sandbox) -> None:
    """The old tokens stand, and the credential is not in doubt: no refresh token was sent."""
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await begun(signing, visitor, "cloud66")))
        await control.wait("stalled", 1)
        await signing.kill()
        with pytest.raises(aiohttp.ClientError):
            await arriving
    await control.release()
    assert before == stored(signing, "cloud66")
    assert await works(signing, "cloud66")
    assert "ok" == (await signing.credential("cloud66"))["state"]


async def test_a_browser_that_goes_away_while_the_code_is_exchanged(signing: Proxy, vendors: Sandbox) -> None:
    """The sign-in belongs to the proxy: it is completed and stored all the same."""
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        arriving = asyncio.create_task(visitor.come_back(await begun(signing, visitor, "cloud66")))
        await control.wait("stalled", 1)
        arriving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await arriving
    await control.release()
    async with asyncio.timeout(10):
        while stored(signing, "cloud66")[0] == before[0]:
            await asyncio.sleep(0.02)
    assert await works(signing, "cloud66")


@pytest.mark.parametrize("number", SIGNALS)
async def test_import_before_its_input_has_ended(signing: Proxy, vendors: Sandbox, number: signal.Signals) -> None:
    """Half of a token answer is nothing: the old tokens stand."""
    await signing.bring_tokens("onecloud", vendors.grant("onecloud"))
    before = stored(signing, "onecloud")
    text = json.dumps(vendors.grant("onecloud"))
    async with running(signing, "import", "onecloud") as command:
        command.type(text[: len(text) // 2])
        async with asyncio.timeout(10):
            while "wait" not in await asyncio.to_thread(_waiting, command.process.pid):
                await asyncio.sleep(0.01)
        command.process.send_signal(number)
        done = await command.done(5)
    assert 0 != done.code
    assert "Traceback" not in done.err
    assert before == stored(signing, "onecloud")


def _waiting(pid: int) -> str:
    """`waiting` if the process is asleep in a read of its standard input."""
    try:
        number, descriptor = Path(f"/proc/{pid}/syscall").read_text().split()[:2]
    except (OSError, ValueError):
        return ""
    return "waiting" if (number, descriptor) == ("0", "0x0") else ""


@pytest.mark.parametrize(
    ("number", "command"),
    [(signal.SIGTERM, "import"), (signal.SIGKILL, "import"), (signal.SIGINT, "login"), (signal.SIGKILL, "login")],
)
async def test_while_another_process_holds_the_lock(
    signing: Proxy, vendors: Sandbox, number: signal.Signals, command: str
) -> None:
    """Told to end, it waits for the lock and stores whole; killed, it has stored nothing."""
    name = "onecloud" if command == "import" else "readycloud"
    await signing.bring_tokens(name, vendors.grant(name))
    before = stored(signing, name)
    arguments = () if command == "import" else ("--no-browser", "--paste")
    with (signing.folder / f"tokens.db.{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with running(signing, command, name, *arguments) as run:
            if command == "import":
                tokens = {key: str(value) for key, value in vendors.grant(name).items()}
                run.type(json.dumps(tokens) + "\n")
                assert run.process.stdin is not None
                run.process.stdin.close()
            else:
                async with person() as visitor:
                    address = await visitor.decide(await run.url())
                tokens = fragment_of(address)
                run.type(address + "\n")
            async with asyncio.timeout(10):
                while not _has_open(run.process.pid, "tokens.db") or _unread(run.process.pid):
                    await asyncio.sleep(0.01)
            run.process.send_signal(number)
            if number is signal.SIGKILL:
                assert -number == (await run.done(5)).code
                assert before == stored(signing, name)
                return
            if command == "import":
                async with asyncio.timeout(10):
                    while "ending as soon as the tokens are safe" not in run.err:
                        await asyncio.sleep(0.01)
            assert before == stored(signing, name)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert 0 == (await run.done()).code, run.err
    assert (before[0] + 1, tokens["access_token"], tokens["refresh_token"]) == stored(signing, name)


def _has_open(pid: int, ending: str) -> bool:
    """Whether the process has a file open whose name ends so."""
    try:
        return any(str(one.readlink()).endswith(ending) for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _unread(pid: int) -> int:
    """How many bytes the process has not yet taken from its standard input."""
    with open(f"/proc/{pid}/fd/0", "rb", buffering=0) as pipe:  # noqa: PTH123 - a file of the system's
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


async def test_the_later_of_two_logins_wins(signing: Proxy, vendors: Sandbox) -> None:
    """The one that is completed last stands, whichever began first."""
    await signing.bring_tokens("readycloud", vendors.grant("readycloud"))
    before = stored(signing, "readycloud")
    arguments = ("login", "readycloud", "--no-browser", "--paste")
    async with running(signing, *arguments) as first, running(signing, *arguments) as second, person() as visitor:
        late, early = [await visitor.decide(await one.url()) for one in (first, second)]
        second.type(early + "\n")
        assert 0 == (await second.done()).code
        assert (before[0] + 1, fragment_of(early)["access_token"]) == stored(signing, "readycloud")[:2]
        first.type(late + "\n")
        assert 0 == (await first.done()).code
    fields = fragment_of(late)
    assert (before[0] + 2, fields["access_token"], fields["refresh_token"]) == stored(signing, "readycloud")
    assert await works(signing, "readycloud")


async def test_logins_at_the_same_time(signing: Proxy, vendors: Sandbox) -> None:
    """However they fall together, one of them stands whole: its access token with its refresh token."""
    await signing.bring_tokens("readycloud", vendors.grant("readycloud"))
    await signing.start()
    before = stored(signing, "readycloud")
    async with person() as visitor:
        addresses = [await begun(signing, visitor, "readycloud") for _ in range(8)]
        pages = await asyncio.gather(*(visitor.come_back(address) for address in addresses))
    assert 8 == sum("Signed in" in page for page in pages)
    generation, access, refresh = stored(signing, "readycloud")
    assert before[0] + 8 == generation
    assert {access, refresh} in [tokens_of(address) for address in addresses]
    assert await works(signing, "readycloud")


async def test_a_second_login_while_the_first_listens(signing: Proxy) -> None:
    """The callback's port is the first one's: the second says what to do, and takes nothing from the first."""
    async with running(signing, "login", "cloud66", "--no-browser") as first, person() as visitor:
        url = await first.url()
        second = await signing.command("login", "cloud66", "--no-browser")
        assert (1, "") == (second.code, second.out)
        assert "the address is in use" in second.err
        assert "sign in with --paste" in second.err
        assert "Signed in" in await visitor.come_back(await visitor.decide(url))
        assert 0 == (await first.done()).code


async def test_a_logout_while_a_sign_in_is_under_way(signing: Proxy, vendors: Sandbox) -> None:
    """The sign-in ends later, so its tokens are in force; nothing of the old ones comes back."""
    await signing.start()
    control = Control(vendors, "cloud66")
    await control.fault(on="token", fault="stall", when="after")
    before = stored(signing, "cloud66")
    async with person() as visitor:
        address = await begun(signing, visitor, "cloud66")
        arriving = asyncio.create_task(visitor.come_back(address))
        await control.wait("stalled", 1)
        assert 0 == (await signing.command("logout", "cloud66")).code
        assert (before[0] + 1, None, None) == stored(signing, "cloud66")
        await control.release()
        assert "Signed in" in await arriving
    assert query_of(address)["code"] not in str(stored(signing, "cloud66"))
    assert before[0] + 2 == stored(signing, "cloud66")[0]
    assert await works(signing, "cloud66")
