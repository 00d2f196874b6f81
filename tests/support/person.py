"""A person at a browser without scripts, and what stands in the addresses that they are led to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from yarl import URL

from proxy.sandbox import CLIENT_SECRET
from tests.support.beside import PATIENCE
from tests.support.processes import Done


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


def told_nothing(done: Done, address: str) -> None:
    """No token, no code and no client secret was written."""
    secrets = tokens_of(address) | {CLIENT_SECRET}
    assert len(secrets) > 1
    assert [] == [secret for secret in secrets if secret in done.out + done.err]


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


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
