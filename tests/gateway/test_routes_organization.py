"""Where a credential's organization belongs in a path: by the route's upstream or by @me, not by any other text."""

import pytest

from proxy.config import ORG_PK, CredentialConfig, Provider, RouteConfig, Upstream, presets
from proxy.errors import BadTargetError, ForbiddenPathError
from proxy.gateway.routes import RouteTable, make_route

ORIGIN = "https://api.acme.example"
ORGS = "/api/v2/orgs/"


def place(target, base="", *, prefix="/a", orgs_path=ORGS, **provider):
    config = RouteConfig("acme", "acme", Upstream.parse(ORIGIN + base), prefix)
    route = make_route(config, CredentialConfig("acme", Provider(orgs_path=orgs_path, **provider)))
    return RouteTable([route]).place("GET", target, "localhost:8080")


def parts(target, base="", **more):
    """Give what the upstream sees before and after the organization; None after it where none belongs."""
    found = place(target, base, **more)
    return found.target, found.after_org


HOLE = f"{ORGS}{ORG_PK}"


@pytest.mark.parametrize(
    ("before", "after", "base", "target"),
    [
        (ORGS, "/orders", f"{HOLE}/orders", "/a"),
        (ORGS, "/orders/", f"{HOLE}/orders", "/a/"),
        (ORGS, "/orders/1?b=%zz", f"{HOLE}/orders", "/a/1?b=%zz"),
        (ORGS, "/orders?", f"{HOLE}/orders", "/a?"),
        (ORGS, "", HOLE, "/a"),
        (ORGS, "/b", HOLE, "/a/b"),
        (ORGS, "?b", HOLE, "/a?b"),
        (ORGS, "//b", HOLE, "/a//b"),
        ("/", "/b", f"/{ORG_PK}", "/a/b"),
        (ORGS, f"/orders/{ORG_PK}/@me?{ORG_PK}&@me", f"{HOLE}/orders", f"/a/{ORG_PK}/@me?{ORG_PK}&@me"),
        (ORGS, "/orders/b?c", f"{HOLE}/orders", "/a/b?access_token=x&c"),
        (ORGS, "/orders", f"{HOLE}/orders", "http://localhost/a"),
    ],
)
def test_upstream_with_the_organization_in_it(before, after, base, target):
    """It belongs in that one place, whatever the caller's text is."""
    assert (before, after) == parts(target, base)


@pytest.mark.parametrize("target", ["/", "/b", f"/{ORG_PK}", f"{ORGS}@me"])
def test_route_for_a_whole_host(target):
    """It has its one place too."""
    assert (ORGS, f"/orders{target}") == parts(target, f"{HOLE}/orders", prefix="/")


@pytest.mark.parametrize(
    ("after", "base", "target"),
    [
        ("/", "", f"/a{ORGS}@me/"),
        ("", "", f"/a{ORGS}@me"),
        ("?b", "", f"/a{ORGS}@me?b"),
        ("/", "", f"/a{ORGS}%40me/"),
        ("/orders/?@me", "", f"/a{ORGS}@me/orders/?@me"),
        ("/@me/%40me", "", f"/a{ORGS}@me/@me/%40me"),
        ("//%2F%zz", "", f"/a{ORGS}@me//%2F%zz"),
        ("/orders/", "/api", "/a/v2/orgs/@me/orders/"),
        ("/orders/", "/api/v2/orgs", "/a/@me/orders/"),
        ("", "/api/v2/orgs", "/a/@me"),
        ("/orders/b", "/api/v2/orgs/@me/orders", "/a/b"),
    ],
)
def test_me(after, base, target):
    """It is the whole segment after the list's path, as the upstream would see it."""
    assert (ORGS, after) == parts(target, base)


@pytest.mark.parametrize(
    "path",
    [
        f"{ORGS}",
        f"{ORGS}@",
        f"{ORGS}@ME/",
        f"{ORGS}@mex",
        f"{ORGS}x@me",
        f"{ORGS}@me;x/",
        f"{ORGS}@me%2Forders",
        f"{ORGS}%2540me",
        f"{ORGS}x/@me/",
        f"{ORGS}/@me/",
        f"{ORGS}{ORG_PK}/",
        "/api/v2/orgs%2F@me/",
        "/api/v2//orgs/@me/",
        "/API/v2/orgs/@me/",
        "/x/api/v2/orgs/@me/",
        "/@me",
        f"/?{ORGS}@me/",
    ],
)
def test_what_only_looks_like_me(path):
    """It passes as it is."""
    assert (path, None) == parts(f"/a{path}")


@pytest.mark.parametrize("path", [f"{ORGS}@me/", f"{ORGS}{ORG_PK}", "/@me"])
def test_provider_without_organizations(path):
    """All passes as it is."""
    assert (path, None) == parts(f"/a{path}", orgs_path="")


@pytest.mark.parametrize("rest", ["/..", "/../orders", "/%2e%2e/", "/..;/", "/.\\x"])
@pytest.mark.parametrize(("base", "start"), [(f"{HOLE}/orders", "/a"), ("", f"/a{ORGS}@me")])
def test_path_that_would_leave_its_organization(base, start, rest):
    """It is refused."""
    with pytest.raises(BadTargetError, match="segments"):
        place(start + rest, base)


@pytest.mark.parametrize(("base", "start"), [(f"{HOLE}/orders", "/a"), ("", f"/a{ORGS}@me")])
def test_oauth_endpoint_at_or_above_it(base, start):
    """It is refused as without an organization."""
    with pytest.raises(ForbiddenPathError):
        place(f"{start}/x", base, oauth_paths=["/api/v2"])


def test_readycloud():
    """Its presets know where organizations are listed."""
    provider = presets()["readycloud"]
    config = RouteConfig("rc", "rc", Upstream.parse(provider.upstream), "/rc")
    table = RouteTable([make_route(config, CredentialConfig("rc", provider))])
    found = table.place("GET", f"/rc{ORGS}@me/orders/?callback=f", "")
    assert (ORGS, "/orders/?callback=f", True) == (found.target, found.after_org, found.jsonp)
