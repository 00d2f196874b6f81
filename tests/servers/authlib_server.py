"""An authorization server that others wrote: Authlib's, in Flask, with opaque tokens and an API behind it.

    python authlib_server.py DESCRIPTOR FOLDER     serves on that inherited listening socket

A client may authenticate in one way only, by its name: `…-basic` or `…-body`. Refresh tokens rotate and work once,
PKCE is required. The environment's ACCESS_TOKEN_EXPIRE_SECONDS is the lifetime. All that is ours is what Authlib leaves
to its user: clients and tokens in memory, and `/test/`: what the server counted, and an expiry at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

DESCRIPTOR, FOLDER = int(sys.argv[1]), Path(sys.argv[2])
LIFETIME = int(os.environ.get("ACCESS_TOKEN_EXPIRE_SECONDS", "3600"))
PEOPLE = json.loads((FOLDER / "people.json").read_text())
METHODS = {"basic": "client_secret_basic", "body": "client_secret_post"}


@dataclass(frozen=True)
class Client(ClientMixin):
    """A program that may ask for tokens."""

    client_id: str
    secret: str

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return str(PEOPLE["redirect_uri"])

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or "read"

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        asked, registered = urlsplit(redirect_uri), urlsplit(PEOPLE["redirect_uri"])
        return (asked.hostname, asked.path) == (registered.hostname, registered.path)  # any port: RFC 8252 section 7.3

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret == client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return METHODS[self.client_id.rpartition("-")[2]] == method

    def check_response_type(self, response_type: str) -> bool:
        return self.check_grant_type("authorization_code") and response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        machine = self.client_id.startswith("machine")
        return machine == (grant_type == "client_credentials")


@dataclass
class Code(AuthorizationCodeMixin):
    """An authorization code, still good."""

    client: Client
    redirect_uri: str
    scope: str
    user: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Token(TokenMixin):
    """An access token and, for a person, the refresh token that came with it."""

    client: Client
    user: str | None
    scope: str
    access_token: str
    refresh_token: str | None
    expires_at: float
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        return self.client == client

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return LIFETIME

    def is_expired(self) -> bool:
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        return self.revoked

    def get_user(self) -> str | None:
        return self.user

    def get_client(self) -> Client:
        return self.client


CLIENTS = {client_id: Client(client_id, secret) for client_id, secret in PEOPLE["clients"].items()}
CODES: dict[str, Code] = {}
TOKENS: list[Token] = []
ANSWERS: Counter[str] = Counter()  # "GRANT_TYPE STATUS" of every token call


def save_token(fields: dict[str, Any], asked: Any) -> None:
    """Keep an issued token."""
    TOKENS.append(
        Token(
            asked.client,
            asked.user,
            fields.get("scope", ""),
            fields["access_token"],
            fields.get("refresh_token"),
            time.time() + fields["expires_in"],
        )
    )


class AuthorizationCode(grants.AuthorizationCodeGrant):
    """The code flow, on `CODES`."""

    def save_authorization_code(self, code: str, asked: Any) -> None:
        data = asked.payload.data
        CODES[code] = Code(
            asked.client,
            asked.payload.redirect_uri,
            asked.scope,
            asked.user,
            data["code_challenge"],
            data.get("code_challenge_method", "plain"),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = CODES.get(code)
        return found if found is not None and found.client == client else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        for code in [code for code, one in CODES.items() if one is authorization_code]:
            del CODES[code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.user


class Refresh(grants.RefreshTokenGrant):
    """Renewal, on `TOKENS`."""

    INCLUDE_NEW_REFRESH_TOKEN = True
    TOKEN_ENDPOINT_AUTH_METHODS = tuple(METHODS.values())

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        return next((one for one in TOKENS if one.refresh_token == refresh_token and not one.revoked), None)

    def authenticate_user(self, refresh_token: Token) -> str | None:
        return refresh_token.user

    def revoke_old_credential(self, refresh_token: Token) -> None:
        refresh_token.revoked = True


class ClientCredentials(grants.ClientCredentialsGrant):
    """A machine's own tokens."""

    TOKEN_ENDPOINT_AUTH_METHODS = tuple(METHODS.values())


class Validator(BearerTokenValidator):
    """What the API takes."""

    def authenticate_token(self, token_string: str) -> Token | None:
        return next((one for one in TOKENS if one.access_token == token_string), None)


app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = dict.fromkeys(
    ["authorization_code", "client_credentials", "refresh_token"], LIFETIME
)
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=save_token)
server.register_grant(AuthorizationCode, [CodeChallenge(required=True)])
server.register_grant(Refresh)
server.register_grant(ClientCredentials)
require_oauth = ResourceProtector()
require_oauth.register_token_validator(Validator())


@app.route("/authorize", methods=["GET", "POST"])
def authorize() -> Any:
    """Show a consent form to the one person there is, and take the consent."""
    grant = server.get_consent_grant(end_user=PEOPLE["user"])
    if request.method == "GET":
        if "code_challenge" not in request.args:
            return "PKCE is required", 400
        return '<form method="post"><input type="submit" name="allow" value="Authorize"></form>'
    allowed = PEOPLE["user"] if request.form.get("allow") else None
    return server.create_authorization_response(grant=grant, grant_user=allowed)


@app.post("/token")
def token() -> Any:
    """Answer token calls, and count the answers."""
    response = server.create_token_response()
    ANSWERS[f"{request.form.get('grant_type', 'none')} {response.status_code}"] += 1
    return response


@app.get("/api/hello")
@require_oauth("read")
def hello() -> Response:
    """Give the resource that tokens are for."""
    owner = require_oauth.acquire_token("read").user
    return jsonify(hello=owner or "machine")


@app.get("/test/state")
def state() -> Response:
    """Tell what was counted, and what is kept."""
    live = [one for one in TOKENS if one.refresh_token and not one.revoked]
    total = [one for one in TOKENS if one.refresh_token]
    return jsonify(
        answers=dict(ANSWERS),
        refresh_tokens=len(total),
        live_refresh_tokens=len(live),
        access_tokens=len(TOKENS),
    )


@app.post("/test/expire")
def expire() -> Any:
    """Let every access token expire now."""
    for one in TOKENS:
        one.expires_at = min(one.expires_at, time.time())
    return "", 204


if __name__ == "__main__":
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # this is loopback
    make_server("127.0.0.1", 0, app, threaded=True, fd=DESCRIPTOR).serve_forever()
