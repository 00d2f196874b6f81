"""What is remembered of a request for the next with the same head: where it goes, and nothing of its caller's."""

import pytest

from proxy.gateway.message import Arrived, Downstream, Request, Trail
from tests.support.gateway import INVALID, Answer, Bench

RAW = b"GET /rc/a HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n\r\n"


@pytest.fixture
async def bench(tmp_path):
    return Bench(tmp_path)


def request(target="/rc/a", *, body=None, length=None, **more):
    made = Request("GET", target, [("Host", "localhost"), ("X", "1")], host="localhost", raw=RAW)
    made.downstream = Downstream(address="127.0.0.1")
    made.length, made.has_body, made.body = length, body is not None, body
    for name, value in more.items():
        setattr(made, name, value)
    return made


async def test_same_head(bench):
    """The plan is used again; the token, which is not part of it, is the newest, and each has its own trail."""
    bench.vendor.answers = [Answer(401, INVALID)]
    first, second = request(), request()
    (await bench.take(first)).close()
    (await bench.take(second)).close()
    assert [1, 2, 2] == [generation for generation, _ in bench.vendor.sent]
    assert 1 == len({id(sent) for sent in bench.vendor.requests})
    assert "token" not in repr(bench.vendor.requests[0])
    assert (True, False, "readycloud") == (first.trail.replayed, second.trail.replayed, second.trail.route)
    assert [] == [name for name, _ in bench.vendor.requests[0].headers if name.lower() == "authorization"]


async def test_same_head_with_other_bodies(bench):
    """Each body goes out with its own request, and is not remembered."""
    for data in (b"abc", b"def"):
        (await bench.take(request(body=Arrived(data), length=3))).close()
    (plan,) = bench.take._plans.values()
    assert [(1, b"abc"), (1, b"def")] == bench.vendor.sent
    assert plan.outgoing.body is None
    assert 0 == bench.spool.used


async def test_same_head_on_another_listener(bench):
    """What one leads to says nothing of the other."""
    (await bench.take(request())).close()
    with pytest.raises(Exception, match="no route"):
        await bench.take(request(downstream=Downstream("127.0.0.1:8066", address="127.0.0.1")))
    assert 1 == len(bench.vendor.sent)


async def test_same_head_from_a_caller_who_is_not_admitted(bench):
    """Who may call is asked each time."""
    (await bench.take(request())).close()
    with pytest.raises(Exception, match="not admitted"):
        await bench.take(request(downstream=Downstream(address="10.0.0.1")))
    assert 1 == len(bench.vendor.sent)


async def test_route_to_an_organization(bench):
    """It is not remembered: the organization is asked for each time."""
    for key in ("ONE", "TWO"):
        bench.organization.key = key
        (await bench.take(request("/orders"))).close()
    assert (["/api/v2/orgs/ONE/orders", "/api/v2/orgs/TWO/orders"], {}) == (bench.vendor.targets, bench.take._plans)


async def test_head_that_did_not_come_at_once(bench):
    """It has no bytes to be known by, and is no other's."""
    for target in ("/rc/a", "/rc/b"):
        (await bench.take(request(target, raw=b"", trail=Trail()))).close()
    assert (["/a", "/b"], {}) == (bench.vendor.targets, bench.take._plans)
