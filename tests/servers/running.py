"""Authorization servers that others wrote, each in a process of its own, as tests start and use them.

The listening socket is made here and inherited: the port is taken from the start, and nothing races for it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

START_WITHIN = 30.0  # seconds
PATIENCE = 20.0  # seconds for one call
USER, PASSWORD = "ada", "a person's password"
REDIRECT_URI = "http://127.0.0.1/callback"  # registered without a port: a loopback client may use any (RFC 8252)
# All that form and header encodings could get wrong; a space has a client of its own.
SECRET = "s+e/c=r%41:et&?é"
CLIENTS = dict.fromkeys(("machine-basic", "machine-body", "person-basic", "person-body"), SECRET) | {
    "machine-spaced-basic": "two words"
}


@dataclass(frozen=True)
class Kind:
    """A server program, and where it has its endpoints."""

    program: str
    packages: dict[str, str]  # module: distribution
    authorize_path: str
    token_path: str
    api_path: str = "/api/hello"


TOOLKIT = Kind(
    "django_toolkit.py",
    {"django": "django", "oauth2_provider": "django-oauth-toolkit", "werkzeug": "werkzeug"},
    "/o/authorize/",
    "/o/token/",
)
AUTHLIB = Kind("authlib_server.py", {"authlib": "authlib", "flask": "flask"}, "/authorize", "/token")


@dataclass(frozen=True)
class Server:
    """A running server."""

    kind: Kind
    url: str

    @property
    def api(self) -> str:
        return self.url + self.kind.api_path

    def state(self) -> dict[str, Any]:
        """What the server itself counted, and what it keeps."""
        answer = requests.get(f"{self.url}/test/state", timeout=PATIENCE)
        assert 200 == answer.status_code, answer.text
        return dict(answer.json())

    def answers(self, grant_type: str) -> dict[int, int]:
        """How many token calls of a kind it answered, by status."""
        counted = ((*key.split(" "), count) for key, count in self.state()["answers"].items())
        return {int(status): count for name, status, count in counted if name == grant_type}

    def expire(self) -> None:
        """Let every access token expire now."""
        assert 204 == requests.post(f"{self.url}/test/expire", timeout=PATIENCE).status_code

    def token_call(self, client_id: str, **fields: str) -> requests.Response:
        """One call of the token endpoint, without the proxy, as a client that authenticates as its name says."""
        headers = {}
        if client_id.endswith("-basic"):
            pair = urlencode({client_id: CLIENTS[client_id]}).replace("=", ":", 1)  # RFC 6749 section 2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            fields = {**fields, "client_id": client_id, "client_secret": CLIENTS[client_id]}
        return requests.post(self.url + self.kind.token_path, data=fields, headers=headers, timeout=PATIENCE)

    def greet(self, access_token: str) -> requests.Response:
        """One call of the API, without the proxy."""
        return requests.get(self.api, headers={"Authorization": f"Bearer {access_token}"}, timeout=PATIENCE)

    def sign_in(self, client_id: str) -> dict[str, Any]:
        """Get tokens for the person by the code flow, without the proxy: a token answer as the server gives it."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(8)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT_URI,
            "scope": "read",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        location = consent(f"{self.url}{self.kind.authorize_path}?{urlencode(asked)}")
        got = parse_qs(urlsplit(location).query)
        assert [state] == got["state"]
        fields = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": verifier}
        answer = self.token_call(client_id, code=got["code"][0], **fields)
        assert 200 == answer.status_code, answer.text
        return dict(answer.json())


def config(server: Server, *clients: str, redirect_uri: str = REDIRECT_URI, **more: Any) -> str:
    """A configuration with a route, a credential and a provider for each client, and `more` keys at its top."""
    providers: dict[str, dict[str, Any]] = {}
    credentials: dict[str, dict[str, Any]] = {}
    for client in clients:
        machine = client.startswith("machine")
        providers[f"at-{client}"] = {
            "upstream": server.url,
            "authorize_url": server.url + server.kind.authorize_path,
            "token_url": server.url + server.kind.token_path,
            "grant": "client_credentials" if machine else "authorization_code",
            "renew": "client_credentials" if machine else "refresh_token",
            "client_auth": client.rpartition("-")[2],
        }
        credentials[client] = {
            "provider": f"at-{client}",
            "client_id": client,
            "client_secret": CLIENTS[client],
            "scopes": ["read"],
        }
        if not machine:
            credentials[client]["redirect_uri"] = redirect_uri
    routes = [{"prefix": f"/{client}", "credential": client} for client in clients]
    settings = {"providers": providers, "credentials": credentials, "routes": routes, **more}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())


def consent(authorize_url: str, *, agree: bool = True) -> str:
    """Go to `authorize_url` as a person in a browser: sign in if asked, agree. Gives where the answer is sent to."""
    with requests.Session() as browser:
        page = browser.get(authorize_url, timeout=PATIENCE)
        assert 200 == page.status_code, page.text
        if 'name="password"' in page.text:
            fields = {**_hidden(page.text), "username": USER, "password": PASSWORD}
            page = browser.post(page.url, data=fields, timeout=PATIENCE)
            assert 200 == page.status_code, page.text
        fields = {**_hidden(page.text), **({"allow": "Authorize"} if agree else {})}
        answer = browser.post(page.url, data=fields, timeout=PATIENCE, allow_redirects=False)
    assert 302 == answer.status_code, answer.text
    return answer.headers["Location"]


@contextlib.contextmanager
def serving(kind: Kind, folder: Path, lifetime: int = 3600) -> Iterator[Server]:
    """Run a server whose access tokens live `lifetime` seconds. Skips the test where its packages are missing."""
    for module, distribution in kind.packages.items():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{distribution} is not installed")
    people = {
        "user": USER,
        "password": PASSWORD,
        "redirect_uri": REDIRECT_URI,
        "clients": CLIENTS,
    }
    (folder / "people.json").write_text(json.dumps(people))
    log = folder / "server.log"
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        program = Path(__file__).with_name(kind.program)
        process = subprocess.Popen(
            [sys.executable, str(program), str(listener.fileno()), str(folder)],
            pass_fds=[listener.fileno()],
            env={**os.environ, "ACCESS_TOKEN_EXPIRE_SECONDS": str(lifetime)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        server = Server(kind, f"http://127.0.0.1:{port}")
        _answers(server, process, log)
        yield server
        assert process.poll() is None, log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _answers(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it answers. Until then a connection waits in the inherited socket's queue."""
    end = time.monotonic() + START_WITHIN
    while True:
        try:
            requests.get(f"{server.url}/test/state", timeout=START_WITHIN).raise_for_status()
        except requests.RequestException:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return


def _hidden(page: str) -> dict[str, str]:
    """Give the hidden fields of a page's form."""
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page):
        attributes = {name: unescape(value) for name, value in re.findall(r'([a-z_]+)="([^"]*)"', tag)}
        if attributes.get("type") == "hidden":
            fields[attributes["name"]] = attributes.get("value", "")
    return fields
