"""Pages of other origins that a route allows: asked for by their browser, and told what they may read."""

from dataclasses import replace

import pytest

from proxy.callers.guesses import Guesses
from proxy.config import Callers, CredentialConfig, RouteConfig, Upstream, presets
from proxy.config.values import NOBODY
from proxy.errors import CallerError, ForeignOriginError
from proxy.gateway.admission import Admission
from proxy.gateway.cors import allowing, is_preflight, preflight
from proxy.gateway.forward import Forwarder, Replay
from proxy.gateway.message import Downstream, Request
from proxy.gateway.routes import RouteTable, make_route
from tests.gateway.asking import ERP, RIGHT
from tests.support.gateway import LIMIT, MEMORY, Answer, Bench

APP, EVIL, OWN = "https://app.example", "https://evil.example", "http://own.localhost:8080"
CONFINED = ("Content-Security-Policy", "sandbox")
ALLOWED = [
    ("Access-Control-Allow-Origin", APP),
    ("Access-Control-Expose-Headers", "*"),
    ("Vary", "Origin"),
]
ASKING = ("Access-Control-Request-Method", "PUT")


@pytest.mark.parametrize(
    ("expected", "method", "fields"),
    [
        (True, "OPTIONS", [ASKING]),
        (True, "OPTIONS", [("access-control-request-method", "x")]),
        (False, "OPTIONS", []),
        (False, "OPTIONS", [("Access-Control-Request-Method", "")]),
        (False, "GET", [ASKING]),
        (False, "options", [ASKING]),
    ],
)
def test_preflight(expected, method, fields):
    """It is OPTIONS with the method that is to come."""
    assert expected == is_preflight(method, fields)


@pytest.mark.parametrize(
    ("expected", "fields", "methods"),
    [
        ({"methods": "PUT"}, [ASKING], None),
        ({"methods": "GET, POST"}, [ASKING], frozenset({"POST", "GET"})),
        (
            {"methods": "PUT", "headers": "authorization, content-type"},
            [ASKING, ("Access-Control-Request-Headers", "authorization, content-type")],
            None,
        ),
        (
            {"methods": "PUT", "private-network": "true"},
            [ASKING, ("Access-Control-Request-Private-Network", "true")],
            None,
        ),
        ({"methods": "PUT"}, [ASKING, ("Access-Control-Request-Private-Network", "?")], None),
    ],
)
def test_answer_to_a_preflight(expected, fields, methods):
    """What is asked about is allowed, as far as the route goes; for some minutes, and never with credentials."""
    response = preflight(fields, methods)
    told = {f"Access-Control-Allow-{key.title()}": value for key, value in expected.items()}
    assert (204, 0) == (response.status, response.length)
    assert {**told, "Access-Control-Max-Age": "600"} == dict(response.headers)


def test_fields():
    """Where pages may read, caches keep their answers apart; another's answer allows nothing."""
    assert ALLOWED == list(allowing(APP))
    assert [("Vary", "Origin")] == list(allowing(""))


@pytest.fixture
def made(tmp_path):
    """Make a bench with the routes /app, which allows `APP` and two methods, and /rc, which allows nobody."""

    def make(callers=Callers()):  # noqa: B008 - frozen
        bench = Bench(tmp_path)
        provider = presets()["readycloud"]
        upstream = Upstream.parse(provider.upstream)
        app = RouteConfig("app", "acme", upstream, "/app", methods=frozenset({"GET", "POST"}))
        routes = [RouteConfig("rc", "acme", upstream, "/rc"), replace(app, allow_origins=frozenset({APP, OWN}))]
        bench.take = Forwarder(
            RouteTable(make_route(route, CredentialConfig("acme", provider)) for route in routes),
            {"acme": bench.credential},
            {},
            bench.vendor,
            Admission(callers, frozenset(), Guesses()),
            Replay(bench.spool, MEMORY, LIMIT),
        )
        return bench

    return make


def asked(target, *fields, method="GET", origin=APP, address="127.0.0.1", host="localhost"):
    headers = [("Host", host), *([("Origin", origin)] if origin else []), *fields]
    raw = repr((method, target, headers)).encode()
    return Request(method, target, headers, host=host, raw=raw, downstream=Downstream("", "http", address))


async def answered(bench, request):
    """Give status or error, and the fields that are added."""
    try:
        response = await bench.take(request)
    except CallerError as error:
        return error.error, list(request.added)
    response.close()
    return response.status, list(request.added)


async def test_page_that_may(made):
    """Its request goes on, again and again, and any answer to it may be read: an error of ours too."""
    bench = made()
    assert [(200, ALLOWED)] * 2 == [await answered(bench, asked("/app/a")) for _ in range(2)]
    assert ("method_not_allowed", ALLOWED) == await answered(bench, asked("/app/a", method="PUT"))
    assert ("forbidden_path", ALLOWED) == await answered(bench, asked("/app/api/v1/oauth2/token/"))
    assert 2 == len(bench.vendor.sent)


@pytest.mark.parametrize(
    ("confined", "host", "target", "fields"),
    [
        (True, "localhost", "/rc/a", [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]),
        (True, "localhost", "/rc/a", [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none")]),
        (True, "localhost", "/app/a", [("Accept", "text/html")]),
        (True, "own.localhost", "/app/a", [("Accept", "text/html")]),
        (True, "own.localhost:8080", "/rc/a", [("Accept", "text/html")]),
        (False, "own.localhost:8080", "/app/a", [("Accept", "text/html")]),
        (False, "OWN.localhost:8080", "/app/a", [("Sec-Fetch-Mode", "navigate")]),
        (False, "localhost", "/rc/a", [("Accept", "*/*")]),
        (False, "localhost", "/rc/a", [("Accept", "application/json"), ("Sec-Fetch-Mode", "cors")]),
    ],
)
async def test_page_of_a_vendor(made, confined, host, target, fields):
    """What a browser may show is confined, again and again, unless the route allows the origin that all share."""
    bench = made()
    for _ in range(2):
        status, added = await answered(bench, asked(target, *fields, origin="", host=host))
        assert (200, [CONFINED] * confined) == (status, [one for one in added if one[0] != "Vary"])


async def test_preflight_of_a_page_that_may(made):
    """It is answered here, key or no key: browsers send none with it."""
    for callers in (Callers(), Callers((ERP,), NOBODY)):
        bench = made(callers)
        assert (204, ALLOWED) == await answered(bench, asked("/app/a", ASKING, method="OPTIONS"))
        assert [] == bench.vendor.sent


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        ("/app/a", EVIL),
        ("/app/a", "null"),
        ("/app/a", "http://app.example"),
        ("/app/a", "https://app.example:8443"),
        ("/rc/a", APP),
        ("/nowhere", APP),
        ("/appx", APP),
        ("/app/../rc/a", APP),
        ("/%61pp/a", APP),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_page_that_may_not(made, target, origin, method):
    """Neither it nor its preflight gets anywhere, and what it hears tells of no route."""
    bench = made()
    assert ("foreign_origin", []) == await answered(bench, asked(target, ASKING, method=method, origin=origin))
    assert [] == bench.vendor.sent


async def test_page_without_an_origin(made):
    """A picture or a script from the allowed page's site names none: it is not the page's own asking."""
    bench = made()
    request = asked("/app/a", ("Sec-Fetch-Site", "cross-site"), origin="")
    assert ("foreign_origin", []) == await answered(bench, request)


async def test_program(made):
    """It is not told of pages; only that answers depend on who asks, where they do."""
    bench = made()
    assert (200, [("Vary", "Origin")]) == await answered(bench, asked("/app/a", origin=""))
    assert (200, []) == await answered(bench, asked("/rc/a", origin=""))


async def test_page_of_ours(made):
    """The proxy's own origin needs no permission; its OPTIONS is the vendor's to answer."""
    bench = made()
    assert (200, []) == await answered(bench, asked("/rc/a", ASKING, method="OPTIONS", origin="http://localhost"))
    assert 1 == len(bench.vendor.sent)


async def test_page_with_and_without_a_key(made):
    """An allowed page is no caller yet: it has to have a key as any other, and may read that it lacks one."""
    bench = made(Callers((ERP,), NOBODY))
    assert ("key_required", ALLOWED) == await answered(bench, asked("/app/a"))
    bearing = ("Authorization", f"Bearer {RIGHT}")
    assert (200, ALLOWED) == await answered(bench, asked("/app/a", bearing))
    with pytest.raises(ForeignOriginError):
        await bench.take(asked("/app/a", bearing, origin=EVIL))
    assert 1 == len(bench.vendor.sent)


async def test_what_the_vendor_says_of_origins(made):
    """It is not passed on: who may read is said here."""
    bench = made()
    theirs = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"), ("X", "1")]
    bench.vendor.answers = [Answer(200, b"x", headers=theirs)]
    response = await bench.take(asked("/app/a"))
    response.close()
    assert [("X", "1")] == response.headers
