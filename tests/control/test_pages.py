"""The pages: what each shows for each kind of sign-in, and that others' text is no markup there."""

import re

import pytest

from proxy.config import OOB
from proxy.credentials.answers import Refused
from proxy.credentials.record import Origin, Tokens, TroubleKind
from proxy.secret import Secret

from .conftest import ACCESS, MANUAL, REFRESH, TOKENS, credential, forms, page

CANARY = "canary-7f3a9c"
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}{% raw %}"
PASTE = {"/login/a/paste": ["csrf_token", "pasted"]}
BEGIN = {"/login/a": ["csrf_token"], **PASTE}


@pytest.mark.parametrize(
    ("expected_forms", "expected", "changes"),
    [
        (BEGIN, "You will be asked at <code>vendor.example</code> to let <code>our-id</code> act for you.", {}),
        (BEGIN, "with <code>order note</code>.", {"scopes": ("order", "note")}),
        (BEGIN, "Sign in at vendor.example", {"grant": "implicit", "token_url": "", "client_secret": Secret("")}),
        (BEGIN, "Sign in at vendor.example", {"redirect_uri": OOB}),
        (
            {"/login/a/paste": ["csrf_token", "pasted", "refresh_token", "expires_in"]},
            "The vendor shows the tokens on a page of its own.",
            MANUAL,
        ),
        ({}, "Nobody signs in here: the proxy gets its tokens by itself.", {"grant": "client_credentials"}),
        ({}, "Set authorize_url of a in the configuration first.", {"authorize_url": ""}),
        ({}, "Set client_id, token_url, client_secret of a", {
            "client_id": "", "token_url": "", "client_secret": Secret(""),
        }),
        ({}, "Set authorize_url, client_id of a", {"grant": "implicit", "authorize_url": "", "client_id": ""}),
    ],
)  # fmt: skip
async def test_page_of_a_sign_in(serve, expected_forms, expected, changes):
    """It says what is asked for and where, or what is lacking; it has just the forms that can work."""
    text = await page(await serve(credential(**changes)), "/login/a")
    assert expected_forms == forms(text)
    assert expected in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("aside", "changes"),
    [
        (False, {}),
        (True, {"redirect_uri": OOB}),
        (True, {"redirect_parameter": "none"}),
    ],
)
async def test_vendor_that_does_not_lead_back(serve, aside, changes):
    """Its page opens beside ours, where what it shows is pasted; and it gets no hold of ours."""
    text = await page(await serve(credential(**changes)), "/login/a")
    assert aside is ('action="/login/a" target="_blank" rel="noopener"' in text)


async def test_fields_for_tokens(serve):
    """What is pasted is not shown, nor kept by the browser."""
    for changes in ({}, MANUAL):
        text = await page(await serve(credential(**changes)), "/login/a")
        fields = re.findall(r'<input[^>]*name="(?:pasted|refresh_token)"[^>]*>', text)
        assert fields
        assert [] == [one for one in fields if 'type="password"' not in one or 'autocomplete="off"' not in one]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/login/absent"),
        ("GET", "/login/"),
        ("GET", "/login/A"),
        ("GET", "/login/a/"),
        ("GET", "/login/%61%2f"),
        ("GET", "/login/../a"),
        ("GET", f"/login/{CANARY}%3Cscript%3E"),
        *(("POST", path) for path in ("/login/absent", "/login/absent/paste", "/login/absent/cancel", "/refresh/absent",
                                      "/logout/absent", "/logout/", "/logout", "/callback/a")),
    ],
)  # fmt: skip
async def test_credential_that_there_is_not(serve, method, path):
    """It is 404, and its name is not repeated."""
    asked = await serve()
    session, token = await asked.opened()
    answer = await (asked.submit(path, session, csrf_token=token) if method == "POST" else asked(method, path))
    assert 404 == answer.status
    assert [] == [text for text in (CANARY, "absent", "<script>") if text in answer.text]


@pytest.mark.parametrize("name", ["callback", "healthz", "readyz", "paste", "cancel", "metrics", "api"])
async def test_name_of_a_page_of_ours(serve, name):
    """A credential may bear it."""
    asked = await serve(credential(name))
    session, state = await asked.begun(name)
    answer = await asked("GET", f"/callback?code=c&state={state}", f"Cookie: {session}")
    assert (200, (1, ACCESS)) == (answer.status, asked.held(name))
    token = (await asked("GET", "/", f"Cookie: {session}")).csrf
    assert 303 == (await asked.submit(f"/logout/{name}", session, csrf_token=token)).status
    assert (2, None) == asked.held(name)


async def test_all_credentials(serve):
    """Each has its state, its next step, and just the buttons that do something for it."""
    asked = await serve(
        credential("never"),
        credential("held"),
        credential("machine", grant="client_credentials", renew="client_credentials"),
        credential("fixed", **{**MANUAL, "renew": "none"}),
        credential("lacks", missing=("client_id",)),
    )
    for name in ("held", "fixed"):
        await asked.core.put(name, TOKENS, Origin.IMPORT)
    text = await page(asked, "/")
    rows = dict(re.findall(r'<tr id="([^"]*)">(.*?)</tr>', text, re.DOTALL))
    buttons = {name: re.findall(r'class="(?:button main )?(connect|renew|logout)"', row) for name, row in rows.items()}
    expected = {
        "never": ["connect"],
        "held": ["connect", "renew", "logout"],
        "machine": ["renew"],
        "fixed": ["connect", "logout"],
        "lacks": ["connect"],
    }
    assert expected == buttons
    states = {name: re.findall(r'class="state">([^<]*)', row)[0] for name, row in rows.items()}
    assert "never signed in" == states["never"]
    assert "not configured (it lacks client_id)" == states["lacks"]
    assert "run: bearer-proxy login never" in rows["never"]
    assert [] == [secret for secret in (ACCESS, REFRESH, "cl1ent-s3cret") if secret in text]


async def test_store_in_trouble(serve):
    """The page says so at its head, escaped."""
    asked = await serve()
    asked.core.store_trouble = "the disk is <full>"
    assert '<p class="bad" role="alert">the disk is &lt;full&gt;</p>' in await page(asked, "/")


async def test_hostile_texts(serve):
    """Whatever a configuration or a vendor says is text in our pages, and no markup."""
    hostile = credential(
        client_id=HOSTILE,
        scopes=(HOSTILE.replace(" ", ""),),
        authorize_url="https://vendor.example/a",
        provider_name=HOSTILE,
        missing=(HOSTILE,),
    )
    asked = await serve(hostile)
    await asked.core.put("a", Tokens(access_token=Secret("old"), scope=HOSTILE), Origin.IMPORT)
    session, state = await asked.begun()
    asked.redeeming.outcome = Refused(TroubleKind.REFUSED, HOSTILE)
    failed = await asked("GET", f"/callback?code=c&state={state}", f"Cookie: {session}")
    texts = {
        "all": await page(asked, "/"),
        "login": await page(asked, "/login/a"),
        "failed": failed.text,
    }
    for name, text in texts.items():
        assert ("onerror=alert", False) == ("onerror=alert" if "onerror=alert" in text else "", "<img" in text), name
        assert [] == re.findall(
            r"<(?!/?(?:!doctype|html|head|meta|title|link|style|body|h1|h2|p|a|form|input|button|label|"
            r"code|table|thead|tbody|tr|th|td|br|span|strong|div|script)\b)",
            text,
        ), name
        assert "{{7*7}}" in text, name
        assert "49" not in re.sub(r"\d{4}-\d\d-\d\d|nonce=\"[^\"]*\"|value=\"[^\"]*\"", "", text), name
