"""The pages for a person: how every credential is, and signing in to one. Forms change things, links never do.

GET  /                      all credentials
GET  /login/NAME            how to sign in to one
POST /login/NAME            begins: on to the vendor
POST /login/NAME/paste      completes with what was pasted
POST /login/NAME/cancel     ends what was begun
POST /refresh/NAME          renews now
POST /logout/NAME           forgets the tokens
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..config import INTERACTIVE, OOB, Config, CredentialConfig, same_host
from ..credentials.core import CredentialCore
from ..errors import BearerProxyError, RequestError, StoreError
from ..signin.attempts import SignedIn, SignIn
from ..signin.authorize import lacking
from ..signin.granted import expiry
from ..signin.pasted import Fields, as_answer
from .callback import add_callback
from .guard import host_name
from .reading import in_time
from .rendering import page
from .session import CSRF_FIELD, Sessions

Action = Callable[[web.Request, CredentialConfig, str], Awaitable[web.StreamResponse]]


def add_pages(app: web.Application, config: Config, core: CredentialCore, sign_in: SignIn, sessions: Sessions) -> None:
    """Serve the pages, and the callback."""
    pages = _Pages(config, core, sign_in, sessions)
    app.router.add_get("/", pages.all)
    app.router.add_get("/login/{name}", pages.login)
    for path, action in (
        ("/login/{name}", pages.begin),
        ("/login/{name}/paste", pages.paste),
        ("/login/{name}/cancel", pages.cancel),
        ("/refresh/{name}", pages.refresh),
        ("/logout/{name}", pages.logout),
    ):
        app.router.add_post(path, pages.form(action))
    add_callback(app, pages.returned, home="/", patience=config.limits.client_body_timeout)


class _Pages:
    """The handlers."""

    def __init__(self, config: Config, core: CredentialCore, sign_in: SignIn, sessions: Sessions) -> None:
        self._config = config
        self._core = core
        self._sign_in = sign_in
        self._sessions = sessions

    async def all(self, request: web.Request) -> web.Response:
        now = time.time()
        rows = [
            {
                **health.as_json(now),
                "described": health.described(now),
                "expires": expiry(health.record, now),
                "signs_in": health.config.provider.grant != "client_credentials",
                "held": health.record.access_token is not None or health.record.refresh_token is not None,
            }
            for health in self._core.health()
        ]
        return self._page(request, "credentials.html", rows=rows, store_trouble=self._core.store_trouble)

    async def login(self, request: web.Request) -> web.Response:
        credential = self._credential(request)
        provider = credential.provider
        session = self._sessions.of(request)
        return self._page(
            request,
            "login.html",
            credential=credential,
            lacking=lacking(credential) if provider.grant in INTERACTIVE else (),
            vendor=urlsplit(provider.authorize_url).netloc,
            returns=provider.redirect_parameter != "none" and credential.redirect_uri != OOB,
            elsewhere=_elsewhere(request, credential.redirect_uri),
            under_way=bool(session) and self._sign_in.under_way(credential.name, session) is not None,
        )

    async def begin(self, request: web.Request, credential: CredentialConfig, session: str) -> web.StreamResponse:
        # Cookies go by host name: begun under another name than the vendor leads back to, they cannot bind the two.
        bound = host_name(request) == urlsplit(credential.redirect_uri).hostname
        url = self._sign_in.begin(credential.name, session, bound=bound)
        return web.Response(status=303, headers={"Location": url})  # HTTPSeeOther would write the URL anew

    async def paste(self, request: web.Request, credential: CredentialConfig, session: str) -> web.StreamResponse:
        form = await request.post()
        text, *more = (str(form.get(key, "")).strip() for key in ("pasted", "refresh_token", "expires_in"))
        if any(more):
            text = as_answer(text, *more)
        done = await self._sign_in.pasted(credential.name, text, session)
        return page(request, "signed_in.html", done=done, home="/")

    async def cancel(self, _: web.Request, credential: CredentialConfig, session: str) -> web.StreamResponse:
        self._sign_in.cancel(credential.name, session)
        raise web.HTTPSeeOther("/")

    async def refresh(self, _: web.Request, credential: CredentialConfig, session: str) -> web.StreamResponse:  # noqa: ARG002 - an action
        await self._core.keeper(credential.name).refresh()
        raise web.HTTPSeeOther("/")

    async def logout(self, _: web.Request, credential: CredentialConfig, session: str) -> web.StreamResponse:  # noqa: ARG002 - an action
        await self._core.forget(credential.name)
        raise web.HTTPSeeOther("/")

    async def returned(self, request: web.Request, fields: Fields) -> SignedIn:
        return await self._sign_in.returned(fields, self._sessions.of(request))

    def form(self, action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Give the handler of a form: only one that our own page gave to this browser is acted on."""

        async def handle(request: web.Request) -> web.StreamResponse:
            session = self._sessions.of(request)
            try:
                async with in_time(self._config.limits.client_body_timeout):
                    token = (await request.post()).get(CSRF_FIELD)
            except (ValueError, LookupError):  # no form, or of no encoding that there is
                raise web.HTTPBadRequest(text="this form cannot be read\n") from None
            if not self._sessions.genuine(session, token):
                reason = "this form is not one that was given to this browser, or it is too old: load the page anew"
                return page(request, "failed.html", status=403, title="Not done", reason=reason, home="/")
            credential = self._credential(request)
            try:
                return await action(request, credential, session)
            except BearerProxyError as error:
                return page(
                    request, "failed.html", status=_status(error), title="Not done", reason=str(error), home="/"
                )

        return handle

    def _credential(self, request: web.Request) -> CredentialConfig:
        name = request.match_info["name"]
        try:
            credential = self._config.credentials[name]
            self._core.keeper(name)  # a reload may have removed it since this application was made
        except KeyError:
            raise web.HTTPNotFound(text="there is no such credential\n") from None
        return credential

    def _page(self, request: web.Request, template: str, **values: Any) -> web.Response:
        """Give a page with forms, and the session that they belong to."""
        session = self._sessions.opened(request)
        token = self._sessions.token(session)
        response = page(request, template, csrf_field=CSRF_FIELD, csrf_token=token, **values)
        self._sessions.keep(response, session)
        return response


def _status(error: BearerProxyError) -> int:
    if isinstance(error, RequestError):
        return error.status
    return 503 if isinstance(error, StoreError) else 400


def _elsewhere(request: web.Request, redirect: str) -> bool:
    """Tell whether a redirect leads to another address than the one by which this page was reached."""
    try:
        return not same_host(f"http://{request.host}", redirect)
    except ValueError:  # a Host field that is none, on a unix socket
        return True
