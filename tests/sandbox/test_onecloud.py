"""OneCloud: JSON exchange, tokens that work once, and a POST with a side effect, at its sockets."""

import pytest

CHAINS = "/api/v1/chains"


@pytest.fixture
def grant(box):
    return box.sandbox.grant("onecloud")


@pytest.fixture
def access(grant):
    return grant["access_token"]


async def test_renewal(box, grant):
    """Both tokens are new; the old access token is refused at once."""
    answer = (await box.renew_onecloud(grant["refresh_token"])).json
    assert 86_400 == answer["expires_in"]
    assert not {grant["access_token"], grant["refresh_token"]} & set(map(str, answer.values()))
    assert 401 == (await box.get("onecloud", CHAINS, grant["access_token"])).status
    assert 200 == (await box.get("onecloud", CHAINS, answer["access_token"])).status


async def test_used_refresh_token(box, grant):
    """It kills the grant, access token included."""
    current = (await box.renew_onecloud(grant["refresh_token"])).json
    for dead in (grant["refresh_token"], current["refresh_token"]):
        answer = await box.renew_onecloud(dead)
        assert (400, {"error": "invalid_grant"}) == (answer.status, answer.json)
    assert 401 == (await box.get("onecloud", CHAINS, current["access_token"])).status


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "sandbox-secret"}, 400, "invalid_request"),
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"refresh_token": "made-up"}, 400, "invalid_grant"),
    ],
)
async def test_bad_exchange(box, grant, changes, status, error):
    """Each mistake has its answer, and none costs the grant."""
    answer = await box.renew_onecloud(**{"refresh": grant["refresh_token"], **_as_arguments(changes)})
    assert (status, error) == (answer.status, answer.json["error"])
    assert 200 == (await box.renew_onecloud(grant["refresh_token"])).status


def _as_arguments(changes):
    return {"refresh" if key == "refresh_token" else key: value for key, value in changes.items()}


async def test_exchange_as_form(box, grant):
    """It is refused."""
    form = {**box.form, "refresh_token": grant["refresh_token"]}
    answer = await box.call("onecloud", "POST", "/oauth2/token", data=form)
    assert (400, "invalid_request") == (answer.status, answer.json["error"])


async def test_exchange_by_get(box):
    """There is none."""
    assert 405 == (await box.get("onecloud", "/oauth2/token")).status


@pytest.mark.parametrize(("later", "status"), [(86_399.9, 200), (86_400.0, 401)])
async def test_expiry_at_its_border(box, access, later, status):
    """A token lives for its lifetime, not longer."""
    box.clock.now += later
    assert status == (await box.get("onecloud", CHAINS, access)).status


@pytest.mark.parametrize("token", [None, "made-up"])
async def test_unauthorized(box, token):
    """The answer says only that."""
    answer = await box.get("onecloud", CHAINS, token)
    assert (401, {"message": "Unauthorized"}) == (answer.status, answer.json)
    assert "WWW-Authenticate" not in answer.headers


async def test_chains(box, access):
    """There are five, each at its id."""
    chains = (await box.get("onecloud", CHAINS, access)).json["data"]
    assert 5 == len(chains)
    first = await box.get("onecloud", f"{CHAINS}/{chains[0]['id']}", access)
    assert {"data": chains[0]} == first.json
    assert 404 == (await box.get("onecloud", f"{CHAINS}/1", access)).status


async def test_starting_a_chain(box, access):
    """It makes a run, which is counted; a refused start makes none."""
    assert 401 == (await box.call("onecloud", "POST", f"{CHAINS}/301/start", "made-up")).status
    assert 404 == (await box.call("onecloud", "POST", f"{CHAINS}/1/start", access)).status
    run = (await box.call("onecloud", "POST", f"{CHAINS}/301/start", access)).json["data"]
    assert 1 == (await box.state("onecloud"))["runs"]
    assert {"data": run} == (await box.get("onecloud", f"/api/v1/runs/{run['id']}", access)).json


async def test_rate_limit_headers(box, access):
    """They count down; the burst is full again after 20 seconds."""
    names = ("oc-api-daily-remaining", "oc-api-burst-remaining")
    replies = [await box.get("onecloud", CHAINS, access) for _ in range(2)]
    box.clock.now += 20
    replies.append(await box.get("onecloud", CHAINS, access))
    wanted = [("49999", "99"), ("49998", "98"), ("49997", "99")]
    assert wanted == [tuple(reply.headers[name] for name in names) for reply in replies]


async def test_quota(box, access):
    """Over it is 422; the header counts down to nothing."""
    await box.control("PATCH", "/onecloud/settings", {"quota_per_minute": 1})
    replies = [await box.get("onecloud", CHAINS, access) for _ in range(2)]
    assert [200, 422] == [reply.status for reply in replies]
    assert {"message": "Rate limit exceeded"} == replies[1].json
    assert "0" == replies[1].headers["oc-api-burst-remaining"]
