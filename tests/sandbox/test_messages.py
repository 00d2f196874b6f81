"""How a call is read, without sockets."""

import pytest
from multidict import CIMultiDict

from proxy.sandbox.messages import Answer, Call, split_target
from proxy.sandbox.routing import Found, Missing, Routes


def call(target="/", body=b"", **headers):
    fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Call("POST", target, fields, body, 0.0)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/a/b", ("/a/b", "")),
        ("/a?b=c?d", ("/a", "b=c?d")),
        ("//a/%2F/../", ("//a/%2F/../", "")),
        ("http://v.example:1/a?b", ("/a", "b")),
        ("http://v.example", ("/", "")),
    ],
)
def test_targets(target, parts):
    """Nothing is decoded or resolved; absolute-form loses its authority."""
    assert parts == split_target(target)


@pytest.mark.parametrize(
    ("header", "bearer", "basic"),
    [
        ("bEaReR  t ", "t", None),
        ("Bearer", None, None),
        ("Basic YTpiOmM=", None, ("a", "b:c")),
        ("Basic !", None, None),
        ("Basic gA==", None, None),
        ("t", None, None),
    ],
)
def test_authorization(header, bearer, basic):
    """The scheme has no case; what cannot be read is nothing."""
    read = call(Authorization=header)
    assert (bearer, basic) == (read.bearer, read.basic)


@pytest.mark.parametrize("body", [None, b"", b"[1]", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_json_object(body):
    """There is no object in them, and no error comes of it."""
    assert call(body=body).json is None


def test_form_of_another_content_type():
    """It has no fields."""
    assert {} == call(body=b"a=b", Content_Type="text/plain").form
    assert {"a": "b", "c": ""} == call(body=b"a=b&c=", Content_Type="application/x-www-form-urlencoded; x").form


def test_repr():
    """It shows neither target, nor headers, nor body."""
    shown = repr(call("/?t=s3cret", b"s3cret", Authorization="s3cret")) + repr(Answer(200, b"s3cret", {"a": "s3cret"}))
    assert "s3cret" not in shown


def test_routes():
    """Slashes count, parameters are decoded, HEAD is served by GET, another method is named as such."""
    routes = Routes([("GET", "/a/{x}.json", 1), ("PUT", "/a/{x}.json", 2)])
    assert Found(1, {"x": "b/c"}) == routes.find("HEAD", "/a/b%2Fc.json")
    assert Found(2, {"x": "b"}) == routes.find("PUT", "/a/b.json")
    assert Missing(["GET", "PUT"]) == routes.find("POST", "/a/b.json")
    assert Missing() == routes.find("GET", "/a/b.json/")
