"""Callers with and without keys: what each may have forwarded, what is remembered of it, and what never goes on."""

import hashlib
from base64 import b64encode

import pytest

from proxy.config import Callers, ClientConfig
from proxy.config.fields import KeyHash
from proxy.config.values import LOOPBACK_ONLY, NOBODY
from proxy.errors import CallerError
from proxy.gateway.message import Downstream, Request
from proxy.gateway.problem import describe
from tests.gateway.asking import CERTIFIED, ERP, FAR, NEAR, RIGHT, WRONG
from tests.support.gateway import Bench

READER_KEY, LIMITED_KEY = "reader-key-012345678", "limited-key-01234567"


def keyed(name, key, **limits):
    return ClientConfig(name, (KeyHash(hashlib.sha256(key.encode()).digest()),), **limits)


READER = keyed("reader", READER_KEY, methods=frozenset({"GET", "POST"}))
LIMITED = keyed("limited", LIMITED_KEY, routes=frozenset({"orders"}))
CLIENTS = (ERP, READER, LIMITED)


@pytest.fixture
def bench(tmp_path):
    """A bench where an address is admitted only with a key, but for loopback's."""
    return Bench(tmp_path, Callers(CLIENTS, LOOPBACK_ONLY))


def asked(key="", *fields, method="GET", target="/rc/a", address=FAR, client=None):
    headers = [("Host", "localhost"), *([("Authorization", f"Bearer {key}")] if key else []), *fields]
    raw = repr((method, target, headers)).encode()
    downstream = Downstream("", "http", address, address, client)
    return Request(method, target, headers, host="localhost", raw=raw, downstream=downstream)


async def heard(bench, request):
    """Give the status of the answer, or the error, and the client that is logged."""
    try:
        response = await bench.take(request)
    except CallerError as error:
        return f"{error.status} {error.error}", request.trail.client
    response.close()
    return str(response.status), request.trail.client


@pytest.mark.parametrize(
    ("expected", "key", "method", "target"),
    [
        (("200", "erp"), RIGHT, "DELETE", "/rc/a"),
        (("200", "erp"), RIGHT, "GET", "/orders/a"),
        (("404 no_route", "erp"), RIGHT, "GET", "/nowhere"),
        (("403 forbidden_path", "erp"), RIGHT, "GET", "/rc/api/v1/oauth2/token/"),
        (("200", "reader"), READER_KEY, "POST", "/rc/a"),
        (("403 access_denied", "reader"), READER_KEY, "DELETE", "/rc/a"),
        (("403 access_denied", "reader"), READER_KEY, "HEAD", "/rc/a"),
        (("403 access_denied", "reader"), READER_KEY, "get", "/rc/a"),
        (("200", "limited"), LIMITED_KEY, "DELETE", "/orders/a"),
        (("403 access_denied", "limited"), LIMITED_KEY, "GET", "/rc/a"),
        (("401 key_required", ""), WRONG, "GET", "/rc/a"),
        (("401 key_required", ""), "", "GET", "/nowhere"),
        (("501 method_not_implemented", ""), "", "CONNECT", "localhost:443"),
        (("501 method_not_implemented", ""), RIGHT, "TRACE", "/rc/a"),
    ],
)
async def test_rights(bench, expected, key, method, target):
    """A client's limits are its own, by the names of routes and by methods; nobody else has any rights."""
    assert [expected] * 2 == [await heard(bench, asked(key, method=method, target=target)) for _ in range(2)]
    assert (2 if expected[0] == "200" else 0) == len(bench.vendor.sent)


async def test_rights_of_a_certificate(bench):
    """They are kept in the same way, and not those of another certificate on the same head."""
    limited = ClientConfig("certified", certificates=("x",), methods=frozenset({"GET"}))
    request = {"method": "DELETE", "address": FAR}
    assert ("200", "certified") == await heard(bench, asked(client=CERTIFIED, **request))
    assert 1 == len(bench.vendor.sent)
    other = ClientConfig("other", certificates=("y",), methods=frozenset({"GET"}))
    assert ("403 access_denied", "other") == await heard(bench, asked(client=other, **request))
    assert ("401 key_required", "") == await heard(bench, asked(**request))
    assert ("200", "certified") == await heard(bench, asked(client=limited))
    assert 2 == len(bench.vendor.sent)


@pytest.mark.parametrize(("key", "kept"), [(RIGHT, True), (READER_KEY, False)])
async def test_other_methods_by_a_back_door(bench, key, kept):
    """Where a client's methods are limited, nothing goes on that would make another of one; else it is the vendor's."""
    fields = [(name, "DELETE") for name in ("X-HTTP-Method-Override", "x-http-method", "X_Method_Override")]
    response = await bench.take(asked(key, *fields, method="POST", target="/rc/a?_method=DELETE&b=%5f"))
    response.close()
    assert ["/a?_method=DELETE&b=%5f" if kept else "/a?b=%5f"] == bench.vendor.targets
    (request,) = bench.vendor.requests
    assert (3 if kept else 0) == len([name for name, value in request.headers if value == "DELETE"])


async def test_same_head_from_another_address(bench):
    """What was forwarded for one is judged anew for another: by its address, and by the name that it calls."""
    for _ in range(2):
        assert ("200", "") == await heard(bench, asked(address=NEAR))
        assert ("200", "") == await heard(bench, asked(WRONG, address=NEAR))
        assert ("401 key_required", "") == await heard(bench, asked())
        assert ("401 key_required", "") == await heard(bench, asked(WRONG))
    assert 4 == len(bench.vendor.sent)


async def test_same_head_of_a_caller_by_another_address_of_ours(bench):
    """An address of ours is a name only for those that reached it."""
    headers = [("Host", "192.0.2.7")]
    for expected, reached in (("200", "192.0.2.7"), ("403 host_not_allowed", "127.0.0.1"), ("200", "192.0.2.7")):
        request = Request("GET", "/rc/a", headers, host="192.0.2.7", raw=b"x")
        request.downstream = Downstream("", "http", NEAR, reached)
        assert (expected, "") == await heard(bench, request)


async def test_requests_alike_but_for_their_keys(bench):
    """None uses what is remembered for another."""
    said = [
        await heard(bench, asked(key, method="DELETE"))
        for _ in range(2)
        for key in (RIGHT, READER_KEY, LIMITED_KEY, "")
    ]
    one = [("200", "erp"), ("403 access_denied", "reader"), ("403 access_denied", "limited"), ("401 key_required", "")]
    assert one * 2 == said
    assert 2 == len(bench.vendor.sent)


async def test_head_that_comes_again_too_often(bench):
    """A remembered head with a right key is refused as any other where keys are not looked at for a while."""
    elsewhere = "192.0.2.2"
    assert ("200", "erp") == await heard(bench, asked(RIGHT))
    for _ in range(11):
        await heard(bench, asked(WRONG, address=elsewhere))
    assert ("429 too_many_attempts", "") == await heard(bench, asked(RIGHT, address=elsewhere))
    assert ("200", "erp") == await heard(bench, asked(RIGHT))


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/rc/a?b=1", [("Authorization", f"Bearer {RIGHT}")]),
        ("/rc/a?b=1", [("AUTHORIZATION", f"bearer {RIGHT}")]),
        ("/rc/a?b=1", [("Authorization", "Basic " + b64encode(f"erp:{RIGHT}".encode()).decode())]),
        ("/rc/a?b=1", [("Proxy-Authorization", f"Bearer {RIGHT}")]),
        ("/rc/a?b=1", [("Proxy-Authorization", "Basic " + b64encode(f":{RIGHT}".encode()).decode())]),
        ("/rc/a?b=1", [("Authorization", "Bearer dummy"), ("Proxy-Authorization", f"Bearer {RIGHT}")]),
        ("/rc/a?b=1", [("Authorization", f"Bearer {RIGHT}"), ("Authorization", f"Bearer {RIGHT}")]),
        ("/rc/a?b=1", [("Authorization", f"Bearer {RIGHT}"), ("Connection", "authorization")]),
        (f"/rc/a?access_token={RIGHT}&b=1", []),
        (f"/rc/a?b=1&bearer_token={RIGHT}", []),
        (f"/rc/a?b=1;acc%65ss_token={RIGHT}", []),
        (f"/rc/a?+access_token+={RIGHT}&b=1", []),
        (f"/rc/a?access_token={RIGHT}&b=1&access%5Ftoken={RIGHT}", []),
        (f"http://localhost/rc/a?access_token={RIGHT}&b=1", []),
        ("/rc/a?b=1", [("Authorization", f"Bearer {RIGHT}"), ("Referer", f"http://localhost/?access_token={RIGHT}")]),
        ("/rc/a?b=1", [("Authorization", f"Bearer {RIGHT}"), ("REFERER", f"http://h/p?x;bearer%5Ftoken={RIGHT}&y=z")]),
    ],
)
async def test_key_goes_no_further(bench, target, fields):
    """Wherever it was given, the vendor sees neither it nor its hash."""
    assert ("200", "erp") == await heard(bench, asked("", *fields, target=target))
    (request,) = bench.vendor.requests
    assert ["/a?b=1"] == bench.vendor.targets
    sent = repr([*request.headers, request.target])
    hidden = [RIGHT, b64encode(f"erp:{RIGHT}".encode()).decode(), hashlib.sha256(RIGHT.encode()).hexdigest()]
    assert [] == [text for text in hidden if text in sent]
    assert [] == [name for name, _ in request.headers if "authorization" in name.lower()]


@pytest.mark.parametrize(
    ("expected", "referer"),
    [
        ("http://localhost/", "http://localhost/?access_token=x"),
        ("http://localhost/?a=1&c", "http://localhost/?a=1&access_token=x&c"),
        ("http://localhost/?a=%41+b", "http://localhost/?a=%41+b"),
        ("http://localhost/?", "http://localhost/?"),
        ("http://localhost/access_token=x", "http://localhost/access_token=x"),
        ("http://localhost/a@b?c=d@e", "http://localhost/a@b?c=d@e"),
        ("http://localhost/", "http://erp:KEY@localhost/"),
        ("https://localhost/?a", "https://er@p:KEY@localhost/?access_token=b&a"),
        ("", ""),
    ],
)
async def test_referer(bench, expected, referer):
    """All but tokens in it passes as it came."""
    (await bench.take(asked(RIGHT, ("A", "b?access_token=c"), ("Referer", referer)))).close()
    (request,) = bench.vendor.requests
    assert [("A", "b?access_token=c"), ("Referer", expected)] == request.headers[1:3]


async def test_nothing_of_a_key_in_what_is_remembered(bench):
    """A plan holds hashes, and no error names what was given."""
    (await bench.take(asked(RIGHT, target=f"/rc/a?access_token={RIGHT}"))).close()
    (plan,) = bench.take._plans.values()
    assert RIGHT not in repr(plan)
    with pytest.raises(CallerError) as caught:
        await bench.take(asked(WRONG, target=f"/rc/a?access_token={WRONG}"))
    assert WRONG not in repr(describe(caught.value))


async def test_all_strangers_hear_the_same(tmp_path):
    """Paths, methods, routes that are not set up, keys of others: all are one to who has no key."""
    bench = Bench(tmp_path, Callers(CLIENTS, NOBODY))
    said = []
    for method, target in (
        ("GET", "/rc/a"),
        ("DELETE", "/orders"),
        ("GET", "/nowhere"),
        ("GET", "/rc/../x"),
        ("PUT", "/rc/api/v1/oauth2/token/"),
        ("OPTIONS", "/rc/a"),
    ):
        for key in ("", WRONG):
            with pytest.raises(CallerError) as caught:
                await bench.take(asked(key, method=method, target=target, address="192.0.2.3" if key else FAR))
            said.append(describe(caught.value))
    assert [said[0]] * len(said) == said
    assert [] == bench.vendor.requests
    assert {} == bench.take._plans


@pytest.mark.parametrize(
    ("expected", "upgrade"),
    [("websocket", "websocket"), ("", "h2c"), ("", "H2C"), ("", "foo, h2c"), ("", ",h2c"), ("h1, xh2c", "h1, xh2c")],
)
async def test_another_protocol_to_the_same_api(bench, expected, upgrade):
    """HTTP/2 in a tunnel would go by unjudged: it is not asked for, wherever in the list it stands."""
    request = asked(RIGHT)
    request.upgrade = upgrade
    (await bench.take(request)).close()
    assert expected == bench.vendor.requests[0].upgrade


async def test_tunnels_that_are_looked_at_again(bench):
    """Of many whose key opens no more each is told so, and none counts as a guess."""
    allows = bench.take.allows
    for _ in range(50):
        assert [False, True] == [allows(asked(key)) for key in (WRONG, RIGHT)]
    assert ("200", "erp") == await heard(bench, asked(RIGHT))
    for _ in range(11):
        await heard(bench, asked(WRONG, address="192.0.2.99"))
    assert [False, True] == [allows(asked(key, address="192.0.2.99")) for key in (WRONG, RIGHT)]
