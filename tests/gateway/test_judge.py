"""What counts as a rejection: heads and bodies by tables, with both sides of each limit."""

import gzip
import json
import time

import pytest

from proxy.gateway.judge import LOOK, Verdict, judge_body, judge_head

INVALID = b'{"error": "invalid_token", "error_description": "Token is expired"}'
CHALLENGE = [("WWW-Authenticate", 'Bearer realm="", error="invalid_token", error_description="Token is expired"')]
GZIP = [("Content-Encoding", "gzip")]
SLOW = 0.25  # seconds of processor time: a hundred times what a body of LOOK bytes needs


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("jsonp", [False, True])
@pytest.mark.parametrize(
    "headers",
    [[], CHALLENGE, [("Content-Encoding", "br")], [("WWW-Authenticate", "Basic")], [("Content-Length", "99999")]],
)
def test_401(method, jsonp, headers):
    """Any is a rejection, whatever else it says."""
    assert Verdict.REJECTED is judge_head(method, 401, headers, jsonp=jsonp)


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        *((Verdict.LOOK, status) for status in (400, 402, 403, 404, 422, 429, 499)),
        *((Verdict.ACCEPTED, status) for status in (200, 201, 204, 206, 301, 302, 304, 399, 500, 502, 503)),
    ],
)
def test_status(expected, status):
    """Only another 4xx is worth a look into its body."""
    assert expected is judge_head("GET", status, [], jsonp=False)


@pytest.mark.parametrize("status", [400, 403, 404, 499])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "value",
    [
        'Bearer error="invalid_token"',
        "Bearer error=invalid_token",
        'bearer realm="x", ERROR = "Invalid_Token", scope="a"',
        'Basic realm="x", Bearer error="invalid_token"',
        'Bearer realm="a \\"b\\"", error="invalid_token"',
    ],
)
def test_challenge(method, status, value):
    """A 4xx that names invalid_token in its challenge is a rejection by its head."""
    headers = [("www-authenticate", "Basic"), ("WWW-Authenticate", value)]
    assert Verdict.REJECTED is judge_head(method, status, headers, jsonp=False)


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        'Bearer error="insufficient_scope"',
        'Bearer error_description="invalid_token"',
        'Bearer realm="invalid_token"',
        'Bearer xerror="invalid_token"',
        'Bearer error="invalid_token_type"',
        "Bearer error=invalid_tokens",
        'Bearer error="insufficient_scope", error_description="this is no error=invalid_token"',
        'Bearer realm="error=invalid_token"',
    ],
)
def test_challenge_that_says_something_else(value):
    """It is no rejection by its head: only the parameter `error` counts, and only that word."""
    assert Verdict.LOOK is judge_head("GET", 403, [("WWW-Authenticate", value)], jsonp=False)


@pytest.mark.parametrize("value", ["a" * (16 << 10), "a" + " " * (64 << 10), 'a="' * 20_000, 'a="' + "\\" * (64 << 10)])
def test_challenge_made_to_be_slow(value):
    """Judging takes a time in proportion to the field, for it holds up everyone else."""
    began = time.process_time()
    assert Verdict.LOOK is judge_head("GET", 403, [("WWW-Authenticate", value)], jsonp=False)
    assert SLOW > time.process_time() - began


def test_challenge_on_success():
    """It means nothing outside 4xx."""
    assert [Verdict.ACCEPTED] * 3 == [judge_head("GET", status, CHALLENGE, jsonp=False) for status in (200, 302, 503)]


@pytest.mark.parametrize(
    ("expected", "status"), [(Verdict.LOOK, 200), (Verdict.ACCEPTED, 201), (Verdict.ACCEPTED, 500)]
)
def test_jsonp_status(expected, status):
    """Of the answers to a request with a callback only a 200 wraps an error."""
    assert expected is judge_head("GET", status, [], jsonp=True)


@pytest.mark.parametrize(
    ("expected", "headers"),
    [
        (Verdict.LOOK, [("content-encoding", "GZIP")]),
        (Verdict.LOOK, [("Content-Encoding", "x-gzip")]),
        (Verdict.LOOK, [("Content-Encoding", "identity")]),
        (Verdict.ACCEPTED, [("Content-Encoding", "br")]),
        (Verdict.ACCEPTED, [("Content-Encoding", "gzip, gzip")]),
        (Verdict.LOOK, [("Content-Length", str(LOOK))]),
        (Verdict.ACCEPTED, [("Content-Length", str(LOOK + 1))]),
        (Verdict.LOOK, [("Content-Length", "0")]),
        (Verdict.LOOK, [("Content-Length", "nonsense")]),
        (Verdict.LOOK, [("Content-Length", "\u00b2")]),
        (Verdict.ACCEPTED, [("Content-Length", "9" * 5000)]),
    ],
)
@pytest.mark.parametrize(("status", "jsonp"), [(400, False), (200, True)])
def test_body_that_is_worth_a_look(expected, headers, status, jsonp):
    """It is short, or of unknown length, and written in a way that we can read."""
    assert expected is judge_head("GET", status, headers, jsonp=jsonp)


@pytest.mark.parametrize(("status", "jsonp"), [(400, False), (200, True)])
def test_head(status, jsonp):
    """There is no body to look into."""
    assert Verdict.ACCEPTED is judge_head("HEAD", status, [], jsonp=jsonp)


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (True, INVALID),
        (True, b' \r\n\t{"a": {}, "error": "invalid_token"}\n'),
        (True, b'{"\\u0065rror": "invalid\\u005ftoken"}'),
        (True, INVALID.ljust(LOOK)),
        (False, b""),
        (False, b"{}"),
        (False, b"{"),
        (False, INVALID[:-1]),
        (False, INVALID + b"x"),
        (False, b'"invalid_token"'),
        (False, b"[" + INVALID + b"]"),
        (False, b'{"data": ' + INVALID + b"}"),
        (False, b'{"error": ["invalid_token"]}'),
        (False, b'{"error": {"error": "invalid_token"}}'),
        (False, b'{"error": "Invalid_Token"}'),
        (False, b'{"error": "invalid_grant", "error_description": "invalid_token"}'),
        (False, b'{"ERROR": "invalid_token"}'),
        (False, b"error=invalid_token"),
        (False, b"f(" + INVALID + b");"),
        (False, b'{"error": "\xff"}'),
        (False, b'{"a":' * (LOOK // 5)),
        (False, b'{"a": ' + b"[" * (LOOK - 6)),
        (False, b'{"a": ' + b"9" * (LOOK - 7) + b"}"),
        (False, gzip.compress(INVALID, mtime=0)),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 429])
def test_body(expected, body, status):
    """Only a JSON object whose own `error` is invalid_token is a rejection; nothing raises."""
    assert expected is judge_body(status, [], body)


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (True, b"foo(" + INVALID + b");"),
        (True, b"foo(" + INVALID + b")"),
        (True, b"/**/ jQuery_1.cb[0] ( " + INVALID + b" ) ;\n"),
        (True, b"$(" + INVALID + b")"),
        (True, b'f({"error": "invalid_token", "a": "})"})'),
        (False, INVALID),
        (False, b"(" + INVALID + b")"),
        (False, b"foo(" + INVALID),
        (False, b"foo(" + INVALID + b"]"),
        (False, b"foo(" + INVALID + b"); bar()"),
        (False, b"foo(" + INVALID + b"," + INVALID + b")"),
        (False, b'foo({"data": ' + INVALID + b"})"),
        (False, b'foo({"error": "invalid_request"})'),
        (False, b'foo("invalid_token")'),
        (False, b'foo({"text": "f({\\"error\\": \\"invalid_token\\"})"})'),
        (False, b""),
    ],
)
def test_jsonp_body(expected, body):
    """It is a rejection when it is one call around such an object, and nothing beside it."""
    assert expected is judge_body(200, [], body)


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (True, gzip.compress(INVALID, mtime=0)),
        (True, gzip.compress(json.dumps({"error": "invalid_token", "a": "x" * (LOOK - 60)}).encode(), mtime=0)),
        (False, gzip.compress(json.dumps({"error": "invalid_token", "a": "x" * LOOK}).encode(), mtime=0)),
        (False, gzip.compress(b'{"a": "' + b"x" * (1 << 24), mtime=0)),
        (False, INVALID),
        (False, gzip.compress(INVALID, mtime=0)[:20]),
        (False, b"\x1f\x8b"),
        (False, b""),
    ],
)
@pytest.mark.parametrize("name", ["gzip", "GZIP", "x-gzip"])
def test_body_in_gzip(expected, body, name):
    """It is unpacked for judging, no further than the limit."""
    assert expected is judge_body(400, [("Content-Encoding", name)], body)


def test_jsonp_in_gzip():
    """Both wrappings come off."""
    assert judge_body(200, GZIP, gzip.compress(b"cb(" + INVALID + b");"))


@pytest.mark.parametrize(
    "body",
    [
        b" " * LOOK,
        b"f({}" + b" " * (LOOK - 4),
        b"f({})" + b" " * (LOOK - 6) + b"x",
        b"a" * LOOK,
        b"f({" + b"})" * (LOOK // 2 - 2),
        (b"f({" + b"})          " * LOOK)[:LOOK],
    ],
)
def test_jsonp_body_made_to_be_slow(body):
    """Judging takes a time in proportion to the body, for it holds up everyone else."""
    began = time.process_time()
    assert not judge_body(200, [], body)
    assert SLOW > time.process_time() - began
