"""An upstream's answer as the caller gets it: fields, links and notes together."""

import pytest

from proxy.config import CredentialConfig, Provider, RouteConfig, Upstream
from proxy.gateway.inward import inward
from proxy.gateway.message import Request
from proxy.gateway.routes import RouteTable, make_route
from tests.support.gateway import Answer, whole

ORIGIN = "https://api.acme.example"
JSON = ("Content-Type", "application/json")
LINKED = b'{"next": "https://api.acme.example/v/2"}'


def given(answer, *notes, map_links=False, method="GET"):
    """Give the response to a request for `/a/x` at a route `/a` to the upstream's `/v`."""
    config = RouteConfig("a", "acme", Upstream.parse(f"{ORIGIN}/v"), "/a")
    route = make_route(config, CredentialConfig("acme", Provider(map_links=map_links)))
    request = Request(method, "/a/x", [("Host", "localhost:8080")], host="localhost:8080")
    place = RouteTable([route]).place(method, request.target, request.host)
    return inward(answer, request, place, "", *notes)


async def test_answer():
    """It passes as it is, less what is not for the caller, and closing it closes the upstream's."""
    answer = Answer(404, b"a", b"b", headers=[("X", "1"), ("Connection", "close, Y"), ("Y", "2"), ("Alt-Svc", "x")])
    response = given(answer)
    assert (404, "Reason", [("X", "1")], answer) == (response.status, response.reason, response.headers, response.body)
    assert b"ab" == await whole(response.body)
    response.close()
    assert 1 == answer.closed


@pytest.mark.parametrize(("expected", "map_links"), [(b'{"next": "http://localhost:8080/a/2"}', True), (LINKED, False)])
async def test_links(expected, map_links):
    """In fields they become local always, in JSON where the provider says so: its length is then not known."""
    fields = [("Location", f"{ORIGIN}/v/3"), JSON, ("Content-Length", str(len(LINKED)))]
    answer = Answer(200, LINKED, headers=fields)
    answer.length = len(LINKED)
    response = given(answer, map_links=map_links)
    headers = dict(response.headers)
    assert "http://localhost:8080/a/3" == headers["Location"]
    assert (None if map_links else len(LINKED)) == response.length
    assert map_links != ("Content-Length" in headers)
    assert expected == await whole(response.body)


async def test_notes():
    """Ours replace the upstream's of that name, but for Proxy-Status, which is a list; the answer is not edited."""
    fields = [("retry-after", "9"), ("proxy-status", "theirs")]
    answer = Answer(401, headers=fields)
    response = given(answer, ("Proxy-Status", "ours"), ("Retry-After", "0"))
    assert [("proxy-status", "theirs"), ("Proxy-Status", "ours"), ("Retry-After", "0")] == response.headers
    assert [("retry-after", "9"), ("proxy-status", "theirs")] == fields
