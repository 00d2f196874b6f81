"""ReadyCloud: the oddities that VENDORS.md lists, at its sockets."""

import asyncio
import io
import os

import pytest
from readycloud import ReadyCloud

from proxy.sandbox import CLIENT_ID, CLIENT_SECRET

ORDERS = "/api/v2/orgs/7kQ2f/orders/"
TOKEN = "/api/v1/oauth2/token/"


@pytest.fixture
def grant(box):
    return box.sandbox.grant("readycloud")


@pytest.fixture
def access(grant):
    return grant["access_token"]


async def test_renewal(box, grant):
    """The access token stays the same, its expiry is extended, the refresh token is new."""
    box.clock.now += 31_536_000
    assert 401 == (await box.get("readycloud", ORDERS, grant["access_token"])).status
    answer = (await box.renew_readycloud(grant["refresh_token"])).json
    assert {"access_token", "expires_in", "token_type", "refresh_token"} == set(answer)
    assert (grant["access_token"], 31_536_000) == (answer["access_token"], answer["expires_in"])
    assert grant["refresh_token"] != answer["refresh_token"]
    assert 200 == (await box.get("readycloud", ORDERS, grant["access_token"])).status


async def test_used_refresh_token(box, grant):
    """It is named in the answer, and the grant can never be renewed again; the access token lives on."""
    current = (await box.renew_readycloud(grant["refresh_token"])).json["refresh_token"]
    for dead in (grant["refresh_token"], current):
        answer = await box.renew_readycloud(dead)
        wanted = {"error": "invalid_request", "error_description": f"No such refresh token: {dead}"}
        assert (400, wanted) == (answer.status, answer.json)
    assert 200 == (await box.get("readycloud", ORDERS, grant["access_token"])).status
    state = await box.state("readycloud")
    assert (3, 1, 2) == (state["exchanges"], state["rotations"], state["refused"])
    assert [False] == [item["alive"] for item in state["grants"]]


@pytest.mark.parametrize("changes", [{"client_id": "other"}, {"client_secret": "wrong"}])
async def test_exchange_by_another_client(box, grant, changes):
    """It is 401 invalid_client, and costs nothing."""
    answer = await box.renew_readycloud(grant["refresh_token"], **changes)
    assert (401, {"error": "invalid_client"}) == (answer.status, answer.json)
    assert 200 == (await box.renew_readycloud(grant["refresh_token"])).status


async def test_exchange_as_json(box, grant):
    """It is refused."""
    fields = {**box.form, "refresh_token": grant["refresh_token"]}
    answer = await box.call("readycloud", "POST", TOKEN, json=fields)
    assert (400, "invalid_request") == (answer.status, answer.json["error"])


async def test_exchange_with_basic(box, grant):
    """It crashes the vendor."""
    headers = {"Authorization": "Basic c2FuZGJveC1hcHA6c2FuZGJveC1zZWNyZXQ="}
    form = {**box.form, "refresh_token": grant["refresh_token"]}
    assert 500 == (await box.call("readycloud", "POST", TOKEN, headers=headers, data=form)).status


async def test_exchange_with_scope(box, grant):
    """It crashes the vendor, and rotates nothing."""
    assert 500 == (await box.renew_readycloud(grant["refresh_token"], scope="order")).status
    assert 0 == (await box.state("readycloud"))["rotations"]


async def test_exchange_without_the_final_slash(box, grant):
    """It is not served."""
    form = {**box.form, "refresh_token": grant["refresh_token"]}
    assert 404 == (await box.call("readycloud", "POST", TOKEN[:-1], data=form)).status


async def test_unsupported_grant_type(box):
    """It is refused by name."""
    answer = await box.call("readycloud", "POST", TOKEN, data={**box.form, "grant_type": "password"})
    assert (400, {"error": "unsupported_grant_type"}) == (answer.status, answer.json)


async def test_expired_token(box, access):
    """The reason stands in the body and in the challenge."""
    await box.control("POST", "/readycloud/expire")
    answer = await box.get("readycloud", ORDERS, access)
    assert {"error": "invalid_token", "error_description": "Token is expired"} == answer.json
    assert 401 == answer.status
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="", error="invalid_token"')


async def test_unknown_token(box):
    """It says that it does not exist."""
    answer = await box.get("readycloud", ORDERS, "made-up")
    assert (401, "Token doesn't exist") == (answer.status, answer.json["error_description"])


async def test_no_credentials(box):
    """The body says invalid_request, the status 401."""
    answer = await box.get("readycloud", ORDERS)
    assert (401, "invalid_request") == (answer.status, answer.json["error"])


async def test_token_in_the_query(box, access):
    """It is accepted; a header wins over it."""
    assert 200 == (await box.get("readycloud", f"{ORDERS}?bearer_token={access}")).status
    assert 401 == (await box.get("readycloud", f"{ORDERS}?bearer_token={access}", "made-up")).status
    assert 200 == (await box.get("readycloud", f"{ORDERS}?bearer_token=made-up", access)).status


@pytest.mark.parametrize("scheme", ["bearer", "Bearer", "BEARER"])
async def test_case_of_the_scheme(box, access, scheme):
    """It does not matter."""
    answer = await box.get("readycloud", ORDERS, headers={"Authorization": f"{scheme} {access}"})
    assert 200 == answer.status


async def test_two_authorization_headers(box, access):
    """They count as one, which is no token."""
    headers = [("Authorization", f"Bearer {access}"), ("Authorization", f"Bearer {access}")]
    url = f"{box.sandbox.url('readycloud')}{ORDERS}"
    async with box.session.get(url, headers=headers) as response:
        assert 401 == response.status


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("order", "GET", ORDERS, 200),
        ("order", "POST", ORDERS, 201),
        ("order-read_only", "GET", ORDERS, 200),
        ("order-read_only", "POST", ORDERS, 403),
        ("order", "GET", "/api/v2/orgs/", 403),
        ("company-read_only", "GET", "/api/v2/orgs/", 200),
        ("company", "GET", "/api/v2/orgs/7kQ2f/", 200),
        ("company", "GET", "/api/v1/orders/", 403),
        ("", "GET", "/api/v1/webhooks/", 200),
    ],
)
async def test_scopes(box, scope, method, path, status):
    """A write needs the whole scope, a read its read_only twin at least."""
    await box.control("PATCH", "/readycloud/settings", {"scope": scope})
    token = box.sandbox.grant("readycloud")["access_token"]
    assert status == (await box.call("readycloud", method, path, token)).status


async def test_missing_scope_of_an_expired_token(box):
    """The scope is looked at first."""
    await box.control("PATCH", "/readycloud/settings", {"scope": "company"})
    token = box.sandbox.grant("readycloud")["access_token"]
    await box.control("POST", "/readycloud/expire")
    answer = await box.get("readycloud", ORDERS, token)
    assert (403, "insufficient_scope") == (answer.status, answer.json["error"])


async def test_jsonp_hides_an_expired_token(box, access):
    """With a callback the refusal is HTTP 200, and still counted as one."""
    await box.control("POST", "/readycloud/expire")
    answer = await box.get("readycloud", f"{ORDERS}?callback=foo", access)
    assert (200, "application/javascript") == (answer.status, answer.headers["Content-Type"])
    assert answer.body.startswith(b'foo({"error": "invalid_token"')
    assert answer.body.endswith(b"});")
    assert 1 == (await box.state("readycloud"))["rejected"]


async def test_jsonp_with_a_good_token(box, access):
    """A good answer is wrapped too."""
    answer = await box.get("readycloud", "/api/v2/orgs/?callback=foo", access)
    assert answer.body.startswith(b'foo({"count": 1')


async def test_organizations(box, access):
    """The last segment of `url` is the key; a second organization only on request."""
    answer = (await box.get("readycloud", "/api/v2/orgs/", access)).json
    assert (1, None, "/api/v2/orgs/7kQ2f/") == (answer["count"], answer["next"], answer["results"][0]["url"])
    assert 404 == (await box.get("readycloud", "/api/v2/orgs/9~x.B/", access)).status
    await box.control("PATCH", "/readycloud/settings", {"orgs": 2})
    assert 200 == (await box.get("readycloud", "/api/v2/orgs/9~x.B/", access)).status


async def test_pagination_of_v2(box, access):
    """`next` is absolute at the Host that was asked, and leads through all orders."""
    answer = await box.get("readycloud", f"{ORDERS}?limit=30", access, headers={"Host": "vendor.example:81"})
    wanted = f"http://vendor.example:81{ORDERS}?limit=30&offset=30"
    assert (40, wanted, None) == tuple(answer.json[key] for key in ("count", "next", "previous"))
    answer = (await box.get("readycloud", f"{ORDERS}?limit=30&offset=30", access)).json
    assert (10, None) == (len(answer["results"]), answer["next"])
    assert answer["previous"].endswith("limit=30&offset=0")


async def test_pagination_of_v1(box, access):
    """`meta.next` is host-relative, and echoes a token that came in the query."""
    meta = (await box.get("readycloud", f"/api/v1/orders/?bearer_token={access}")).json["meta"]
    assert f"/api/v1/orders/?bearer_token={access}&limit=20&offset=20" == meta["next"]
    assert 40 == meta["total_count"]


@pytest.mark.parametrize("base", [ORDERS, "/api/v1/orders/"])
async def test_an_orders_life(box, access, base):
    """Made, changed, replaced, deleted; id and url cannot be changed."""
    made = await box.call("readycloud", "POST", base, access, json={"note": "a", "id": 3})
    path = f"{base}{made.json['id']}/"
    assert (201, "a", path) == (made.status, made.json["note"], made.json["url"])
    assert f"{box.sandbox.url('readycloud')}{path}" == made.headers["Location"]
    changed = await box.call("readycloud", "PATCH", path, access, json={"tag": "b"})
    assert {**made.json, "tag": "b"} == changed.json
    replaced = await box.call("readycloud", "PUT", path, access, json={"tag": "c"})
    assert {"id": made.json["id"], "url": path, "tag": "c"} == replaced.json
    assert replaced.json == (await box.get("readycloud", path, access)).json
    assert 204 == (await box.call("readycloud", "DELETE", path, access)).status
    assert 404 == (await box.get("readycloud", path, access)).status


async def test_webhooks(box, access):
    """They can be made and listed."""
    hook = {"entity": "orders", "url": "https://hooks.example/x"}
    assert 201 == (await box.call("readycloud", "POST", "/api/v1/webhooks/", access, json=hook)).status
    assert 400 == (await box.call("readycloud", "POST", "/api/v1/webhooks/", access, json={})).status
    listed = (await box.get("readycloud", "/api/v1/webhooks/", access)).json["objects"]
    assert [hook] == [{key: item[key] for key in hook} for item in listed]


async def test_large_body_that_is_no_json(box, access):
    """64 MiB are accepted, and an order is made."""
    body = io.BytesIO(os.urandom(1024) * 64 * 1024)
    assert 201 == (await box.call("readycloud", "POST", ORDERS, access, data=body)).status
    assert 64 * 1024 * 1024 == (await box.journal("readycloud"))[0]["body_length"]


async def test_path_without_its_final_slash(box, access):
    """It leads to the one with it, query included."""
    answer = await box.get("readycloud", f"{ORDERS[:-1]}?limit=2", access)
    assert (301, f"{ORDERS}?limit=2") == (answer.status, answer.headers["Location"])


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing/", 404), ("DELETE", ORDERS, 405)])
async def test_what_is_not_served(box, access, method, path, status):
    """An unknown path is 404, an unknown method 405."""
    assert status == (await box.call("readycloud", method, path, access)).status


async def test_quota(box, access):
    """Reads and writes count apart; after a minute there is room again."""
    await box.control("PATCH", "/readycloud/settings", {"quota_per_minute": 1})

    async def ask(method):
        return (await box.call("readycloud", method, ORDERS, access)).status

    assert [200, 429, 201, 429] == [await ask(method) for method in ("GET", "GET", "POST", "POST")]
    box.clock.now += 60
    assert 200 == await ask("GET")


async def test_the_vendors_own_client(box, access):
    """The published `readycloud` package works unchanged."""
    client = ReadyCloud(token=access, host=box.sandbox.url("readycloud"), org_id="7kQ2f")
    orders = await asyncio.to_thread(client.get_orders, limit=5)
    made = await asyncio.to_thread(client.create_order, {"note": "x"})
    assert (200, 5, 201) == (orders["status_code"], len(orders["results"]), made["status_code"])
    changed = await asyncio.to_thread(client.update_order, made["id"], {"note": "y"})
    assert (200, "y") == (changed["status_code"], changed["note"])


async def test_client_identity(box):
    """What the docs of the sandbox promise."""
    assert ("sandbox-app", "sandbox-secret") == (CLIENT_ID, CLIENT_SECRET)
