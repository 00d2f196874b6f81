"""admin_key: how it comes, what it opens, and which paths need none."""

import base64

import pytest

from .conftest import credential

KEY = "k3y-\u00e4 with:colon"


def basic(text):
    return "Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


@pytest.mark.parametrize(
    ("fits", "authorization"),
    [
        (True, f"Bearer {KEY}"),
        (True, f"bearer  {KEY} "),
        (True, basic(f"admin:{KEY}")),
        (True, basic(f":{KEY}")),
        (True, basic(f"b\u00f6b:{KEY}").replace("Basic", "BASIC")),
        (False, None),
        (False, ""),
        (False, "Bearer"),
        (False, "Bearer "),
        (False, f"Bearer {KEY}x"),
        (False, f"Bearer {KEY[:-1]}"),
        (False, f"Bearer {KEY.upper()}"),
        (False, "Bearer \u00e4\u2603"),
        (False, KEY),
        (False, f"Digest {KEY}"),
        (False, f"Token {KEY}"),
        (False, f"Basic {KEY}"),
        (False, "Basic"),
        (False, "Basic !"),
        (False, "Basic \u00e4"),
        (False, basic("")),
        (False, basic(":")),
        (False, basic("admin:")),
        (False, basic("admin")),
        (False, basic(KEY.partition(":")[0])),
        (False, basic(f"{KEY}:")),
        (False, basic(f"admin:{KEY} ")),
        (False, basic(b"admin:\xff\xfe")),
        (False, "Bearer " + base64.b64encode(f"admin:{KEY}".encode()).decode()),
    ],
)
@pytest.mark.parametrize("path", ["/", "/login/a", "/api/credentials", "/absent"])
async def test_key(serve, fits, authorization, path):
    """It comes as Bearer or as Basic password; without it nothing is told, not even what there is."""
    asked = await serve(admin_key=KEY)
    answer = await asked("GET", path, *([] if authorization is None else [f"Authorization: {authorization}"]))
    assert (fits, fits) == (answer.status != 401, "this needs the admin_key" not in answer.text)
    if not fits:
        assert 'Basic realm="bearer-proxy", charset="UTF-8"' == answer.fields["www-authenticate"]
    assert KEY not in answer.raw


async def test_two_keys(serve):
    """The one that fits counts."""
    asked = await serve(admin_key=KEY)
    wrong, right = "Authorization: Bearer x", f"Authorization: Bearer {KEY}"
    assert (200, 200) == tuple([(await asked("GET", "/", *pair)).status for pair in ((wrong, right), (right, wrong))])


@pytest.mark.parametrize(
    ("expected", "method", "path"),
    [
        (200, "GET", "/healthz"),
        (200, "HEAD", "/healthz"),
        (503, "GET", "/readyz"),
        (200, "GET", "/callback"),
        (200, "GET", "/%63allback"),
        (400, "POST", "/callback"),
        (400, "GET", "/callback?code=c&state=s"),
        (405, "DELETE", "/callback"),
        *((401, method, path) for method in ("GET", "POST", "HEAD", "OPTIONS")
          for path in ("/", "/login/callback", "/login/healthz", "/login/callback/paste", "/refresh/healthz",
                       "/logout/readyz", "/callback/", "//callback", "/callback;x", "/callback%2f", "/callback/x",
                       "/x/callback", "/./callback", "/login/../callback", "/login/..%2fcallback", "/Callback")),
    ],
)  # fmt: skip
async def test_paths_without_a_key(serve, expected, method, path):
    """They are the three that machines and vendors come to, and none that only looks like one of them."""
    asked = await serve(*(credential(name) for name in ("callback", "healthz", "readyz")), admin_key=KEY)
    answer = await asked(method, path, body="x=y" if method == "POST" else "")
    assert expected == answer.status


async def test_wrong_host_with_the_key(serve):
    """The key opens by any name, which no page can have with it; but to no other origin."""
    asked = await serve(admin_key=KEY)
    key = f"Authorization: Bearer {KEY}"
    assert 200 == (await asked("GET", "/", "Host: evil.example", key)).status
    assert 403 == (await asked("GET", "/healthz", "Host: evil.example", "Authorization: Bearer x")).status
    assert 403 == (await asked("GET", "/", key, "Origin: http://evil.example")).status


async def test_no_key_configured(serve):
    """None is asked for, and one that comes all the same does no harm."""
    asked = await serve()
    for authorization in ("Bearer ", "Bearer x", "Basic !", basic(":")):
        assert 200 == (await asked("GET", "/", f"Authorization: {authorization}")).status
