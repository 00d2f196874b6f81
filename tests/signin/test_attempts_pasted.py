"""Sign-ins completed by what a person pastes."""

import pytest

from proxy.credentials.exchange import Code
from proxy.credentials.record import Origin
from proxy.errors import SignInError, TokenFormatError
from proxy.secret import Secret

from .conftest import AFTER, BEFORE, BROWSER, CANARY, DONE, OTHER, REDIRECT, TIMEOUT, begun, kept


@pytest.mark.parametrize("wrong", ["", "  ", "\n", REDIRECT, "{", "<html>", "http://[x", f"{REDIRECT}?state={{state}}"])
async def test_wrong_paste(sign_in, core, redeeming, wrong):
    """Nothing is sent, nothing changes, and the person may paste again."""
    state = begun(sign_in, session=BROWSER)
    with pytest.raises(TokenFormatError):
        await sign_in.pasted("code", wrong.replace("{state}", state), BROWSER)
    assert (BEFORE, []) == (kept(core), redeeming.redeemed)
    assert DONE == await sign_in.pasted("code", f"{REDIRECT}?code=c&state={state}", BROWSER)


@pytest.mark.parametrize("text", ["c", f"{REDIRECT}?code=c", f"{REDIRECT}?code=c&state={{state}}", '{"code": "c"}'])
async def test_pasted_code(sign_in, core, redeeming, text):
    """It is redeemed by the attempt that is under way, with its state or without."""
    state = begun(sign_in, session=BROWSER)
    verifier = sign_in.under_way("code", BROWSER).verifier
    assert DONE == await sign_in.pasted("code", text.replace("{state}", state), BROWSER)
    assert [Code(Secret("c"), verifier, REDIRECT)] == redeeming.redeemed
    with pytest.raises(SignInError, match="no sign-in to code is under way here"):
        await sign_in.pasted("code", "c", BROWSER)


async def test_pasted_answer_of_an_earlier_attempt(sign_in, redeeming):
    """It belongs to that one, by its state."""
    first = begun(sign_in, session=BROWSER)
    verifier = sign_in.under_way("code", BROWSER).verifier
    begun(sign_in, session=BROWSER)
    await sign_in.pasted("code", f"{REDIRECT}?code=c&state={first}", BROWSER)
    assert [verifier] == [code.verifier for code in redeeming.redeemed]


@pytest.mark.parametrize("whose", ["nobody's", "another browser's", "another credential's"])
@pytest.mark.parametrize("answer", ["code=c", "access_token=abc", "error=access_denied"])
async def test_pasted_answer_with_a_wrong_state(sign_in, core, redeeming, whose, answer):
    """It is refused, and what is under way stays so."""
    begun(sign_in, session=BROWSER)
    wrong = {
        "nobody's": CANARY,
        "another browser's": begun(sign_in, session=OTHER),
        "another credential's": begun(sign_in, "other", BROWSER),
    }[whose]
    with pytest.raises(SignInError, match="the state that came back is not the one that was sent") as caught:
        await sign_in.pasted("code", f"{REDIRECT}?{answer}&state={wrong}", BROWSER)
    assert wrong not in repr(caught.value)
    assert (BEFORE, []) == (kept(core), redeeming.redeemed)
    assert DONE == await sign_in.pasted("code", "c", BROWSER)


@pytest.mark.parametrize("name", ["code", "implicit", "manual"])
@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "new-access", "refresh_token": "new-refresh"}',
        f"{REDIRECT}#access_token=new-access&refresh_token=new-refresh",
        "access_token=new-access&refresh_token=new-refresh",
    ],
)
async def test_pasted_tokens(sign_in, core, redeeming, name, text):
    """They are taken though no sign-in is under way: a person chose them."""
    assert name == (await sign_in.pasted(name, text)).credential
    assert (AFTER, []) == (kept(core, name), redeeming.redeemed)


async def test_pasted_token_alone(sign_in, core):
    """A bare text is the access token where the vendor shows tokens."""
    await sign_in.pasted("manual", " new-access \n")
    assert (2, Origin.LOGIN, "new-access", None) == kept(core, "manual")


async def test_pasted_word_where_an_address_is_expected(sign_in, core):
    """It is refused: good tokens must not give way to whatever was in the clipboard."""
    with pytest.raises(TokenFormatError, match="there is no access_token in it"):
        await sign_in.pasted("implicit", "hello")
    assert BEFORE == kept(core, "implicit")


@pytest.mark.parametrize("name", ["code", "implicit", "manual"])
async def test_pasted_tokens_with_a_state_that_nobody_gave_out(sign_in, core, name):
    """They are refused: somebody else's sign-in brought them."""
    with pytest.raises(SignInError, match="the state that came back is not the one that was sent"):
        await sign_in.pasted(name, f"{REDIRECT}?state={CANARY}#access_token=new-access")
    assert BEFORE == kept(core, name)


@pytest.mark.parametrize("name", ["code", "implicit", "manual"])
async def test_pasted_code_with_no_sign_in_under_way(sign_in, core, redeeming, name):
    """It is refused before it is sent: its verifier is not here."""
    with pytest.raises(SignInError, match=f"no sign-in to {name} is under way here"):
        await sign_in.pasted(name, f"{REDIRECT}?code={CANARY}")
    assert (BEFORE, []) == (kept(core, name), redeeming.redeemed)


async def test_pasted_tokens_of_a_credential_that_gets_them_by_itself(sign_in, core):
    """They are refused."""
    with pytest.raises(SignInError, match="needs no sign-in"):
        await sign_in.pasted("machine", "new-access")
    assert BEFORE == kept(core, "machine")


@pytest.mark.parametrize("text", ["c", f"{REDIRECT}?code=c", f"{REDIRECT}?code=c&state={{state}}"])
async def test_paste_after_the_time_for_it(sign_in, clock, redeeming, text):
    """A code is refused; its attempt is over."""
    state = begun(sign_in, session=BROWSER)
    clock.now += TIMEOUT + 1
    with pytest.raises(SignInError, match="no sign-in to code is under way here"):
        await sign_in.pasted("code", text.replace("{state}", state), BROWSER)
    assert [] == redeeming.redeemed
