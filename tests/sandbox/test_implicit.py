"""ReadyCloud's sign-in: a page, a decision, and tokens in a fragment, at its sockets."""

import pytest

from proxy.sandbox import CLIENT_ID
from proxy.sandbox.data import READYCLOUD_SCOPES

AUTHORIZE = "/api/v1/oauth2/authorize"
AUTH_CODE = "/api/v1/oauth2/auth_code"
ORDERS = "/api/v2/orgs/7kQ2f/orders/"
ORGS = "/api/v2/orgs/"
HOSTILE = "\"'><script>alert(1)</script>"
QUERY = {"response_type": "token", "client_id": CLIENT_ID, "scope": "order company", "state": "s/ +&#1"}


async def test_page(box):
    """It says who asks and for what, and has a form with two buttons that goes to the page's own address."""
    answer = await box.open("readycloud", AUTHORIZE, QUERY)
    assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    assert '<strong id="client">sandbox-app</strong>' in answer.text
    assert '<ul id="scopes"><li>order</li><li>company</li></ul>' in answer.text
    assert '<form method="post"><button name="decision" value="allow" id="allow">' in answer.text
    assert '<button name="decision" value="deny" id="deny">' in answer.text
    assert "no-store" == answer.headers["Cache-Control"]
    assert 0 == (await box.state("readycloud"))["authorizations"]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_allowed(box, slash):
    """Without a registered redirect a page of the vendor's is next: state in the query, tokens in the fragment."""
    answer = await box.decide("readycloud", f"{AUTHORIZE}{slash}", QUERY)
    assert (302, f"{box.sandbox.url('readycloud')}{AUTH_CODE}") == (answer.status, answer.place)
    assert {"state": QUERY["state"]} == answer.query
    fragment = answer.fragment
    assert ["access_token", "user", "refresh_token", "expires_in", "scope", "token_type"] == list(fragment)
    assert ("order company", "31536000", "bearer") == tuple(fragment[k] for k in ("scope", "expires_in", "token_type"))
    assert 200 == (await box.renew_readycloud(fragment["refresh_token"])).status
    assert 200 == (await box.get("readycloud", ORDERS, fragment["access_token"])).status
    assert 1 == (await box.state("readycloud"))["authorizations"]


async def test_denied(box):
    """The error stands in the query, there are no tokens, and no grant is made."""
    answer = await box.decide("readycloud", AUTHORIZE, QUERY, "deny")
    assert (302, f"{box.sandbox.url('readycloud')}{AUTH_CODE}") == (answer.status, answer.place)
    assert {"error": "access_denied", "state": QUERY["state"]} == answer.query
    assert "#" not in answer.headers["Location"]
    state = await box.state("readycloud")
    assert (0, []) == (state["authorizations"], state["grants"])


async def test_no_state(box):
    """None comes back."""
    query = {key: value for key, value in QUERY.items() if key != "state"}
    assert "?" not in (await box.decide("readycloud", AUTHORIZE, query)).headers["Location"]
    assert {"error": "access_denied"} == (await box.decide("readycloud", AUTHORIZE, query, "deny")).query


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_registered_redirect(box, decision):
    """The browser goes there, and the registered query stays."""
    await box.settings("readycloud", redirect_uri="https://app.example/back?a=b")
    answer = await box.decide("readycloud", AUTHORIZE, QUERY, decision)
    assert "https://app.example/back" == answer.place
    assert ("b", QUERY["state"]) == (answer.query["a"], answer.query["state"])


async def test_redirect_in_the_request(box):
    """It is ignored."""
    answer = await box.decide("readycloud", AUTHORIZE, {**QUERY, "redirect_uri": "http://evil.example/"})
    assert f"{box.sandbox.url('readycloud')}{AUTH_CODE}" == answer.place
    assert "evil.example" not in answer.headers["Location"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"response_type": "code"}, "response_type must be token"),
        ({"response_type": ""}, "response_type must be token"),
        ({"client_id": "other"}, "no application"),
        ({"client_id": ""}, "no application"),
        ({"scope": "order everything"}, "Unknown scopes: everything"),
        ({"scope": "order,company"}, "Unknown scopes: order,company"),
        ({"scope": "order-read_only-read_only"}, "Unknown scopes"),
    ],
)
async def test_what_is_refused(box, method, changes, words):
    """It is a page of the vendor's, and nobody is redirected or granted anything."""
    ask = box.open if method == "GET" else box.decide
    answer = await ask("readycloud", AUTHORIZE, {**QUERY, **changes})
    assert (400, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    assert "Location" not in answer.headers
    assert words in answer.text
    assert 'id="allow"' not in answer.text
    state = await box.state("readycloud")
    assert (0, []) == (state["authorizations"], state["grants"])


@pytest.mark.parametrize("decision", ["", "maybe"])
async def test_form_without_a_decision(box, decision):
    """It is refused."""
    answer = await box.decide("readycloud", AUTHORIZE, QUERY, decision)
    assert (400, None) == (answer.status, answer.headers.get("Location"))
    assert [] == (await box.state("readycloud"))["grants"]


@pytest.mark.parametrize("query", [{}, {"scope": ""}])
async def test_no_scope(box, query):
    """All scopes are asked for, and granted."""
    query = {"response_type": "token", "client_id": CLIENT_ID, **query}
    page = await box.open("readycloud", AUTHORIZE, query)
    assert [] == [scope for scope in READYCLOUD_SCOPES if f"<li>{scope}</li>" not in page.text]
    granted = (await box.decide("readycloud", AUTHORIZE, query)).fragment["scope"]
    assert list(READYCLOUD_SCOPES) == granted.split()


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [("order", [200, 201, 403]), ("order-read_only", [200, 403, 403]), ("company-read_only", [403, 403, 200])],
)
async def test_scope_of_the_grant(box, scope, statuses):
    """The tokens are good for what was asked, and for nothing more."""
    token = (await box.decide("readycloud", AUTHORIZE, {**QUERY, "scope": scope})).fragment["access_token"]
    calls = (("GET", ORDERS), ("POST", ORDERS), ("GET", ORGS))
    assert statuses == [(await box.call("readycloud", *call, token)).status for call in calls]


async def test_scope_that_is_withheld(box):
    """The page asks for it, the grant lacks it, and the fragment says so."""
    await box.settings("readycloud", withholds="order")
    assert "<li>order</li>" in (await box.open("readycloud", AUTHORIZE, QUERY)).text
    fragment = (await box.decide("readycloud", AUTHORIZE, QUERY)).fragment
    assert "company" == fragment["scope"]
    assert 403 == (await box.get("readycloud", ORDERS, fragment["access_token"])).status


async def test_settings_of_tokens(box):
    """They hold for a sign-in as for any grant."""
    await box.settings("readycloud", lifetime=None, refresh_tokens=False, override={"expires_in": "soon"})
    fragment = (await box.decide("readycloud", AUTHORIZE, QUERY)).fragment
    assert ("soon", False) == (fragment["expires_in"], "refresh_token" in fragment)


@pytest.mark.parametrize("key", ["state", "client_id", "scope", "response_type"])
async def test_hostile_text(box, key):
    """Nothing that comes in becomes markup."""
    answer = await box.open("readycloud", AUTHORIZE, {**QUERY, key: HOSTILE})
    assert "<script" not in answer.text
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert (key in {"client_id", "scope"}) == shown


@pytest.mark.parametrize("slash", ["", "/"])
async def test_page_to_copy_from(box, slash):
    """It tells the person to copy the address."""
    answer = await box.get("readycloud", f"{AUTH_CODE}{slash}")
    assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    assert "Copy the whole address" in answer.text


@pytest.mark.parametrize(("method", "path"), [("DELETE", AUTHORIZE), ("POST", AUTH_CODE)])
async def test_other_methods(box, method, path):
    """They are not served."""
    assert 405 == (await box.call("readycloud", method, path)).status


async def test_journal_and_counters(box):
    """The pages are no API requests; consents are counted, and can be waited for."""
    await box.open("readycloud", AUTHORIZE, QUERY)
    await box.decide("readycloud", AUTHORIZE, QUERY)
    await box.decide("readycloud", AUTHORIZE, QUERY)
    await box.get("readycloud", AUTH_CODE)
    await box.wait("readycloud", "authorizations", 2)
    state = await box.state("readycloud")
    assert (2, 0, 0) == (state["authorizations"], state["api_requests"], state["exchanges"])
    assert [] == await box.journal("readycloud")


async def test_faults_of_the_api(box):
    """They do not meet the pages."""
    await box.fault("readycloud", on="api", fault="fail")
    assert 200 == (await box.open("readycloud", AUTHORIZE, QUERY)).status
    assert 503 == (await box.get("readycloud", ORGS)).status


async def test_logs(box, caplog):
    """No token and no state is logged."""
    caplog.set_level("DEBUG")
    fragment = (await box.decide("readycloud", AUTHORIZE, {**QUERY, "state": "s3cret-state"})).fragment
    secrets = (fragment["access_token"], fragment["refresh_token"], "s3cret-state")
    assert not [secret for secret in secrets if secret in caplog.text]
