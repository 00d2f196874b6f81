"""Cloud 66: Doorkeeper's manners, at its sockets."""

import gzip
import json
from urllib.parse import parse_qs

import pytest

STACKS = "/api/3/stacks.json"


@pytest.fixture
def access(box):
    return box.sandbox.grant("cloud66")["access_token"]


@pytest.fixture
async def refresh(box):
    """A refresh token of a vendor that was told to give them out."""
    await box.control("PATCH", "/cloud66/settings", {"refresh_tokens": True, "lifetime": 60})
    return box.sandbox.grant("cloud66")["refresh_token"]


async def renew(box, refresh, **kwargs):
    form = {**box.form, "refresh_token": refresh}
    return await box.call("cloud66", "POST", "/oauth/token", data=form, **kwargs)


async def test_grant(box):
    """By default there is no refresh token and no expiry."""
    assert {"access_token", "token_type"} == set(box.sandbox.grant("cloud66"))
    assert [None] == [grant["expires_in"] for grant in (await box.state("cloud66"))["grants"]]


async def test_refresh_by_default(box):
    """It is not supported."""
    answer = await renew(box, "anything")
    assert (400, "unsupported_grant_type") == (answer.status, answer.json["error"])


async def test_refresh_when_switched_on(box, refresh):
    """The answer is form-encoded text."""
    answer = await renew(box, refresh)
    assert "application/x-www-form-urlencoded; charset=utf-8" == answer.headers["Content-Type"]
    fields = {key: value[0] for key, value in parse_qs(answer.body.decode()).items()}
    assert ("bearer", "60") == (fields["token_type"], fields["expires_in"])
    assert 200 == (await box.get("cloud66", STACKS, fields["access_token"])).status


async def test_refresh_that_accepts_json(box, refresh):
    """The answer is JSON."""
    answer = await renew(box, refresh, headers={"Accept": "application/json"})
    assert ("application/json", 60) == (answer.headers["Content-Type"], answer.json["expires_in"])


async def test_refresh_without_rotation(box, refresh):
    """The answer holds no refresh token, and the old one goes on working."""
    await box.control("PATCH", "/cloud66/settings", {"rotates": False})
    answers = [await renew(box, refresh, headers={"Accept": "application/json"}) for _ in range(2)]
    assert [200, 200] == [answer.status for answer in answers]
    assert "refresh_token" not in answers[0].json


async def test_used_refresh_token(box, refresh):
    """It is invalid_grant."""
    await renew(box, refresh)
    answer = await renew(box, refresh)
    assert (400, "invalid_grant") == (answer.status, answer.json["error"])


async def test_refresh_by_another_client(box, refresh):
    """It is 401 invalid_client."""
    answer = await box.call("cloud66", "POST", "/oauth/token", data={**box.form, "client_secret": "wrong"})
    assert (401, "invalid_client") == (answer.status, answer.json["error"])


async def test_refresh_with_basic(box, refresh):
    """Doorkeeper takes the client from Basic as well."""
    headers = {"Authorization": "Basic c2FuZGJveC1hcHA6c2FuZGJveC1zZWNyZXQ="}
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert 200 == (await box.call("cloud66", "POST", "/oauth/token", headers=headers, data=form)).status


@pytest.mark.parametrize("path", [STACKS, "/api/2/stacks.json"])
async def test_unknown_token(box, path):
    """The body is empty; the reason stands in the challenge alone."""
    answer = await box.get("cloud66", path, "made-up", headers={"Accept-Encoding": "gzip"})
    assert (401, b"") == (answer.status, answer.body)
    wanted = 'Bearer realm="Doorkeeper", error="invalid_token", error_description="The access token is invalid"'
    assert wanted == answer.headers["WWW-Authenticate"]


async def test_expired_token(box, access):
    """The challenge says so."""
    await box.control("POST", "/cloud66/expire")
    answer = await box.get("cloud66", STACKS, access)
    assert (401, b"") == (answer.status, answer.body)
    assert "The access token expired" in answer.headers["WWW-Authenticate"]


async def test_pages(box, access):
    """Pages have numbers; the last has no next."""
    first = (await box.get("cloud66", STACKS, access)).json
    assert (2, {"previous": None, "next": 2, "current": 1, "per_page": 2, "count": 3, "pages": 2}) == (
        first["count"],
        first["pagination"],
    )
    last = (await box.get("cloud66", f"{STACKS}?page=2", access)).json
    assert (1, 1, None) == (len(last["response"]), last["pagination"]["previous"], last["pagination"]["next"])


async def test_get_with_a_form_body(box, access):
    """Its fields count as if they stood in the query."""
    answer = await box.call("cloud66", "GET", STACKS, access, data={"page": "2"})
    assert 2 == answer.json["pagination"]["current"]


async def test_token_in_the_query(box, access):
    """API v2 accepts it, and warns of its age."""
    answer = await box.get("cloud66", f"/api/2/stacks.json?access_token={access}")
    assert 200 == answer.status
    assert "deprecated" in answer.headers["X-Cloud66-Warning"]


async def test_stack_and_its_actions(box, access):
    """An action is made by POST, and listed."""
    uid = (await box.get("cloud66", STACKS, access)).json["response"][0]["uid"]
    assert uid == (await box.get("cloud66", f"/api/3/stacks/{uid}.json", access)).json["response"]["uid"]
    path = f"/api/3/stacks/{uid}/actions.json"
    made = await box.call("cloud66", "POST", path, access, json={"command": "redeploy"})
    assert (200, "redeploy") == (made.status, made.json["response"]["action"])
    assert 422 == (await box.call("cloud66", "POST", path, access)).status
    assert [made.json["response"]] == (await box.get("cloud66", path, access)).json["response"]


@pytest.mark.parametrize("path", ["/api/3/stacks/none.json", "/api/3/stacks/none/actions.json", "/api/3/none"])
async def test_what_is_not_there(box, access, path):
    """It is 404."""
    assert 404 == (await box.get("cloud66", path, access)).status


async def test_gzip(box, access):
    """It is packed when asked, and every answer has an id of its own."""
    plain = await box.get("cloud66", STACKS, access, headers={"Accept-Encoding": "identity"})
    packed = await box.get("cloud66", STACKS, access, headers={"Accept-Encoding": "gzip"})
    assert ("gzip", None) == (packed.headers["Content-Encoding"], plain.headers.get("Content-Encoding"))
    assert plain.json == json.loads(gzip.decompress(packed.body))
    assert plain.headers["Request-Id"] != packed.headers["Request-Id"]


async def test_quota(box, access):
    """A throttled caller gets 503."""
    await box.control("PATCH", "/cloud66/settings", {"quota_per_minute": 1})
    assert [200, 503] == [(await box.get("cloud66", STACKS, access)).status for _ in range(2)]
