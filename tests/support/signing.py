"""Signing in over HTTP, as a person with a browser does: the vendor's pages, our callback, and `login` beside them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from proxy.sandbox import Sandbox
from tests.support.processes import Done, Proxy, environment, sandbox_config
from tests.support.vendor import Control

NO_SCREEN = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}  # so that no window opens on a developer's desktop
PATIENCE = 20.0  # seconds


async def until(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"still not: {what}"
        await asyncio.sleep(0.01)


async def register(vendors: Sandbox, proxy: Proxy, path: str = "/callback") -> None:
    """Register our callback at the vendors at which people sign in."""
    for name in ("readycloud", "cloud66"):
        await Control(vendors, name).settings(redirect_uri=proxy.admin_url + path)


def stored(proxy: Proxy, name: str) -> tuple[int, str | None, str | None]:
    """Generation, access token and refresh token, as they are in the store's file."""
    path = proxy.folder / "tokens.db"
    if not path.exists():
        return 0, None, None
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT generation, access_token, refresh_token FROM credential WHERE name = ?"
        row = connection.execute(query, (name,)).fetchone()
    return (0, None, None) if row is None else (row[0], row[1], row[2])


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def fragment_of(url: str) -> dict[str, str]:
    """The parameters behind the # of an address."""
    return dict(parse_qsl(urlsplit(url).fragment))


def tokens_of(address: str) -> set[str]:
    """The tokens and the code that an address holds."""
    fields = fragment_of(address) | query_of(address)
    return {fields[key] for key in ("access_token", "refresh_token", "code") if key in fields}


class Person:
    """A person at a browser without scripts: cookies are kept, forms are filled in, redirects are told."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.seen = ""  # all pages so far
        self.status = 0
        self.location = ""
        self.headers: Mapping[str, str] = {}

    async def open(self, url: str, **how: object) -> str:
        """GET a page. The fragment stays here, as in a browser."""
        return await self._ask("GET", url.partition("#")[0], **how)

    async def post(self, url: str, data: object = None, **how: object) -> str:
        """Send a form."""
        return await self._ask("POST", url, data=data, **how)

    async def decide(self, url: str, decision: str = "allow") -> str:
        """Answer the vendor's page and give the address that the browser is led to, fragment and all."""
        page = await self.open(url)
        assert self.status == 200, page
        await self.post(url, {"decision": decision})
        assert self.status == 302, self.seen
        return self.location

    async def come_back(self, address: str) -> str:
        """Arrive at our callback as a browser does, script and all; give what the page says at the end."""
        page = await self.open(address)
        sent = urlsplit(address)
        if "history.replaceState" in page and "Signing in" in page:
            body = "&".join(filter(None, (sent.query, sent.fragment)))
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": _origin(address)}
            return await self.post(_origin(address) + sent.path, body, headers=headers)
        return page

    async def press(self, page_url: str, action: str, **fields: str) -> str:
        """Send the form of a page of ours that goes to `action`, its hidden fields with it."""
        page = await self.open(page_url)
        return await self.submit(page_url, page, action, **fields)

    async def submit(self, page_url: str, page: str, action: str, **fields: str) -> str:
        """As `press`, from a page that was loaded before."""
        form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', page, re.DOTALL)
        assert form, page
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[0]))
        headers = {"Origin": _origin(page_url), "Sec-Fetch-Site": "same-origin"}
        return await self.post(_origin(page_url) + action, {**hidden, **fields}, headers=headers)

    async def _ask(self, method: str, url: str, **how: object) -> str:
        asked = self._session.request(method, URL(url, encoded=True), allow_redirects=False, **how)  # type: ignore[arg-type]
        async with asked as response:
            text = await response.text()
        self.status, self.headers = response.status, response.headers
        self.location = response.headers.get("Location", "")
        self.seen += f"{response.status} {dict(response.headers)}\n{text}\n"
        return unescape(text)


@asynccontextmanager
async def person(**how: object) -> AsyncIterator[Person]:
    """Somebody with a browser of their own. `how` goes to the client, `auth` for instance."""
    jar = aiohttp.CookieJar(unsafe=True)  # hosts that are IP addresses have cookies too
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, **how) as session:  # type: ignore[arg-type]
        yield Person(session)


class Running:
    """A command that runs, and all that it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = ""
        self.err = ""
        self._readers = [
            asyncio.create_task(self._read(process.stdout, "out")),
            asyncio.create_task(self._read(process.stderr, "err")),
        ]

    async def prints(self, text: str) -> None:
        """Wait until it has printed a text."""
        await until(lambda: text in self.out or self._ended(), f"{text!r} in {self.out!r}")
        assert text in self.out, self.out + self.err

    async def url(self, number: int = 0) -> str:
        """The first address that it prints on a line of its own, or a later one."""
        await until(lambda: len(self._urls()) > number or self._ended(), f"an address in {self.out!r}")
        assert len(self._urls()) > number, self.out + self.err
        return self._urls()[number]

    def type(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    async def done(self, within: float = PATIENCE) -> Done:
        """Wait for its end."""
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return Done(code, self.out, self.err)

    def _urls(self) -> list[str]:
        return re.findall(r"^(http\S+)\n", self.out, re.MULTILINE)

    def _ended(self) -> bool:
        return all(reader.done() for reader in self._readers)

    async def _read(self, stream: asyncio.StreamReader | None, name: str) -> None:
        assert stream is not None
        while piece := await stream.read(1 << 16):
            setattr(self, name, getattr(self, name) + piece.decode())


@asynccontextmanager
async def running(
    proxy: Proxy, *arguments: str, env: Mapping[str, str] | None = None, stdin: int = asyncio.subprocess.PIPE
) -> AsyncIterator[Running]:
    """Run a command on the configuration of `proxy`, with its standard input open; no browser opens unless told."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        cwd=proxy.folder,
        env=environment({**NO_SCREEN, **(env or {})}),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    command = Running(process)
    try:
        yield command
    finally:
        if process.returncode is None:
            process.kill()
        await command.done()


def script(path: Path, text: str) -> str:
    """Make a shell script to be run as BROWSER, and give its path."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


class Arguments:
    """The command lines of all processes of this machine, looked at again and again."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._end = threading.Event()

    def watch(self) -> None:
        while not self._end.wait(0.005):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        self.seen.add(Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1"))

    def stop(self) -> None:
        self._end.set()


@contextmanager
def watched_arguments() -> Iterator[Arguments]:
    """Watch what stands in the process list while the context is open."""
    arguments = Arguments()
    watcher = threading.Thread(target=arguments.watch)
    watcher.start()
    try:
        yield arguments
    finally:
        arguments.stop()
        watcher.join()


class Between:
    """Stands before a token endpoint, and keeps what is sent there. `without`: a field that does not get through."""

    def __init__(self, target: str, without: str) -> None:
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self.content_types: list[str] = []  # of the answers
        self._target = target
        self._without = without

    async def pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.forms.append(dict(parse_qsl(body.decode())))
        headers = {key: request.headers[key] for key in ("Accept", "Content-Type") if key != self._without}
        async with aiohttp.ClientSession() as session, session.post(self._target, data=body, headers=headers) as answer:
            self.content_types.append(answer.content_type)
            return web.Response(
                body=await answer.read(), status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
            )


@asynccontextmanager
async def between(target: str, without: str = "") -> AsyncIterator[Between]:
    """Serve it."""
    stands = Between(target, without)
    app = web.Application()
    app.router.add_post("/token", stands.pass_on)
    async with serving(app) as origin:
        stands.url = f"{origin}/token"
        yield stands


@asynccontextmanager
async def serving(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serve a small application on 127.0.0.1, and give its origin."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass
class Site:
    """A proxy that runs before emulated vendors at which its callback is registered, for all tests of a module."""

    proxy: Proxy
    vendors: Sandbox

    @property
    def url(self) -> str:
        return self.proxy.admin_url

    async def reset(self) -> None:
        """Everything as at the start at the vendors; the proxy keeps what it has."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.vendors.control_url}/reset"):
            await register(self.vendors, self.proxy)

    async def generation(self, name: str) -> int:
        """How often the tokens of a credential have changed, as far as the running proxy knows."""
        return int(str((await self.proxy.credential(name))["generation"]))

    async def bring_tokens(self, name: str) -> int:
        """Import good tokens, and give the generation that they are when the running proxy has them."""
        before = await self.generation(name)
        await self.proxy.bring_tokens(name, self.vendors.grant(name))
        await self.reaches(name, before + 1)
        return before + 1

    async def reaches(self, name: str, expected: int) -> None:
        """Wait until the tokens have changed that often, and see that it was not more often."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.generation(name)) < expected:
                await asyncio.sleep(0.02)
        assert expected == found

    async def call(self, name: str) -> int:
        """Call the vendor's API through the proxy."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.proxy.url}/{name}{PATHS[name]}") as response:
            return response.status


PATHS = {"readycloud": "/api/v2/orgs/", "cloud66": "/api/3/stacks.json", "onecloud": "/api/v1/chains"}


@asynccontextmanager
async def site(folder: Path, text: str = "", **how: Mapping[str, str]) -> AsyncIterator[Site]:
    """Run one with log_level debug; `text` and `how` go into its configuration. At the end its log has no accident."""
    async with Sandbox() as vendors:
        proxy = Proxy(folder)
        proxy.configure(sandbox_config(vendors, f"log_level: debug\n{text}", **how))
        await register(vendors, proxy)
        await proxy.start()
        try:
            yield Site(proxy, vendors)
        finally:
            assert 0 == await proxy.stop(), proxy.log
    assert "Traceback" not in proxy.log, proxy.log
    assert "unforeseen" not in proxy.log, proxy.log


async def raw(port: int, request: str) -> tuple[int, str]:
    """Send bytes as they are, and give status and answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.replace("\n", "\r\n").encode("latin-1"))
        async with asyncio.timeout(PATIENCE):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    return int(answer.split()[1]), answer
