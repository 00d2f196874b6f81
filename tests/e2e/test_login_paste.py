"""`login` and `import` of what a person pastes: an address, a code, tokens, or nothing of use."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from urllib.parse import urlencode

import pytest

from proxy.sandbox import Sandbox
from tests.support.beside import PATIENCE, running
from tests.support.person import Person, query_of, told_nothing
from tests.support.processes import Proxy, environment, sandbox_config
from tests.support.site import stored
from tests.support.vendor import Control

OOB = "urn:ietf:wg:oauth:2.0:oob"
YEAR = "it expires in 365 d"


async def test_a_code_that_is_shown(bare_proxy: Proxy, vendors: Sandbox, visitor: Person) -> None:
    """With the out-of-band redirect the code that the vendor's page shows is pasted, and nothing listens."""
    bare_proxy.configure(sandbox_config(vendors, credentials={"cloud66": f'redirect_uri: "{OOB}"'}))
    async with running(bare_proxy, "login", "cloud66", "--no-browser") as login:
        url = await login.url()
        assert OOB == query_of(url)["redirect_uri"]
        shown = await visitor.open(await visitor.decide(url))
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", bare_proxy.admin_port)
        code = re.findall(r'<code id="authorization_code">([^<]+)</code>', shown)[0]
        login.type(f"  {code}\n")
        done = await login.done()
    assert 0 == done.code, done.err
    told_nothing(done, f"x:?code={code}")


@pytest.mark.parametrize(
    ("page", "state"), [("ours", "kept"), ("the vendor's", "kept"), ("the vendor's", "left out"), ("ours", "another")]
)
async def test_readycloud_by_paste(signing: Proxy, vendors: Sandbox, visitor: Person, page: str, state: str) -> None:
    """The final address is pasted, from our callback page or the vendor's; only a wrong state is refused."""
    if page == "the vendor's":
        await Control(vendors, "readycloud").settings(redirect_uri="")
    async with running(signing, "login", "readycloud", "--no-browser", "--paste") as login:
        url = await login.url()
        address = await visitor.decide(url)
        assert ("/callback?" if page == "ours" else "/api/v1/oauth2/auth_code?") in address
        pasted = {
            "kept": address,
            "left out": re.sub(r"\?state=[^#]*", "", address),
            "another": re.sub(r"\?state=[^#]*", "?state=another", address),
        }[state]
        assert (pasted == address) == (state == "kept")
        login.type(pasted + "\n")
        done = await login.done()
    told_nothing(done, address)
    if state == "another":
        assert (1, 1) == (done.code, len(done.err.splitlines()))
        assert "the sign-in is aborted: the state that came back is not the one that was sent" in done.err
        assert 0 == stored(signing, "readycloud")[0]
    else:
        assert (0, f"signed in to readycloud: an access token, a refresh token; {YEAR}") == (
            done.code,
            done.out.splitlines()[-1],
        )


@pytest.mark.parametrize("what", ["address", "address without state", "code"])
async def test_cloud66_by_paste(signing: Proxy, vendors: Sandbox, visitor: Person, what: str) -> None:
    """The final address will do as well as the code in it."""
    async with running(signing, "login", "cloud66", "--no-browser", "--paste") as login:
        address = await visitor.decide(await login.url())
        code = query_of(address)["code"]
        bare = f"{signing.admin_url}/callback?code={code}"
        login.type({"address": address, "address without state": bare, "code": code}[what] + "\n")
        done = await login.done()
    assert 0 == done.code, done.err
    told_nothing(done, address)


@pytest.mark.parametrize(
    ("command", "form"), [("import", "json"), ("import", "file"), ("login", "form"), ("login", "address")]
)
async def test_tokens_that_the_vendor_shows(signing: Proxy, vendors: Sandbox, command: str, form: str) -> None:
    """OneCloud's are given to `import` or `login` alike, in any form, to `import` as a file too."""
    tokens = vendors.grant("onecloud")
    query = urlencode({key: str(value) for key, value in tokens.items()})
    text = {"form": query, "address": f"https://example.com/done?x=1#{query}"}.get(form, json.dumps(tokens, indent=1))
    if form == "file":
        (signing.folder / "tokens.json").write_text(text)
        done = await signing.command(command, "onecloud", "tokens.json")
    else:
        done = await signing.command(command, "onecloud", stdin=text)
    assert 0 == done.code, done.err
    assert "imported for onecloud: an access token, a refresh token; it expires in 24 h" in done.out
    assert [] == [token for token in tokens.values() if str(token) in done.out + done.err and "-t" in str(token)]
    assert 0 == (await signing.command("refresh", "onecloud")).code


@pytest.mark.parametrize("arguments", [("import",), ("login", "--paste", "--no-browser")])
async def test_an_input_without_end(signing: Proxy, arguments: tuple[str, ...]) -> None:
    """What is longer than any token is refused, and not cut to what would be one."""
    done = await signing.command(*arguments, "readycloud", stdin="a" * (3 << 20))
    assert 1 == done.code
    assert "this is longer than 1048576 characters, and so no token" in done.err
    assert 0 == stored(signing, "readycloud")[0]


@pytest.mark.parametrize("arguments", [("import",), ("login", "--paste", "--no-browser")])
async def test_no_standard_input_at_all(signing: Proxy, arguments: tuple[str, ...]) -> None:
    """As some supervisors start programs: the same sentence as for an empty one."""
    command = shlex.join([sys.executable, "-m", "proxy", *arguments, "readycloud"])
    process = await asyncio.create_subprocess_shell(
        f"exec {command} <&-", cwd=signing.folder, env=environment(), stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (1, True) == (process.returncode, err.startswith(b"nothing was given: paste")), err
