"""One request forwarded: every row of forward.py's case list, and what is refused before anything is sent."""

import pytest

from proxy.errors import (
    BadTargetError,
    CallerNotAdmittedError,
    ForbiddenPathError,
    LoginRequiredError,
    MethodNotImplementedError,
    NoRouteError,
    NotConfiguredError,
    RenewalDelayedError,
    RenewalGuardedError,
    UpstreamTerminatedError,
)
from proxy.gateway.headers import VIA
from proxy.gateway.judge import LOOK
from tests.support.gateway import INVALID, LIMIT, Answer, Bench, whole

CHALLENGE = ("WWW-Authenticate", 'Bearer error="invalid_token"')
CUT = UpstreamTerminatedError("it closed the connection")
TOO_LONG = (
    'bearer-proxy; received-status=401; details="the token of acme is renewed, '
    'but the body was too long to be kept: send it again"'
)


@pytest.fixture
async def bench(tmp_path):
    return Bench(tmp_path)


async def answered(bench, response):
    """Give status, fields and body, and be done with the response."""
    body = await whole(response.body)
    response.close()
    assert [1] * len(bench.vendor.given) == bench.closed()
    assert 0 == bench.spool.used
    return response.status, list(response.headers), body


async def test_request(bench):
    """It is built anew: the route's place, the upstream's Host, and the token apart from it."""
    headers = [("HOST", "localhost"), ("Authorization", "Bearer theirs"), ("Connection", "x"), ("X", "1"), ("A", "2")]
    response = await bench.forward("PUT", "/rc/a%2Fb?access_token=x&c", b"abc", length=3, headers=headers)
    (request,) = bench.vendor.requests
    expected = [("Host", "www.readycloud.com"), ("A", "2"), ("Content-Length", "3"), ("Via", VIA)]
    assert expected == request.headers
    assert ("PUT", "/a%2Fb?c", "https://www.readycloud.com") == (request.method, request.target, str(request.upstream))
    assert [(1, b"abc")] == bench.vendor.sent
    assert (200, [], b"fine") == await answered(bench, response)
    assert ("readycloud", "acme", 1, False) == (
        bench.trail.route,
        bench.trail.credential,
        bench.trail.generation,
        bench.trail.replayed,
    )


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/rc/a", Answer(401)),
        ("/rc/a", Answer(401, b"x" * LOOK, b"y" * LOOK)),
        ("/rc/a", Answer(401, CUT)),
        ("/rc/a", Answer(401, b"{", CUT)),
        ("/rc/a", Answer(403, b"no", headers=[CHALLENGE])),
        ("/rc/a", Answer(400, *(bytes([byte]) for byte in INVALID))),
        ("/rc/a", Answer(400, INVALID.ljust(LOOK))),
        ("/rc/a?callback=f", Answer(200, b"f(", INVALID, b");")),
    ],
)
async def test_rejection(bench, target, answer):
    """The request goes out once more, whole and the same, with a newer token; that answer is the caller's."""
    bench.vendor.answers = [answer]
    response = await bench.forward("POST", target, b"x" * 20, b"y" * 20)
    assert [(1, b"x" * 20 + b"y" * 20), (2, b"x" * 20 + b"y" * 20)] == bench.vendor.sent
    assert 1 == len({id(request) for request in bench.vendor.requests})
    assert [1, 0] == bench.closed()
    assert (200, [], b"fine") == await answered(bench, response)
    assert ([1], [(2, True)]) == (bench.credential.replaced, bench.credential.replays)
    assert (2, True) == (bench.trail.generation, bench.trail.replayed)


@pytest.mark.parametrize(
    ("method", "target", "status", "chunks"),
    [
        ("GET", "/rc/a", 200, [b"a", b"b"]),
        ("GET", "/rc/a", 200, [b"f(" + INVALID + b");"]),
        ("GET", "/rc/a?callback=f", 200, [b"f({", b"});"]),
        ("GET", "/rc/a?callback=f", 200, [b"x" * LOOK, b"y", b"z" * LOOK]),
        ("GET", "/rc/a", 403, [b'{"error": ', b'"insufficient_scope"}']),
        ("GET", "/rc/a", 400, [INVALID.ljust(LOOK), b" "]),
        ("GET", "/rc/a", 422, []),
        ("HEAD", "/rc/a", 404, []),
        ("GET", "/rc/a", 503, [INVALID]),
        ("GET", "/rc/a", 302, []),
    ],
)
async def test_answer_that_is_no_rejection(bench, method, target, status, chunks):
    """It is the caller's, byte for byte, what was looked at among it."""
    headers = [("Set-Cookie", "a"), ("X", "1"), ("set-cookie", "b")]
    bench.vendor.answers = [Answer(status, *chunks, headers=[*headers, ("Connection", "close")])]
    response = await bench.forward(method, target)
    assert ("Reason", [0]) == (response.reason, bench.closed())
    assert (status, headers, b"".join(chunks)) == await answered(bench, response)
    assert ([], []) == (bench.credential.replaced, bench.credential.replays)


async def test_answer_that_is_not_looked_into(bench):
    """Nothing of it is read before it is the caller's turn."""
    bench.vendor.answers = [Answer(200, b"a", b"b")]
    await bench.forward()
    assert [b"a", b"b"] == bench.vendor.given[0].left


@pytest.mark.parametrize("status", [401, 403])
async def test_replay_that_is_rejected_too(bench, status):
    """There is no third: the vendor's answer goes to the caller, and the credential hears of it."""
    bench.vendor.answers = [Answer(401, INVALID), Answer(status, INVALID, headers=[CHALLENGE])]
    note = f'bearer-proxy; received-status={status}; details="the renewed token of acme was rejected too"'
    response = await bench.forward()
    assert (status, [CHALLENGE, ("Proxy-Status", note)], INVALID) == await answered(bench, response)
    assert (2, [1], [(2, False)]) == (
        len(bench.vendor.sent),
        bench.credential.replaced,
        bench.credential.replays,
    )


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
async def test_answer_to_a_replay(bench, status):
    """It goes to the caller, whatever it is."""
    bench.vendor.answers = [Answer(401), Answer(status, b"it")]
    assert (status, [], b"it") == await answered(bench, await bench.forward())
    assert [(2, True)] == bench.credential.replays


@pytest.mark.parametrize(("chunks", "length"), [([b"x" * 60, b"y" * 60], None), ([b"x" * 60, b"y" * 60], 120)])
@pytest.mark.parametrize("reads", [None, 1])
async def test_body_too_long_to_be_kept(bench, chunks, length, reads):
    """The token is renewed, and the vendor's answer tells the caller to send again at once."""
    bench.vendor.reads = reads
    bench.vendor.answers = [Answer(401, INVALID, headers=[CHALLENGE])]
    response = await bench.forward("POST", "/rc/a", *chunks, length=length)
    expected = [CHALLENGE, ("Proxy-Status", TOO_LONG), ("Retry-After", "0")]
    assert (401, expected, INVALID) == await answered(bench, response)
    assert (1, [1], []) == (len(bench.vendor.sent), bench.credential.replaced, bench.credential.replays)
    assert not bench.trail.replayed


async def test_answer_with_fields_such_as_ours(bench):
    """Ours is the one Retry-After (RFC 9110 section 10.2.3); Proxy-Status is a list, to which each hop adds."""
    bench.vendor.answers = [Answer(401, headers=[("retry-after", "60"), ("Proxy-Status", "vendor")])]
    _, headers, _ = await answered(bench, await bench.forward("POST", "/rc/a", b"x" * (LIMIT + 1)))
    assert [("Proxy-Status", "vendor"), ("Proxy-Status", TOO_LONG), ("Retry-After", "0")] == headers


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (
            "login required for acme: it was logged out; do this",
            LoginRequiredError("acme", "it was logged out", "do this"),
        ),
        ("it was renewed moments ago", RenewalGuardedError("acme", "it was renewed moments ago")),
    ],
)
@pytest.mark.parametrize("size", [1, LIMIT + 1])
async def test_token_that_cannot_be_replaced(bench, expected, error, size):
    """The vendor's answer goes to the caller, and says why."""
    bench.vendor.newest, bench.credential.error = 2, error
    response = await bench.forward("POST", "/rc/a", b"x" * size)
    note = ("Proxy-Status", f'bearer-proxy; received-status=401; details="{expected}"')
    assert (401, [note], INVALID) == await answered(bench, response)
    assert (1, []) == (len(bench.vendor.sent), bench.credential.replays)


@pytest.mark.parametrize(
    "error", [RenewalDelayedError("acme", "it failed", 9.0), NotConfiguredError("acme", ["token_url"])]
)
async def test_renewal_that_is_backing_off(bench, error):
    """The caller gets our 503 in place of the 401."""
    bench.vendor.newest, bench.credential.error = 2, error
    with pytest.raises(type(error)):
        await bench.forward("POST", "/rc/a", b"x" * 50)
    assert ([1], 0) == (bench.closed(), bench.spool.used)


async def test_no_token(bench):
    """Nothing is sent."""
    bench.credential.generation = 0
    with pytest.raises(LoginRequiredError):
        await bench.forward("POST", "/rc/a", b"x")
    assert [] == bench.vendor.requests


@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_rejection_before_the_caller_has_finished(bench, reads):
    """The rest is read, then the whole body goes out again."""
    bench.vendor.reads = reads
    bench.vendor.answers = [Answer(401)]
    chunks = [b"x" * 20, b"y" * 20, b"z" * 20]
    assert (200, [], b"fine") == await answered(bench, await bench.forward("POST", "/rc/a", *chunks))
    assert [(1, b"".join(chunks[:reads])), (2, b"".join(chunks))] == bench.vendor.sent


@pytest.mark.parametrize(
    ("expected", "request_"),
    [
        (CallerNotAdmittedError, {"peer": "10.0.0.1"}),
        (CallerNotAdmittedError, {"peer": "10.0.0.1", "target": "/"}),
        (MethodNotImplementedError, {"method": "CONNECT"}),
        (MethodNotImplementedError, {"method": "TRACE"}),
        (NoRouteError, {"target": "/other"}),
        (BadTargetError, {"target": "/rc/%2e%2e/"}),
        (BadTargetError, {"target": "http://user@localhost/rc/a"}),
        (ForbiddenPathError, {"target": "/rc/api/v1/oauth2/token/"}),
    ],
)
async def test_request_that_is_refused(bench, expected, request_):
    """Nothing is sent, and no token is asked for."""
    bench.credential.generation = 0
    with pytest.raises(expected):
        await bench.forward(**request_)
    assert [] == bench.vendor.requests


@pytest.mark.parametrize("peer", ["", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_caller_on_this_machine(bench, peer):
    """It is admitted, by a unix socket too."""
    assert (200, [], b"fine") == await answered(bench, await bench.forward(peer=peer))
