"""Which route a request takes, where it goes from there, and what is refused on the way."""

import itertools

import pytest

from proxy.config import Address, CredentialConfig, Provider, RouteConfig, Upstream
from proxy.errors import (
    BadTargetError,
    MethodNotAllowedError,
    NoRouteError,
    NotConfiguredError,
)
from proxy.gateway.routes import MAIN, RouteTable, make_route

ORIGIN = "https://api.acme.example"
OWN = Address("127.0.0.1", 8066)
SOCKET = Address(path="/run/own.sock")


def route(prefix="/", upstream=ORIGIN, *, missing=(), methods=None, **fields):
    config = RouteConfig(
        name=fields.pop("name", prefix),
        credential="acme",
        upstream=Upstream.parse(upstream) if upstream else None,
        prefix=prefix,
        methods=frozenset(methods) if methods else None,
        **fields,
    )
    return make_route(config, CredentialConfig("acme", Provider(), missing=missing))


def place(routes, target, method="GET", host="localhost:8080", listener=MAIN):
    return RouteTable(routes).place(method, target, host, listener)


def onward(one, target, **more):
    """Give the target that the upstream sees."""
    return place([one], target, **more).target


@pytest.mark.parametrize(
    ("expected", "prefix", "base", "target"),
    [
        ("/", "/a", "", "/a"),
        ("/", "/a", "", "/a/"),
        ("/?", "/a", "", "/a?"),
        ("/?b", "/a", "", "/a?b"),
        ("/b", "/a", "", "/a/b"),
        ("/b/", "/a", "", "/a/b/"),
        ("//b", "/a", "", "/a//b"),
        ("//evil.example/b", "/a", "", "/a//evil.example/b"),
        ("/a/b", "/a", "", "/a/a/b"),
        ("/base", "/a", "/base", "/a"),
        ("/base/", "/a", "/base", "/a/"),
        ("/base?", "/a", "/base", "/a?"),
        ("/base/b?c=d", "/a", "/base", "/a/b?c=d"),
        ("/base/b", "/a", "/base/", "/a/b"),
        ("/x/y/b", "/a", "/x/y", "/a/b"),
        ("/", "/", "", "/"),
        ("/b", "/", "", "/b"),
        ("//b//", "/", "", "//b//"),
        ("/base/", "/", "/base", "/"),
        ("/base/b", "/", "/base", "/b"),
        ("/c", "/a/b", "", "/a/b/c"),
        ("/%2F+%2f%zz;x=%41?%zz+&&", "/a", "", "/a/%2F+%2f%zz;x=%41?%zz+&&"),
        ("/caf\u00e9\\b", "/a", "", "/a/caf\u00e9\\b"),
        ("/b", "/a", "", "http://localhost/a/b"),
        ("/", "/a", "", "http://localhost/a"),
        ("/?b", "/", "", "http://localhost?b"),
    ],
)
def test_target(expected, prefix, base, target):
    """The prefix is cut off, and the rest joined to the upstream's path unchanged."""
    assert expected == onward(route(prefix, ORIGIN + base), target)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/readycloudX",
        "/readycloudX/a",
        "/readyclou",
        "/ReadyCloud/a",
        "/%72eadycloud/a",
        "//readycloud/a",
        "/a/readycloud",
        "/readycloud;x/a",
        "/readycloud%2Fa",
        "/readycloud\\a",
        "/readycloud%3Fa",
    ],
)
def test_prefix_that_only_looks_like_one(target):
    """Whole segments count, byte for byte."""
    with pytest.raises(NoRouteError, match=r"^no route matches /.*: the routes here are /readycloud$"):
        place([route("/readycloud")], target)


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        ("/", "/"),
        ("/", "/b"),
        ("/a", "/a"),
        ("/a", "/a/"),
        ("/a", "/a/bb"),
        ("/a/b", "/a/b?c"),
        ("/a/b", "/a/b/c/d"),
        ("/", "/aa/b"),
    ],
)
def test_longest_prefix(expected, target):
    """It wins, in whatever order the routes stand."""
    routes = [route("/a"), route("/a/b"), route("/")]
    assert {expected} == {place(some, target).route.name for some in itertools.permutations(routes)}


@pytest.mark.parametrize(
    ("expected", "target", "host"),
    [
        ("host", "/a/b", "acme.internal"),
        ("host", "/a/b", "ACME.internal.:8080"),
        ("both", "/deep/a", "acme.internal"),
        ("prefix", "/a/b", "localhost"),
        ("prefix", "/a", ""),
        ("prefix", "/a", "sub.acme.internal"),
        ("prefix", "/a", "acme.internal.evil.example"),
        ("host", "http://acme.internal/a", "localhost"),
        ("prefix", "http://localhost/a", "acme.internal"),
        ("v6", "/x", "[::1]:8080"),
    ],
)
def test_host(expected, target, host):
    """Host comes before prefix; the authority of absolute form replaces it."""
    routes = [
        route("/", host="acme.internal", name="host"),
        route("/deep", host="acme.internal", name="both"),
        route("/a", name="prefix"),
        route("/x", host="[::1]", name="v6"),
    ]
    assert expected == place(routes, target, host=host).route.name


def test_host_whose_routes_do_not_match():
    """The routes without a host are asked then."""
    assert "/b" == place([route("/a", host="h"), route("/b")], "/b/c", host="h").route.name


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/a", "user@localhost"),
        ("/a", "localhost, evil.example"),
        ("/a", "localhost/a"),
        ("http://user:pw@localhost/a", "localhost"),
        ("http://localhost:80:80/a", "localhost"),
        ("http:///a", "localhost"),
        ("http://:80/a", "localhost"),
    ],
)
def test_authority_that_is_malformed(target, host):
    """It is refused; an absolute form without a host is none (RFC 9110 section 4.2.1)."""
    with pytest.raises(BadTargetError):
        place([route("/a")], target, host=host)


@pytest.mark.parametrize(
    ("expected", "listener", "target"),
    [
        ("own", str(OWN), "/a"),
        ("own", str(SOCKET), "/a"),
        ("main", MAIN, "/a"),
        ("main", MAIN, "/b"),
        ("deep", str(OWN), "/b/c"),
    ],
)
def test_listener(expected, listener, target):
    """A route's own listener sees its routes only, and the main one no others'."""
    routes = [
        route("/", listen=(OWN, SOCKET), name="own"),
        route("/", name="main"),
        route("/b", listen=(OWN,), name="deep"),
    ]
    assert expected == place(routes, target, listener=listener).route.name


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (str(OWN), "no route matches /b: the routes here are /a$"),
        (MAIN, "no route is configured here"),
        ("other", "no route is"),
    ],
)
def test_listener_without_a_matching_route(listener, words):
    """Another listener's routes are neither taken nor named."""
    with pytest.raises(NoRouteError, match=words):
        place([route("/a", listen=(OWN,)), route("/b", listen=(SOCKET,))], "/b?secret", listener=listener)


def test_many_routes():
    """Of many prefixes the error names some."""
    with pytest.raises(NoRouteError) as caught:
        place([route(f"/r{number}") for number in range(20)], "/" + "x" * 999)
    assert caught.value.description.count("/r") == 8
    assert "x" * 64 in caught.value.description
    assert "x" * 65 not in caught.value.description


@pytest.mark.parametrize("method", ["POST", "get", "HEAD", "M-SEARCH"])
def test_method_that_does_not_pass(method):
    """It is refused with those that do."""
    with pytest.raises(MethodNotAllowedError, match=f"the route /a does not pass {method}") as caught:
        place([route("/a", methods=["PUT", "GET"])], "/a", method)
    assert ("GET", "PUT") == caught.value.allow


@pytest.mark.parametrize("method", ["GET", "DELETE", "PROPFIND"])
def test_methods_that_are_not_limited(method):
    """All pass."""
    assert "/" == onward(route("/a"), "/a", method=method)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (("client_id",), {"missing": ("client_id",)}),
        (("upstream", "token_url"), {"upstream": "", "missing": ("upstream", "token_url")}),
        (("upstream",), {"upstream": ""}),
    ],
)
def test_route_that_is_not_configured(expected, fields):
    """The error names what its credential lacks."""
    with pytest.raises(NotConfiguredError) as caught:
        place([route("/a", **fields)], "/a/b")
    assert ("acme", expected) == (caught.value.credential, caught.value.missing)
