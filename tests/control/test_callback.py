"""/callback, where the vendor sends the browser back to: who may complete a sign-in, once, and what is told of it."""

import json
import logging
import re

import pytest

from proxy.control.plane import make_callback_app
from proxy.credentials.answers import Granted, Refused
from proxy.credentials.record import Origin, Tokens, TroubleKind
from proxy.errors import SignInError, StoreBusyError
from proxy.secret import Secret
from proxy.signin.attempts import SignedIn

from .conftest import ACCESS, REFRESH, TOKENS, credential, make_config

CANARY = "canary-7f3a9c"
IMPLICIT = {"grant": "implicit", "redirect_parameter": "none"}
NAVIGATION = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
FETCH = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Content-Type: application/x-www-form-urlencoded")


@pytest.fixture
async def asked(serve):
    made = await serve(credential(scopes=("order",)), credential("i", **IMPLICIT), credential("other"))
    for name in ("a", "i"):
        old = Tokens(access_token=Secret("old"), refresh_token=Secret("old-refresh"))
        await made.core.put(name, old, Origin.IMPORT)
    return made


async def returned(asked, query, session=""):
    return await asked("GET", f"/callback?{query}", f"Cookie: {session}", *NAVIGATION)


async def handed_over(asked, body, session=""):
    """Send what the page's script sends."""
    answer = await asked("POST", "/callback", f"Cookie: {session}", *FETCH, body=body)
    return answer.status, json.loads(answer.text)


async def test_code_in_the_query(asked):
    """It is redeemed, and the page says what was granted."""
    session, state = await asked.begun()
    answer = await returned(asked, f"code=c0de&state={state}", session)
    assert (200, ["c0de"], (2, ACCESS)) == (answer.status, asked.redeeming.codes, asked.held())
    assert "Signed in to a" in answer.text
    assert "an access token, a refresh token; its lifetime is not known" in answer.text
    assert 'history.replaceState(null, "", location.pathname)' in answer.text


async def test_scopes_that_differ(asked):
    """The difference is told, with both sides of it."""
    asked.redeeming.outcome = Granted(Tokens(access_token=Secret(ACCESS), scope="note <b>"))
    session, state = await asked.begun()
    answer = await returned(asked, f"code=c&state={state}", session)
    assert "lacking: order; more: &lt;b&gt; note" in answer.text
    assert "there is no refresh token in it" in answer.text


async def test_address_without_an_answer_in_its_query(asked):
    """The page hands over what stands in the fragment, which only the browser sees; nothing is decided before."""
    session, state = await asked.begun("i")
    answer = await returned(asked, f"state={state}", session)
    assert 200 == answer.status
    assert 'method: "POST"' in answer.text
    assert 'history.replaceState(null, "", location.pathname)' in answer.text
    assert (1, "old") == asked.held("i")
    assert asked.sign_in.under_way("i", session.partition("=")[2]) is not None


async def test_fragment_that_is_handed_over(asked):
    """Its tokens are stored, the state from the query, and the answer is for the page's script."""
    session, state = await asked.begun("i")
    fragment = f"access_token={ACCESS}&user=7&refresh_token={REFRESH}&expires_in=31536000&scope=order&token_type=bearer"
    lines = ["an access token, a refresh token; it expires in 365 d"]
    expected = (200, {"title": "Signed in to i", "lines": lines})
    assert expected == await handed_over(asked, f"state={state}&{fragment}", session)
    assert (2, ACCESS) == asked.held("i")


@pytest.mark.parametrize("written", ["a+b/c+==", "a%2Bb/c%2B==", "a%2Bb/c+%3D%3D"])
async def test_plus_in_a_token(asked, written):
    """It stays a plus, encoded or not."""
    session, state = await asked.begun("i")
    await handed_over(asked, f"state={state}&access_token={written}&refresh_token={written}&scope=x+y", session)
    record = asked.core.keeper("i").health().record
    held = (record.access_token.reveal(), record.refresh_token.reveal(), record.scope)
    assert ("a+b/c+==", "a+b/c+==", "x y") == held


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"access_token=\xff&state=s", "access_token=%FF&state=%FF", "{}", "\x00"]
)
async def test_what_cannot_be_read(asked, body):
    """It is refused like any answer without a state that was given out."""
    status, told = await handed_over(asked, body)
    assert (400, "Not signed in") == (status, told["title"])


DENIED = "consent was denied at the vendor: nothing has changed; sign in again to consent"
OVER = "this is no sign-in that is under way here"
NO_STATE = "the vendor&#39;s answer bears no state"
ELSEWHERE = "this sign-in was begun in another browser"
ANSWERS = [f"code={CANARY}", "error=access_denied", f"code={CANARY}&access_token={CANARY}", "code=", "error="]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("state", ["", "&state=", f"&state={CANARY}", "&state=%00", "&state=%FF", "&state=a&state=b"])
async def test_state_that_was_not_given_out(asked, answer, state):
    """It completes nothing, and the sign-in that is under way stays so."""
    session, good = await asked.begun()
    for code, text in (
        (refused.status, refused.text)
        for refused in [
            await returned(asked, answer + state, session),
            await asked("POST", "/callback", f"Cookie: {session}", *FETCH, body=answer + state),
        ]
    ):
        assert 400 == code
        assert OVER in text or "bears no state" in text
    assert ([], (1, "old")) == (asked.redeeming.codes, asked.held())
    assert 200 == (await returned(asked, f"code=c&state={good}", session)).status


async def test_answer_that_comes_twice(asked):
    """The second is refused, by another way too: a code is sent once."""
    session, state = await asked.begun()
    query = f"code=c&state={state}"
    assert 200 == (await returned(asked, query, session)).status
    again = await returned(asked, query, session)
    assert (400, True) == (again.status, OVER in again.text)
    assert 400 == (await handed_over(asked, query, session))[0]
    assert (["c"], (2, ACCESS)) == (asked.redeeming.codes, asked.held())


async def test_answer_that_another_browser_brings(asked):
    """It is refused, and the one that began may still finish."""
    session, state = await asked.begun()
    stranger, _ = await asked.opened()
    for cookie in ("", stranger, "bearer_proxy_session=x"):
        answer = await returned(asked, f"code=c&state={state}", cookie)
        assert (400, True) == (answer.status, ELSEWHERE in answer.text)
        status, told = await handed_over(asked, f"code=c&state={state}", cookie)
        assert (400, True) == (status, ELSEWHERE in told["lines"][0])
    assert ([], (1, "old")) == (asked.redeeming.codes, asked.held())
    assert 200 == (await returned(asked, f"code=c&state={state}", session)).status


async def test_sign_in_begun_under_another_name(asked):
    """Where a cookie cannot bind the two, the state alone does: the browser comes back without its session."""
    host = f"Host: localhost:{asked.port}"
    opened = await asked("GET", "/login/a", host)
    form = (host, f"Origin: http://localhost:{asked.port}", f"Cookie: {opened.session}")
    begun = await asked(
        "POST",
        "/login/a",
        *form,
        "Content-Type: application/x-www-form-urlencoded",
        body=f"csrf_token={opened.csrf}",
    )
    assert 303 == begun.status
    state = re.search(r"[?&]state=([^&]+)", begun.fields["location"])
    assert state is not None
    assert 200 == (await returned(asked, f"code=c&state={state[1]}")).status


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (DENIED, "access_denied"),
        ("the vendor does not let this client sign in so", "unauthorized_client"),
        ("the vendor refuses the scopes that were asked for", "invalid_scope"),
        ("the vendor had trouble: try again later", "server_error"),
        ("an error that is not a registered one", f"{CANARY}<script>"),
    ],
)
async def test_error(asked, expected, error):
    """It is told in our words, and the old tokens stay in force."""
    for by_script in (False, True):
        session, state = await asked.begun()
        query = f"error={error}&error_description={CANARY}&error_uri=http://{CANARY}&state={state}"
        if by_script:
            status, told = await handed_over(asked, query, session)
            assert (400, True) == (status, expected in told["lines"][0])
        else:
            answer = await returned(asked, query, session)
            assert (400, True, True) == (answer.status, expected in answer.text, "Not signed in" in answer.text)
    assert ((1, "old"), []) == (asked.held(), asked.redeeming.codes)
    assert [] == [one for one in asked.answers if CANARY in one.raw]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_other_method(asked, method):
    """It redeems nothing: link checkers and previews ask by HEAD."""
    session, state = await asked.begun()
    answer = await asked(method, f"/callback?code=c&state={state}", f"Cookie: {session}")
    assert (405, [], (1, "old")) == (answer.status, asked.redeeming.codes, asked.held())
    assert 200 == (await returned(asked, f"code=c&state={state}", session)).status


@pytest.mark.parametrize(
    "lines",
    [
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
        ("Origin: http://evil.example",),
        ("Host: evil.example",),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_hostile_page(asked, method, lines):
    """It completes nothing, though it knew the state and the browser sent the session."""
    session, state = await asked.begun()
    query = f"code=c&state={state}"
    if method == "GET":
        answer = await asked("GET", f"/callback?{query}", f"Cookie: {session}", *lines)
    else:
        answer = await asked("POST", "/callback", f"Cookie: {session}", *lines, body=query)
    assert (403, [], (1, "old")) == (answer.status, asked.redeeming.codes, asked.held())


async def test_code_that_is_refused(asked):
    """That is told, and the old tokens stay in force."""
    asked.redeeming.outcome = Refused(TroubleKind.GRANT, "invalid_grant")
    session, state = await asked.begun()
    answer = await returned(asked, f"code=c&state={state}", session)
    assert (400, True) == (answer.status, "a code works once and only for minutes" in answer.text)
    assert (1, "old") == asked.held()


async def test_secrets(asked, caplog):
    """No page, field or log line of a sign-in holds anything of a code, a token, a state or a cookie's value."""
    caplog.set_level(logging.DEBUG)
    asked.redeeming.outcome = Granted(TOKENS)
    secrets = [ACCESS, REFRESH, CANARY, "cl1ent-s3cret"]
    for name in ("a", "i"):
        session, state = await asked.begun(name)
        secrets.append(state)
        asked.answers.clear()  # of these, one bore the state to the vendor
        if name == "a":
            await returned(asked, f"code={CANARY}&state={state}", session)
            await returned(asked, f"code={CANARY}&state={state}", session)
        else:
            await returned(asked, f"state={state}", session)
            await handed_over(asked, f"state={state}&access_token={ACCESS}&refresh_token={REFRESH}", session)
            await handed_over(asked, f"state={state}&access_token={ACCESS}&refresh_token={REFRESH}", session)
        await returned(asked, f"code={CANARY}&access_token={ACCESS}&state={state}x", session)
        await asked("GET", "/", f"Cookie: {session}")
        await asked("GET", "/api/credentials")
        told = [answer.raw for answer in asked.answers] + [caplog.text]
        assert [] == [secret for secret in secrets if any(secret in one for one in told)]


def callback_client(aiohttp_client, tmp_path, complete):
    return aiohttp_client(make_callback_app(make_config(tmp_path, credential()), complete))


async def test_callback_of_login(aiohttp_client, tmp_path):
    """The page is the same, and leads nowhere; nothing else is served beside it."""
    seen = []

    async def complete(_, fields):
        seen.append(fields)
        return SignedIn("<a>", "an access <token>", ("a <warning>",))

    client = await callback_client(aiohttp_client, tmp_path, complete)
    page = await (await client.get("/callback?code=d&state=s&code=c")).text()
    assert [{"code": "c", "state": "s"}] == seen
    assert [] == [text for text in ("<a>", "<token>", "<warning>", 'href="/"') if text in page]
    assert "Signed in to &lt;a&gt;" in page
    script = await (await client.get("/callback")).text()
    assert 'href="/"' not in script
    for path in ("/", "/healthz", "/readyz", "/login/a", "/api/credentials", "/callback/"):
        assert 404 == (await client.get(path)).status


@pytest.mark.parametrize("error", [SignInError("it <failed>"), StoreBusyError("it <failed>")])
async def test_failure_of_login(aiohttp_client, tmp_path, error):
    """It is told in both forms, escaped."""

    async def complete(*_):
        raise error

    client = await callback_client(aiohttp_client, tmp_path, complete)
    answer = await client.get("/callback?error=x")
    assert (400, True) == (answer.status, "it &lt;failed&gt;" in await answer.text())
    answer = await client.post("/callback", data="state=s")
    assert (400, {"title": "Not signed in", "lines": ["it <failed>"]}) == (answer.status, await answer.json())
    assert "application/json" == answer.content_type
