"""Cloud 66's sign-in up to the code, at its sockets; what the code is good for is in test_code_exchange."""

import pytest

from proxy.sandbox import CLIENT_ID
from proxy.sandbox.codes import Challenge
from proxy.sandbox.doorkeeper import CodeAsked

AUTHORIZE = "/oauth/authorize"
NATIVE = "/oauth/authorize/native"
CALLBACK = "http://127.0.0.1:8081/callback"
OOB = "urn:ietf:wg:oauth:2.0:oob"
HOSTILE = "\"'><script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
QUERY = {"response_type": "code", "client_id": CLIENT_ID, "scope": "public redeploy", "state": "s/ +&#1"}


async def nothing_came_of_it(box):
    state = await box.state("cloud66")
    return (state["authorizations"], state["grants"]) == (0, [])


async def test_page(box):
    """It says who asks, for what, and where the answer goes; the form has two buttons."""
    answer = await box.open("cloud66", AUTHORIZE, QUERY)
    assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    assert '<strong id="client">sandbox-app</strong>' in answer.text
    assert '<ul id="scopes"><li>public</li><li>redeploy</li></ul>' in answer.text
    assert f'<span id="redirect">{CALLBACK}</span>' in answer.text
    assert '<form method="post"><button name="decision" value="allow" id="allow">' in answer.text
    assert '<button name="decision" value="deny" id="deny">' in answer.text
    assert await nothing_came_of_it(box)


async def test_allowed(box):
    """The browser goes to the registered redirect, code and state in the query; there is no grant yet."""
    answer = await box.decide("cloud66", AUTHORIZE, QUERY)
    assert (302, CALLBACK) == (answer.status, answer.place)
    assert ["code", "state"] == list(answer.query)
    assert QUERY["state"] == answer.query["state"]
    assert "#" not in answer.headers["Location"]
    state = await box.state("cloud66")
    assert (1, []) == (state["authorizations"], state["grants"])


async def test_denied(box):
    """The browser goes back with the error and the state."""
    answer = await box.decide("cloud66", AUTHORIZE, QUERY, "deny")
    assert (302, CALLBACK) == (answer.status, answer.place)
    assert ["error", "error_description", "state"] == list(answer.query)
    assert ("access_denied", QUERY["state"]) == (answer.query["error"], answer.query["state"])
    assert await nothing_came_of_it(box)


@pytest.mark.parametrize("decision", ["allow", "deny"])
async def test_no_state(box, decision):
    """None comes back."""
    query = {key: value for key, value in QUERY.items() if key != "state"}
    assert "state" not in (await box.decide("cloud66", AUTHORIZE, query, decision)).query


@pytest.mark.parametrize("decision", ["", "maybe"])
async def test_form_without_a_decision(box, decision):
    """It is refused."""
    answer = await box.decide("cloud66", AUTHORIZE, QUERY, decision)
    assert (400, None) == (answer.status, answer.headers.get("Location"))
    assert await nothing_came_of_it(box)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "other"},
        {"client_id": ""},
        {"redirect_uri": "http://example.org"},
        {"redirect_url": "http://example.com:8080"},
        {"redirect_uri": "javascript://example.com/%0aalert(1)"},
        {"redirect_uri": "http://example.com/\r\nSet-Cookie: a=b"},
        {"redirect_uri": "http://example.org\\@example.com"},
        {"redirect_uri": f"{OOB}:auto"},
    ],
)
async def test_client_or_redirect_that_is_wrong(box, method, changes):
    """It is a page of the vendor's, and nobody is redirected."""
    await box.settings("cloud66", redirect_uri="http://example.com")
    ask = box.open if method == "GET" else box.decide
    answer = await ask("cloud66", AUTHORIZE, {**QUERY, **changes})
    assert (401, "text/html; charset=utf-8") == (answer.status, answer.headers["Content-Type"])
    assert "Location" not in answer.headers
    assert 'id="error"' in answer.text
    assert 'id="allow"' not in answer.text
    assert await nothing_came_of_it(box)


@pytest.mark.parametrize("name", ["redirect_uri", "redirect_url"])
@pytest.mark.parametrize("redirect", ["https://example.com", "http://example.com/bar", "http://example.com?a=b"])
async def test_redirect_at_the_registered_host(box, name, redirect):
    """Scheme, path and query are its own, and kept; either name is read."""
    await box.settings("cloud66", redirect_uri="http://example.com")
    location = (await box.decide("cloud66", AUTHORIZE, {**QUERY, name: redirect})).headers["Location"]
    assert location.startswith(f"{redirect}{'&' if '?' in redirect else '?'}code=")


@pytest.mark.parametrize("name", ["redirect_uri", "redirect_url"])
async def test_name_of_the_redirect_parameter(box, name):
    """When the vendor reads one only, the other is ignored, whatever it says."""
    await box.settings("cloud66", redirect_parameter=name)
    (other,) = {"redirect_uri", "redirect_url"} - {name}
    query = {**QUERY, name: "http://127.0.0.1:8081/mine", other: "http://evil.example/"}
    assert "http://127.0.0.1:8081/mine" == (await box.decide("cloud66", AUTHORIZE, query)).place
    del query[name]
    assert CALLBACK == (await box.decide("cloud66", AUTHORIZE, query)).place


async def test_both_names(box):
    """`redirect_uri` is the one that counts."""
    query = {**QUERY, "redirect_uri": f"{CALLBACK}/a", "redirect_url": f"{CALLBACK}/b"}
    assert f"{CALLBACK}/a" == (await box.decide("cloud66", AUTHORIZE, query)).place


async def test_no_registered_redirect(box):
    """Only oob is good then."""
    await box.settings("cloud66", redirect_uri="")
    assert 401 == (await box.open("cloud66", AUTHORIZE, QUERY)).status
    assert 401 == (await box.open("cloud66", AUTHORIZE, {**QUERY, "redirect_uri": CALLBACK})).status
    assert 200 == (await box.open("cloud66", AUTHORIZE, {**QUERY, "redirect_uri": OOB})).status


async def test_oob(box):
    """The browser goes to a page of the vendor's that shows the code."""
    answer = await box.decide("cloud66", AUTHORIZE, {**QUERY, "redirect_uri": OOB})
    assert (302, f"{box.sandbox.url('cloud66')}{NATIVE}") == (answer.status, answer.place)
    code = answer.query["code"]
    page = await box.open("cloud66", NATIVE, {"code": code})
    assert (200, "no-store") == (page.status, page.headers["Cache-Control"])
    assert f'<code id="authorization_code">{code}</code>' in page.text


@pytest.mark.parametrize(("changes", "decision"), [({}, "deny"), ({"scope": "everything"}, "allow")])
async def test_error_with_oob(box, changes, decision):
    """There is nowhere to go: the page says it."""
    answer = await box.decide("cloud66", AUTHORIZE, {**QUERY, "redirect_uri": OOB, **changes}, decision)
    assert (401, None) == (answer.status, answer.headers.get("Location"))
    assert await nothing_came_of_it(box)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"scope": "public everything"}, "invalid_scope"),
        ({"scope": "public;admin"}, "invalid_scope"),
        ({"code_challenge": CHALLENGE}, "invalid_code_challenge_method"),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "S512"}, "invalid_code_challenge_method"),
        ({"code_challenge": CHALLENGE[:42], "code_challenge_method": "S256"}, "invalid_request"),
    ],
)
async def test_other_things_that_are_wrong(box, method, changes, error):
    """The browser goes back with the error and the state."""
    ask = box.open if method == "GET" else box.decide
    answer = await ask("cloud66", AUTHORIZE, {**QUERY, **changes})
    assert (302, CALLBACK) == (answer.status, answer.place)
    assert (error, QUERY["state"]) == (answer.query["error"], answer.query["state"])
    assert "code" not in answer.query
    assert await nothing_came_of_it(box)


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("jobs users", ["jobs", "users"]),
        ("jobs,users", ["jobs", "users"]),
        ("jobs, users,jobs", ["jobs", "users"]),
        ("", ["public"]),
    ],
)
async def test_scopes(box, scope, shown):
    """A space or a comma parts them; without any it is public."""
    wanted = "".join(f"<li>{one}</li>" for one in shown)
    assert f'<ul id="scopes">{wanted}</ul>' in (await box.open("cloud66", AUTHORIZE, {**QUERY, "scope": scope})).text


@pytest.mark.parametrize(
    ("path", "query", "shown"),
    [
        (AUTHORIZE, {"state": HOSTILE}, False),
        (AUTHORIZE, {"client_id": HOSTILE}, True),
        (AUTHORIZE, {"redirect_uri": f"{CALLBACK}{HOSTILE}"}, False),
        (NATIVE, {"code": HOSTILE}, True),
    ],
)
async def test_hostile_text(box, path, query, shown):
    """Nothing that comes in becomes markup."""
    answer = await box.open("cloud66", path, {**QUERY, **query})
    assert "<script" not in answer.text
    assert shown == (ESCAPED in answer.text)


async def test_ampersand_in_a_redirect(box):
    """The page shows it escaped, the browser is sent to it as it is."""
    query = {**QUERY, "redirect_uri": f"{CALLBACK}?a=1&b=2"}
    assert f"{CALLBACK}?a=1&amp;b=2</span>" in (await box.open("cloud66", AUTHORIZE, query)).text
    assert f"{CALLBACK}?a=1&b=2&code=" in (await box.decide("cloud66", AUTHORIZE, query)).headers["Location"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("DELETE", AUTHORIZE, 405), ("POST", NATIVE, 405), ("GET", NATIVE, 400), ("GET", f"{AUTHORIZE}/", 404)],
)
async def test_what_is_not_served(box, method, path, status):
    """It is an error."""
    assert status == (await box.call("cloud66", method, path)).status


async def test_journal_and_counters(box):
    """The pages are no API requests; consents are counted, and can be waited for."""
    await box.open("cloud66", AUTHORIZE, QUERY)
    await box.decide("cloud66", AUTHORIZE, QUERY)
    await box.open("cloud66", NATIVE, {"code": "x"})
    await box.wait("cloud66", "authorizations")
    state = await box.state("cloud66")
    assert (1, 0, 0) == (state["authorizations"], state["api_requests"], state["exchanges"])
    assert [] == await box.journal("cloud66")


def test_repr():
    """A sign-in shows neither its state nor its challenge."""
    asked = CodeAsked(CLIENT_ID, ("public",), CALLBACK, "s3cret", None, Challenge("s3cret", "plain"))
    assert "s3cret" not in repr(asked)
