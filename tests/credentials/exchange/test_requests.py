"""What a token endpoint is asked: encoded as the provider wants it, with its scopes where they belong."""

import json

import pytest

from proxy.credentials.exchange import joined_scopes
from proxy.secret import Secret
from tests.credentials.conftest import credential

from .conftest import GRANTED, OLD, exchange

BODY = b"grant_type=refresh_token&refresh_token=old+refresh%2Btoken%26%3D&client_id=our-id&client_secret=our-secret"
FIELDS = {"grant_type": "refresh_token", "refresh_token": OLD.reveal()}
BASIC = "Basic b3VyJTNBaWQ6b3VyJTIwc2VjcmV0"  # our%3Aid:our%20secret


@pytest.mark.parametrize(
    ("changes", "content_type", "authorization", "body"),
    [
        ({}, "x-www-form-urlencoded", None, BODY),
        ({"client_auth": "none"}, "x-www-form-urlencoded", None, BODY.rpartition(b"&")[0]),
        (
            {"client_auth": "basic", "client_id": "our:id", "client_secret": Secret("our secret")},
            "x-www-form-urlencoded",
            BASIC,
            BODY.partition(b"&client_id")[0],
        ),
        ({"scopes": ("order",)}, "x-www-form-urlencoded", None, BODY),
        ({"token_request": "json", "client_auth": "none"}, "json", None, {**FIELDS, "client_id": "our-id"}),
        (
            {"token_request": "json"},
            "json",
            None,
            {**FIELDS, "client_id": "our-id", "client_secret": "our-secret"},
        ),
    ],
    ids=["body", "none", "basic", "scopes are not sent", "JSON none", "JSON body"],
)
async def test_request(endpoint, changes, content_type, authorization, body):
    """It is encoded as the provider wants it, the client named in one place only."""
    assert GRANTED == await exchange(endpoint.port, **changes)
    lines = dict(line.split(": ", 1) for line in endpoint.head[1:])
    assert f"application/{content_type}" == lines["Content-Type"]
    assert authorization == lines.get("Authorization")
    assert body == (json.loads(endpoint.body) if isinstance(body, dict) else endpoint.body)


async def test_request_of_client_credentials(endpoint):
    """It asks for the scopes, and sends no refresh token."""
    assert GRANTED == await exchange(endpoint.port, None, scopes=("a", "b"))
    assert b"grant_type=client_credentials&scope=a+b&client_id=our-id&client_secret=our-secret" == endpoint.body


@pytest.mark.parametrize(
    ("expected", "scopes", "separator"),
    [
        ("", (), "space"),
        ("", (), "comma"),
        ("a", ("a",), "comma"),
        ("a b", ("a", "b"), "space"),
        ("a,b", ("a", "b"), "comma"),
    ],
)
def test_scopes(expected, scopes, separator):
    """They are joined in the way of the provider."""
    assert expected == joined_scopes(credential(scopes=scopes, scope_separator=separator))


async def test_scopes_of_client_credentials(endpoint):
    """They are joined in the way of the provider too."""
    assert GRANTED == await exchange(endpoint.port, None, scopes=("a", "b"), scope_separator="comma")
    assert b"&scope=a%2Cb&" in endpoint.body
