"""Cloud 66's token endpoint when it is brought an authorization code, at its sockets."""

import asyncio
import base64
import hashlib
from urllib.parse import parse_qs

import pytest

from proxy.sandbox import CLIENT_ID, CLIENT_SECRET

AUTHORIZE = "/oauth/authorize"
STACKS = "/api/3/stacks.json"
MINE = "http://127.0.0.1:8081/mine"
OOB = "urn:ietf:wg:oauth:2.0:oob"
QUERY = {"response_type": "code", "client_id": CLIENT_ID, "scope": "public,redeploy"}
VERIFIER = "v" * 43
DIGEST = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
S256 = {"code_challenge": DIGEST, "code_challenge_method": "S256"}
PLAIN = {"code_challenge": VERIFIER, "code_challenge_method": "plain"}


async def sign_in(box, **changes):
    """The code that a sign-in brings."""
    return (await box.decide("cloud66", AUTHORIZE, {**QUERY, **changes})).query["code"]


async def exchange(box, code, *, accept="application/json", basic=None, **fields):
    form = {"grant_type": "authorization_code", "code": code, **fields}
    form |= {} if basic else {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **fields}
    headers = {"Accept": accept, **({"Authorization": f"Basic {basic}"} if basic else {})}
    return await box.call("cloud66", "POST", "/oauth/token", headers=headers, data=form)


async def test_exchange(box):
    """The answer is form-encoded, says what was granted, and its token works."""
    answer = await exchange(box, await sign_in(box), accept="*/*")
    assert (200, "application/x-www-form-urlencoded; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    fields = {key: value[0] for key, value in parse_qs(answer.text).items()}
    assert {"access_token", "token_type", "scope"} == set(fields)
    assert ("public redeploy", "bearer") == (fields["scope"], fields["token_type"])
    assert 200 == (await box.get("cloud66", STACKS, fields["access_token"])).status
    state = await box.state("cloud66")
    assert (1, 0, 0) == (state["exchanges"], state["refused"], state["rotations"])
    assert ["public redeploy"] == [grant["scope"] for grant in state["grants"]]


async def test_exchange_that_accepts_json(box):
    """The answer is JSON."""
    answer = await exchange(box, await sign_in(box))
    assert ("application/json", "public redeploy") == (answer.headers["Content-Type"], answer.json["scope"])


async def test_exchange_with_refresh_tokens_switched_on(box):
    """The answer holds one, and it can be exchanged."""
    await box.settings("cloud66", refresh_tokens=True, lifetime=60)
    answer = (await exchange(box, await sign_in(box))).json
    assert 60 == answer["expires_in"]
    form = {**box.form, "refresh_token": answer["refresh_token"]}
    assert 200 == (await box.call("cloud66", "POST", "/oauth/token", data=form)).status


async def test_scope_that_is_withheld(box):
    """It was asked for, and the answer lacks it."""
    await box.settings("cloud66", withholds="redeploy admin")
    assert "public" == (await exchange(box, await sign_in(box))).json["scope"]


async def test_second_use(box):
    """It is refused, and the token of the first use is dead."""
    code = await sign_in(box)
    token = (await exchange(box, code)).json["access_token"]
    again = await exchange(box, code)
    assert (400, "invalid_grant") == (again.status, again.json["error"])
    assert 401 == (await box.get("cloud66", STACKS, token)).status
    assert [False] == [grant["alive"] for grant in (await box.state("cloud66"))["grants"]]


async def test_second_code(box):
    """Each sign-in has a code and a grant of its own; the death of one leaves the other alive."""
    first, second = await sign_in(box), await sign_in(box)
    token = (await exchange(box, second)).json["access_token"]
    await exchange(box, first)
    await exchange(box, first)
    assert 200 == (await box.get("cloud66", STACKS, token)).status


@pytest.mark.parametrize(("seconds", "status"), [(599.9, 200), (600, 400)])
async def test_old_code(box, seconds, status):
    """After ten minutes it is refused."""
    code = await sign_in(box)
    box.clock.now += seconds
    answer = await exchange(box, code)
    assert (status, status != 200) == (answer.status, answer.json.get("error") == "invalid_grant")


async def test_lifetime_of_codes(box):
    """It can be set."""
    await box.settings("cloud66", code_lifetime=5)
    code = await sign_in(box)
    box.clock.now += 5
    assert 400 == (await exchange(box, code)).status


@pytest.mark.parametrize("code", ["made-up", ""])
async def test_unknown_code(box, code):
    """It is refused, and counted."""
    answer = await exchange(box, code)
    assert (400, "invalid_grant") == (answer.status, answer.json["error"])
    assert 1 == (await box.state("cloud66"))["refused"]


@pytest.mark.parametrize("wrong", [{"client_id": "other"}, {"client_secret": "wrong"}, {"client_secret": ""}])
async def test_exchange_by_another_client(box, wrong):
    """It is 401 invalid_client; the code is not spent, and no grant dies of it."""
    code = await sign_in(box)
    answer = await exchange(box, code, **wrong)
    assert (401, "invalid_client") == (answer.status, answer.json["error"])
    token = (await exchange(box, code)).json["access_token"]
    assert 401 == (await exchange(box, code, **wrong)).status
    assert 200 == (await box.get("cloud66", STACKS, token)).status


async def test_exchange_with_basic(box):
    """Doorkeeper takes the client from Basic as well."""
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    assert 200 == (await exchange(box, await sign_in(box), basic=basic)).status


@pytest.mark.parametrize(
    ("asked", "brought", "status"),
    [
        ({"redirect_uri": MINE}, {"redirect_uri": MINE}, 200),
        ({"redirect_uri": MINE}, {"redirect_url": MINE}, 200),
        ({"redirect_url": MINE}, {"redirect_uri": MINE}, 200),
        ({"redirect_uri": OOB}, {"redirect_uri": OOB}, 200),
        ({"redirect_uri": OOB}, {}, 400),
        ({"redirect_uri": MINE}, {}, 400),
        ({"redirect_uri": MINE}, {"redirect_uri": ""}, 400),
        ({"redirect_uri": MINE}, {"redirect_uri": f"{MINE}/"}, 400),
        ({"redirect_uri": MINE}, {"redirect_uri": "https://127.0.0.1:8081/mine"}, 400),
        ({}, {}, 200),
        ({}, {"redirect_uri": MINE}, 200),
    ],
)
async def test_redirect(box, asked, brought, status):
    """It must be the very one that was sent with the request, if one was."""
    answer = await exchange(box, await sign_in(box, **asked), **brought)
    assert (status, status != 200) == (answer.status, answer.json.get("error") == "invalid_grant")


@pytest.mark.parametrize("name", ["redirect_uri", "redirect_url"])
async def test_redirect_under_both_names(box, name):
    """The name that the vendor reads is the one that counts."""
    await box.settings("cloud66", redirect_parameter=name)
    (other,) = {"redirect_uri", "redirect_url"} - {name}
    code = await sign_in(box, **{name: MINE})
    assert 400 == (await exchange(box, code, **{name: f"{MINE}/", other: MINE})).status
    assert 200 == (await exchange(box, code, **{name: MINE, other: f"{MINE}/"})).status


@pytest.mark.parametrize(
    ("challenge", "verifier", "status"),
    [
        (S256, {"code_verifier": VERIFIER}, 200),
        (S256, {"code_verifier": "w" * 43}, 400),
        (S256, {"code_verifier": DIGEST}, 400),
        (S256, {"code_verifier": ""}, 400),
        (S256, {}, 400),
        (PLAIN, {"code_verifier": VERIFIER}, 200),
        (PLAIN, {"code_verifier": "w" * 43}, 400),
        (PLAIN, {}, 400),
        ({}, {"code_verifier": VERIFIER}, 400),
        ({"code_challenge": ""}, {}, 200),
    ],
)
async def test_pkce(box, challenge, verifier, status):
    """A challenge demands its verifier, and a verifier without a challenge is refused."""
    answer = await exchange(box, await sign_in(box, **challenge), **verifier)
    assert (status, status != 200) == (answer.status, answer.json.get("error") == "invalid_grant")


@pytest.mark.parametrize(("when", "grants"), [("before", 0), ("after", 1)])
async def test_stall(box, when, grants):
    """A fault meets the exchange of a code, before or after the grant is made."""
    code = await sign_in(box)
    await box.fault("cloud66", on="token", fault="stall", when=when)
    running = asyncio.create_task(exchange(box, code))
    await box.wait("cloud66", "stalled")
    assert grants == len((await box.state("cloud66"))["grants"])
    await box.control("POST", "/cloud66/release")
    assert 200 == (await running).status


async def test_answer_that_is_lost(box):
    """The code is spent: trying again costs the grant."""
    code = await sign_in(box)
    await box.fault("cloud66", on="token", fault="fail", when="after")
    assert [503, 400] == [(await exchange(box, code)).status for _ in range(2)]
    assert [False] == [grant["alive"] for grant in (await box.state("cloud66"))["grants"]]


async def test_reset(box):
    """Codes are forgotten."""
    code = await sign_in(box)
    await box.control("POST", "/reset")
    assert 400 == (await exchange(box, code)).status
    assert 0 == (await box.state("cloud66"))["authorizations"]


async def test_logs_and_state(box, caplog):
    """No code, verifier or token is logged or shown."""
    caplog.set_level("DEBUG")
    code = await sign_in(box, **S256, state="s3cret-state")
    token = (await exchange(box, code, code_verifier=VERIFIER)).json["access_token"]
    await exchange(box, code, code_verifier=VERIFIER)
    shown = caplog.text + (await box.control("GET", "/cloud66/state")).text
    assert not [secret for secret in (code, VERIFIER, token, "s3cret-state") if secret in shown]
