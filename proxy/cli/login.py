"""`login`: one sign-in from a terminal, by the vendor's own way.

The person consents in a browser, which comes back to the redirect URI. What hears it there is this command, or a
`serve` that already listens on that port. Where the browser cannot come back - another machine, a vendor that leads to
a page of its own - the person copies the address and pastes it here. Whichever comes first ends it; nothing is stored
before, so that whatever cuts it short leaves the old tokens in force.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import secrets
import sys
import threading
import time
import webbrowser
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from ..config import CALLBACK, OOB, Address, Config, CredentialConfig, is_loopback, redirect_to_send
from ..control.endpoints import UNKNOWN, proof_text
from ..control.plane import Listening, make_callback_app
from ..credentials.core import CredentialCore, open_core
from ..credentials.record import Record, Tokens
from ..credentials.store import Store
from ..errors import BearerProxyError, ConfigError, ListenError, SignInError
from ..secret import Secret
from ..signin.attempts import SignedIn, SignIn
from ..signin.authorize import lacking
from ..signin.granted import duration, granted
from ..signin.pasted import Fields
from .printing import printable
from .shared import named, on_signals
from .terminal import at_terminal, typed_line
from .tokens import import_tokens

_LOOK_EVERY = 0.3  # seconds between two looks whether a running serve has stored a sign-in
_ASK_WITHIN = 3.0  # seconds in which a running serve tells what it is
_LAST_PAGE = 5.0  # seconds in which the browser is given its last page


def login(options: argparse.Namespace) -> int:
    """Sign in, and tell what was granted."""
    config, name = named(options)
    credential = config.credentials[name]
    if credential.provider.grant == "client_credentials":
        print(f"{name} needs no sign-in: with client_credentials the proxy gets its tokens by itself")
        return 0
    if credential.provider.grant == "manual":
        print(f"the vendor shows the tokens of {name} on a page of its own", file=sys.stderr)
        return import_tokens(options)
    missing = lacking(credential)
    if missing:
        raise ConfigError([f"{config.path}: credentials.{name}: to sign in, set {', '.join(missing)}"])

    async def run() -> SignedIn:
        async with open_core(config) as core:
            return await _Login(config, core, credential, options).run()

    done = asyncio.run(run())
    print(f"signed in to {name}: {done.held}")
    for warning in done.warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    return 0


class _Login:
    """One run of the command."""

    def __init__(
        self, config: Config, core: CredentialCore, credential: CredentialConfig, options: argparse.Namespace
    ) -> None:
        self._config = config
        self._core = core
        self._credential = credential
        self._options = options
        self._typing = options.paste or at_terminal()
        self._sign_in = SignIn(config, core, core.exchange.redeem)
        self._came: asyncio.Future[SignedIn] = asyncio.get_running_loop().create_future()
        self._cancelled = asyncio.Event()
        self._stray = False

    async def run(self) -> SignedIn:
        """Sign in by the ways that are open. Raises the `BearerProxyError` that tells why not."""
        on_signals(self._cancelled.set)
        redirect = redirect_to_send(self._credential.redirect_uri, self._credential.provider)
        where = urlsplit(redirect)
        if self._options.paste or redirect == OOB:
            return await self._by_paste("")
        if where.scheme != "http" or where.path != CALLBACK or not is_loopback(where.hostname or ""):
            return await self._by_paste(f"{redirect} does not lead to this command.")
        here = Address(where.hostname or "", where.port or 80)
        limits = replace(self._config.limits, shutdown_timeout=_LAST_PAGE)
        listening = Listening(make_callback_app(self._config, self._returned), [here], limits)
        try:
            try:
                await listening.start()
            except ListenError as error:
                await _see_serve(self._core.store, self._credential.name, here, error)
                return await self._by_serve(f"http://{here}/login/{self._credential.name}")
            return await self._by_callback()
        finally:
            await listening.stop()

    async def _by_callback(self) -> SignedIn:
        url = self._sign_in.begin(self._credential.name)
        _say(f"Sign in to {self._credential.name} in a browser:", url)
        question = "If you end up at a page that cannot be reached, or at one of the vendor's: paste its whole address."
        return await self._first(url, asyncio.shield(self._came), self._pasted(question))

    async def _by_serve(self, page: str) -> SignedIn:
        url = self._sign_in.begin(self._credential.name)
        _say("A running bearer-proxy takes sign-ins on that port. Sign in at its page:", page)
        question = "Where that page cannot be reached, sign in here, and paste the address at which you end up:"
        return await self._first(page, self._stored(), self._pasted(f"{question}\n\n{url}\n"))

    async def _by_paste(self, why: str) -> SignedIn:
        self._typing = True
        url = self._sign_in.begin(self._credential.name)
        _say(f"{why} Sign in to {self._credential.name} in a browser:".lstrip(), url)
        question = "Then paste the whole address at which you end up, or the code that is shown (it is not echoed)."
        return await self._first(url, self._pasted(question))

    async def _first(self, page: str, *ways: Coroutine[Any, Any, SignedIn] | asyncio.Future[SignedIn]) -> SignedIn:
        """Open the browser, and give the result of the way that ends first."""
        limit = self._config.limits.login_timeout
        tasks = [asyncio.ensure_future(way) for way in ways]
        cancelled = asyncio.create_task(self._cancelled.wait())
        sys.stdout.flush()
        try:
            if not self._options.no_browser and _has_screen():
                # A browser that stays in the foreground holds up neither the end of this nor the program's.
                threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()
            await asyncio.wait([*tasks, cancelled], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            await self._sign_in.stop()  # a code that is being redeemed goes on: it may be the old grant's end
            await asyncio.sleep(0)
            ended = [task for task in tasks if task.done()]
            if ended:
                return ended[0].result()
        finally:
            for task in (*tasks, cancelled):
                task.cancel()
            await asyncio.wait([*tasks, cancelled])
        if self._cancelled.is_set():
            raise SignInError("cancelled: nothing has changed")
        raise SignInError(
            f"nobody signed in within {duration(limit)}: nothing has changed. If the vendor's page refused the client, "
            "check client_id, and the redirect that is registered there"
        )

    async def _pasted(self, question: str) -> SignedIn:
        """Wait for what a person pastes; without a terminal, and not asked to, for ever."""
        while self._typing:
            try:
                line = await typed_line(question)
            except EOFError:
                if self._options.paste:
                    line = ""
                else:
                    break
            question = ""
            if line or self._options.paste:
                return await self._sign_in.pasted(self._credential.name, line)
        never: asyncio.Future[SignedIn] = asyncio.get_running_loop().create_future()
        return await never

    async def _stored(self) -> SignedIn:
        """Wait until a running serve has stored a sign-in."""
        before = self._record()
        keeper = self._core.keeper(self._credential.name)
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await keeper.look_again()
            record = keeper.health().record
            if record.generation > before.generation and record.brought_at != before.brought_at:
                lifetime = None if record.expires_at is None else record.expires_at - time.time()
                tokens = Tokens(
                    access_token=record.access_token,
                    refresh_token=record.refresh_token,
                    expires_in=lifetime,
                    scope=record.scope,
                )
                told = granted(self._credential, tokens)
                return SignedIn(self._credential.name, told.held, told.warnings)

    async def _returned(self, _: web.Request, fields: Fields) -> SignedIn:
        """Complete what came to the callback. If it bears our state, whatever comes of it is this command's end.

        What does not bear it, any page or program can send: it is told, once, and ends nothing.
        """
        begun = self._sign_in.under_way(self._credential.name)
        ours = begun is not None and Secret(str(fields.get("state"))) == begun.state
        try:
            done = await self._sign_in.returned(fields)
        except BearerProxyError as error:
            if not ours:
                self._tell_stray(error)
            elif not self._came.done():
                self._came.set_exception(error)
            raise
        if not self._came.done():
            self._came.set_result(done)
        return done

    def _tell_stray(self, error: BearerProxyError) -> None:
        if not self._stray and not self._came.done():
            self._stray = True
            print(f"something came to the callback that ends nothing: {error}", file=sys.stderr, flush=True)

    def _record(self) -> Record:
        return self._core.keeper(self._credential.name).health().record


async def _see_serve(store: Store, name: str, here: Address, refused: ListenError) -> None:
    """See that what listens at the redirect URI is a `serve` on this very store. Raises `SignInError`.

    It has to prove it: the port might be held by a program of another user, and a sign-in be lost to that.
    """
    challenge = secrets.token_urlsafe(16)
    here = Address(here.hosts[0], here.port)  # by its number: a name may lead to another program than the one proven
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_WITHIN)) as session:
            alive = await _asked(session, f"http://{here}/healthz?challenge={challenge}")
            proof = await store.prove(proof_text(here.hosts[0], here.port, challenge))
            if not hmac.compare_digest(str(alive.get("proof", "")).encode(), proof.encode()):
                raise ValueError("another store's, or nobody's")  # noqa: TRY301 - told as any other answer that is not ours
            ready = await _asked(session, f"http://{here}/readyz?credential={name}")
    except (aiohttp.ClientError, TimeoutError, ValueError):
        raise SignInError(f"{refused}: it is no bearer-proxy on this store. Or sign in with --paste") from None
    if UNKNOWN in ready.get("reasons", []):
        raise SignInError(f"the bearer-proxy at {here} does not know {name} yet: restart it, or sign in with --paste")


async def _asked(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as answer:
        value = json.loads(await answer.content.read(1 << 16))
    if not isinstance(value, dict):
        raise ValueError("not ours")  # noqa: TRY004 - told like any other answer that is not ours
    return value


def _say(text: str, address: str) -> None:
    print(f"{text}\n\n{address}\n")


def _has_screen() -> bool:
    """Tell whether a browser can be shown: a text browser would take over this terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
