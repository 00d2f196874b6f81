"""The address that a person is sent to, and what comes back from there: as tables, on values."""

import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from proxy.config import OOB
from proxy.credentials.exchange import Code
from proxy.credentials.record import Tokens
from proxy.errors import SignInError, TokenFormatError
from proxy.secret import Secret
from proxy.signin.authorize import Attempt, authorize_url, lacking, new_attempt, read_return, unasked
from tests.credentials.conftest import NAME, NOW, credential

CANARY = "canary-7f3a9c"
AUTHORIZE = "https://acme.example/authorize"
REDIRECT = "http://127.0.0.1:8081/callback"
STATE = "the-state"
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ATTEMPT = Attempt(NAME, Secret(STATE), Secret(VERIFIER), REDIRECT, NOW)


def acme(**changes):
    return credential(**{"authorize_url": AUTHORIZE, "redirect_uri": REDIRECT, **changes})


IMPLICIT, BY_CODE = acme(grant="implicit"), acme()
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
BASE = {"response_type": "code", "client_id": "our-id", "redirect_uri": REDIRECT, "state": STATE, **PKCE}
WITHOUT = {key: value for key, value in BASE.items() if key != "redirect_uri"}


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (BASE, {}),
        ({**WITHOUT, "redirect_url": REDIRECT}, {"redirect_parameter": "redirect_url"}),
        (WITHOUT, {"redirect_parameter": "none"}),
        ({**BASE, "scope": "order company-read_only"}, {"scopes": ("order", "company-read_only")}),
        ({**BASE, "scope": "public,jobs"}, {"scopes": ("public", "jobs"), "scope_separator": "comma"}),
        ({**BASE, "scope": "public"}, {"scopes": ("public",), "scope_separator": "comma"}),
        ({**BASE, "access_type": "offline"}, {"authorize_parameters": {"access_type": "offline"}}),
        ({**BASE, "client_id": "a&b=c d+\u00e4#"}, {"client_id": "a&b=c d+\u00e4#"}),
        ({**BASE, "tenant": "x"}, {"authorize_url": f"{AUTHORIZE}?tenant=x"}),
        (
            {"response_type": "token", "client_id": "our-id", "state": STATE},
            {"grant": "implicit", "redirect_parameter": "none"},
        ),
        (
            {"response_type": "token", "client_id": "our-id", "state": STATE, "redirect_uri": REDIRECT},
            {"grant": "implicit"},
        ),
    ],
)
def test_address_at_the_vendor(expected, changes):
    """It bears what the grant asks for, each once, and PKCE where there is a code to be tied."""
    url = authorize_url(acme(**changes), ATTEMPT)
    pairs = parse_qsl(urlsplit(url).query, strict_parsing=True)
    assert (expected, len(expected)) == (dict(pairs), len(pairs))
    assert AUTHORIZE == url.partition("?")[0]
    assert "" == urlsplit(url).fragment


@pytest.mark.parametrize("key", ["state", "code_challenge", "code_challenge_method", "redirect_uri", "response_type"])
def test_further_parameter_by_the_name_of_ours(key):
    """Ours stands: nothing undoes what ties the answer to the attempt."""
    url = authorize_url(acme(authorize_parameters={key: "fixed"}), ATTEMPT)
    assert BASE == dict(parse_qsl(urlsplit(url).query))


def test_verifier_and_secret():
    """Neither is in the address."""
    url = authorize_url(BY_CODE, ATTEMPT)
    assert (False, False) == (VERIFIER in url, "our-secret" in url)


def test_attempts():
    """Each has a state and a verifier of its own, 256 bits long and of RFC 7636's characters."""
    attempts = [new_attempt(BY_CODE, "", NOW) for _ in range(50)]
    texts = [secret.reveal() for attempt in attempts for secret in (attempt.state, attempt.verifier)]
    assert 100 == len(set(texts))
    assert [] == [text for text in texts if not re.fullmatch(r"[A-Za-z0-9_-]{43}", text)]


def test_attempt_that_is_printed():
    """It tells neither its state nor its verifier."""
    attempt = new_attempt(BY_CODE, "", NOW)
    assert [] == [one for one in (attempt.state, attempt.verifier) if one.reveal() in repr(attempt)]


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (REDIRECT, {}),
        (OOB, {"redirect_uri": OOB}),
        ("https://proxy.example/callback", {"redirect_uri": "https://proxy.example/x", "redirect_match": "host"}),
    ],
)
def test_redirect_of_an_attempt(expected, changes):
    """It is what the vendor takes and what leads back here."""
    assert expected == new_attempt(acme(**changes), "", NOW).redirect_uri


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("with client_credentials the proxy gets its tokens by itself", {"grant": "client_credentials"}),
        ("run: bearer-proxy import acme", {"grant": "manual"}),
        ("set authorize_url in the configuration first", {"authorize_url": ""}),
        ("set client_id in the configuration first", {"client_id": ""}),
        ("set token_url, client_secret in the", {"token_url": "", "client_secret": Secret("")}),
        ("set authorize_url, client_id, token_url", {"authorize_url": "", "client_id": "", "token_url": ""}),
        ("register http://127.0.0.1:8081/callback at the vendor", {"redirect_uri": "http://127.0.0.1:8081/x"}),
    ],
)
def test_sign_in_that_cannot_begin(expected, changes):
    """It says what to do instead."""
    with pytest.raises(SignInError) as caught:
        new_attempt(acme(**changes), "", NOW)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ((), {}),
        ((), {"client_auth": "none", "client_secret": Secret("")}),
        (("client_secret",), {"client_secret": Secret("")}),
        (("client_secret",), {"client_secret": Secret(""), "client_auth": "basic"}),
        ((), {"grant": "implicit", "token_url": "", "client_secret": Secret("")}),
        (("authorize_url", "client_id"), {"grant": "implicit", "authorize_url": "", "client_id": ""}),
    ],
)
def test_what_a_sign_in_lacks(expected, changes):
    """Each thing that it needs is named, and none that only a renewal needs."""
    assert expected == lacking(acme(**changes))


def test_tokens_that_are_pasted_unasked():
    """Where the vendor shows them they need no sign-in; elsewhere what a sign-in needs is needed."""
    attempt = unasked(acme(grant="manual", client_id="", authorize_url=""), "session", NOW)
    assert (NAME, "session") == (attempt.credential, attempt.session)
    assert attempt.state
    with pytest.raises(SignInError, match="client_credentials"):
        unasked(acme(grant="client_credentials"), "", NOW)


TOKENS = {"access_token": "abc", "refresh_token": "r", "expires_in": "60"}
CODE = {"code": "c0de"}


def read(fields, config=BY_CODE, *, pasted=False):
    return read_return(fields, config, ATTEMPT, pasted=pasted)


@pytest.mark.parametrize(
    ("fields", "pasted"),
    [
        ({**CODE, "state": STATE}, False),
        ({**CODE, "state": STATE}, True),
        (CODE, True),
        ({**CODE, "state": ""}, True),
        ({**CODE, "state": STATE, "iss": "https://acme.example", "scope": "x"}, False),
    ],
)
def test_code(fields, pasted):
    """It comes with what the attempt alone knows; pasted, it may lack the state."""
    assert Code(Secret("c0de"), Secret(VERIFIER), REDIRECT) == read(fields, pasted=pasted)


@pytest.mark.parametrize(
    ("fields", "pasted", "config"),
    [
        ({**TOKENS, "state": STATE}, False, IMPLICIT),
        ({**TOKENS, **CODE, "state": STATE}, False, IMPLICIT),
        ({**TOKENS, "state": STATE}, True, IMPLICIT),
        ({**TOKENS, "state": STATE}, True, BY_CODE),
        ({**TOKENS, **CODE}, True, BY_CODE),
        (TOKENS, True, IMPLICIT),
        (TOKENS, True, BY_CODE),
    ],
)
def test_tokens(fields, pasted, config):
    """They are read; pasted, they may lack the state."""
    expected = Tokens(access_token=Secret("abc"), refresh_token=Secret("r"), expires_in=60.0)
    assert expected == read(fields, config, pasted=pasted)


@pytest.mark.parametrize("answer", [TOKENS, CODE, {"error": "access_denied"}], ids=["tokens", "code", "error"])
@pytest.mark.parametrize("config", [IMPLICIT, BY_CODE], ids=["implicit", "code"])
@pytest.mark.parametrize(
    ("expected", "state", "pasted"),
    [
        ("bears no state", None, False),
        ("bears no state", "", False),
        *(("the state that came back is not the one that was sent", state, pasted)
          for state in (CANARY, STATE + "x", STATE[:-1], STATE.upper(), "\u00e4", "\ud800", 5, ["the-state"], True)
          for pasted in (False, True)),
    ],
)  # fmt: skip
def test_state(expected, state, pasted, config, answer):
    """A wrong one aborts, whatever came with it, and says why; a missing one does where nobody pasted."""
    fields = answer if state is None else {**answer, "state": state}
    with pytest.raises(SignInError, match=expected) as caught:
        read(fields, config, pasted=pasted)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("consent was denied at the vendor: nothing has changed; sign in again to consent", "access_denied"),
        ("the vendor does not know this client: check client_id", "invalid_client"),
        (
            "the vendor does not let this client sign in so: check client_id and the app's settings",
            "unauthorized_client",
        ),
        ("the vendor refuses the scopes that were asked for: check scopes", "invalid_scope"),
        ("the vendor does not offer this grant: check grant of the provider", "unsupported_response_type"),
        ("the vendor had trouble: try again later", "server_error"),
        ("the vendor had trouble: try again later", "temporarily_unavailable"),
        ("the vendor refused the sign-in (invalid_request)", "invalid_request"),
        ("the vendor refused the sign-in (an error that is not a registered one)", CANARY),
        ("the vendor refused the sign-in (an error that is not a registered one)", ["access_denied"]),
    ],
)
@pytest.mark.parametrize("pasted", [True, False])
def test_error(expected, error, pasted):
    """Each has a sentence of its own, in our words, whatever came with it."""
    fields = {"state": STATE, "error": error, "error_description": CANARY, **CODE, **TOKENS}
    with pytest.raises(SignInError) as caught:
        read(fields, pasted=pasted)
    assert expected == str(caught.value)


def test_code_where_tokens_were_expected():
    """It is refused: nothing could redeem it."""
    with pytest.raises(SignInError, match="the vendor gave a code where tokens were expected"):
        read({**CODE, "state": STATE}, IMPLICIT)


@pytest.mark.parametrize(
    ("expected", "config", "fields"),
    [
        ("there is no code in it: paste the code that the vendor shows, or the whole address", BY_CODE, {}),
        ("there is no code in it", BY_CODE, {"code": "", "response_type": "code", "client_id": CANARY}),
        ("there is no access_token in it", IMPLICIT, {}),
        ("there is no access_token in it", IMPLICIT, {"access_token": "", "token_type": CANARY}),
        ("the access token has characters that no bearer token has", IMPLICIT, {"access_token": f"{CANARY} x"}),
        ("the access token has characters that no bearer token has", BY_CODE, {"access_token": f"{CANARY} x"}),
    ],
)
def test_answer_without_anything_usable(expected, config, fields):
    """It is refused in a sentence that says what was looked for, and repeats nothing."""
    with pytest.raises(TokenFormatError) as caught:
        read({**fields, "state": STATE}, config, pasted=True)
    assert expected in str(caught.value)
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize("fields", [{}, TOKENS, {"access_token": f"{CANARY} x"}])
def test_no_code_where_one_was_asked_for(fields):
    """Tokens that come to the callback by themselves may be anybody's; a person may paste them."""
    with pytest.raises(SignInError, match="the vendor's answer bears no code"):
        read({**fields, "state": STATE}, BY_CODE)


def test_code_and_tokens_where_a_code_was_asked_for():
    """The code is taken."""
    assert Secret("c0de") == replace(read({**CODE, **TOKENS, "state": STATE})).code


def test_code_of_another_kind_than_text():
    """A number, as JSON may hold, is taken as its digits."""
    assert Secret("4711") == replace(read({"code": 4711}, pasted=True)).code
