"""A code redeemed: what is asked, how the answer is read, and that nothing of it is printed."""

import json
from urllib.parse import parse_qsl

import pytest

from proxy.credentials.answers import Outcome, Passing, Refused, Uncertain
from proxy.credentials.exchange import Code, TokenEndpoint, build_code_request, build_request
from proxy.credentials.record import TroubleKind
from proxy.secret import Secret
from tests.credentials.conftest import NOW, credential, within

from .conftest import GRANTED, OLD, answer

CODE = Code(Secret("c0de+/&="), Secret("ver1fier"), "http://127.0.0.1:8081/callback")
REDEEM = {
    "grant_type": "authorization_code",
    "code": "c0de+/&=",
    "code_verifier": "ver1fier",
    "redirect_uri": "http://127.0.0.1:8081/callback",
    "client_id": "our-id",
    "client_secret": "our-secret",
}


def less(*keys):
    return {key: value for key, value in REDEEM.items() if key not in keys}


async def redeem(port, *, timeout=10.0, **changes) -> Outcome:
    call = TokenEndpoint(timeout, clock=lambda: NOW)
    config = credential(**{"token_url": f"http://127.0.0.1:{port}/oauth/token/", **changes})
    return await within(call.redeem(config, CODE))


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (REDEEM, {}),
        (REDEEM, {"scopes": ("order",)}),
        (less("redirect_uri"), {"redirect_parameter": "none"}),
        (
            {**less("redirect_uri"), "redirect_url": REDEEM["redirect_uri"]},
            {"redirect_parameter": "redirect_url"},
        ),
        (less("client_secret"), {"client_auth": "none"}),
        (less("client_id", "client_secret"), {"client_auth": "basic"}),
        (REDEEM, {"token_request": "json"}),
    ],
)
async def test_code(endpoint, expected, changes):
    """It is redeemed with the verifier and the redirect of its sign-in, encoded as the provider wants it (RFC 7636)."""
    assert GRANTED == await redeem(endpoint.port, **changes)
    as_json = changes.get("token_request") == "json"
    pairs = list(json.loads(endpoint.body).items()) if as_json else parse_qsl(endpoint.body.decode())
    assert sorted(expected.items()) == sorted(pairs)
    assert ("basic" == changes.get("client_auth")) is any(
        line.startswith("Authorization: Ba") for line in endpoint.head
    )
    assert "POST /oauth/token/ HTTP/1.1" == endpoint.head[0]


@pytest.mark.parametrize(
    ("expected", "reply"),
    [
        (GRANTED, answer(b"access_token=abc&refresh_token=new&expires_in=60&token_type=bearer")),
        (Refused(TroubleKind.GRANT, "invalid_grant"), answer(b'{"error": "invalid_grant"}', "400 Bad Request")),
        (Refused(TroubleKind.GRANT, "invalid_grant"), answer(b'{"error": "invalid_grant"}', "401 Unauthorized")),
        (Refused(TroubleKind.CLIENT, "invalid_client"), answer(b'{"error": "invalid_client"}', "401 Unauthorized")),
        (Refused(TroubleKind.REFUSED, "HTTP 302"), answer(b"", "302 Found", "Location: /elsewhere\r\n")),
        (Passing("the token endpoint answered 503"), answer(b"", "503 Service Unavailable")),
    ],
    ids=["form", "grant", "grant as 401", "client", "redirect", "503"],
)
async def test_answer_to_a_code(endpoint, expected, reply):
    """It is read as any other; the code is sent once, whatever it is."""
    endpoint.reply = reply
    assert expected == await redeem(endpoint.port)
    assert 1 == len(endpoint.requests)


async def test_answer_to_a_code_that_takes_too_long(endpoint):
    """It is waited for as long as for any other, and the code may have been used."""
    endpoint.reply, endpoint.silent = b"", True
    assert Uncertain("the token endpoint did not answer in 0.3 s") == await redeem(endpoint.port, timeout=0.3)
    assert 1 == len(endpoint.requests)


@pytest.mark.parametrize("request_", [build_request(credential(), OLD), build_code_request(credential(), CODE), CODE])
def test_request_that_is_printed(request_):
    """It tells nothing of what it holds."""
    shown = repr(request_)
    assert [] == [text for text in ("old", "our-secret", "c0de", "ver1fier") if text in shown]
