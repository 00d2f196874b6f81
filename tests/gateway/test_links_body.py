"""Whether an answer's body is mapped, what the upstream is asked for that it can be, and the head it then has."""

import pytest

from proxy.gateway.links import accepted_encodings, is_gzip, json_head, maps_body

JSON = [("Content-Type", "application/json")]


def maps(*fields, status=200, asked=()):
    return maps_body(status, list(asked), list(fields))


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON;Charset=UTF-8",
        'application/json ; charset="utf-8"; profile=x',
        "text/json; charset=iso-8859-1",
        "application/problem+json; charset=us-ascii",
        "application/vnd.acme.v2+json; charset=windows-1252",
        "model/gltf+json; charset=utf8",
    ],
)
def test_json(kind):
    """JSON under each of its names is mapped, in a charset in which ASCII is ASCII."""
    assert maps(("content-type", kind))


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "json",
        "text/html",
        "application/jsonp",
        "application/javascript",
        "application/x-ndjson",
        "application/jsonl",
        "application/json-seq",
        "application/geo+json-seq",
        "multipart/mixed; a=application/json",
        "application/json, text/html",
        "application/json; charset=utf-16",
        "application/json; charset=utf-16le",
        'application/json; charset="UTF-32"',
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=shift_jis",
        "application/json; charset=iso-2022-jp",
        "application/json; charset=ibm037",
    ],
)
def test_what_is_not_json(kind):
    """Everything else passes, and JSON in a charset that a search for ASCII would misread."""
    assert not maps(("Content-Type", kind))
    assert not maps()


@pytest.mark.parametrize("status", [100, 201, 203, 204, 206, 226, 301, 304, 400, 401, 500])
def test_another_status(status):
    """Only a 200 is mapped."""
    assert not maps(*JSON, status=status)


def test_range():
    """An answer to a request for a range passes, a whole one too."""
    assert maps(*JSON, asked=[("If-Range", "x"), ("Accept", "*/*")])
    assert not maps(*JSON, asked=[("Accept", "*/*"), ("range", "bytes=0-")])


@pytest.mark.parametrize(
    ("expected", "zipped", "codings"),
    [
        (True, False, []),
        (True, False, [""]),
        (True, False, ["identity"]),
        (True, True, ["gzip"]),
        (True, True, [" X-GZip "]),
        (False, False, ["br"]),
        (False, False, ["deflate"]),
        (False, False, ["gzip, br"]),
        (False, False, ["gzip", "gzip"]),
        (False, False, ["aws-chunked"]),
    ],
)
def test_coding(expected, zipped, codings):
    """What is not compressed is mapped, and one layer of gzip."""
    fields = [*JSON, *(("Content-Encoding", coding) for coding in codings)]
    assert expected == maps(*fields)
    assert zipped == is_gzip(fields)


def test_head_of_a_mapped_body():
    """What tells a length, a range, a coding or a digest of other bytes is dropped; all else stays."""
    kept = [*JSON, ("X-Content-Length", "1"), ("Vary", "Accept-Encoding"), ("Last-Modified", "x"), ("vary", "Cookie")]
    dropped = ["Content-Length", "content-length", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"]
    dropped += ["Unencoded-Digest", "Accept-Ranges"]
    fields = [*kept[:2], *((name, "1") for name in dropped), *kept[2:]]
    assert kept == json_head(fields)
    assert kept == json_head([*fields, ("content-encoding", "gzip")])
    assert [*kept, ("Content-Encoding", "identity")] == json_head([*fields, ("Content-Encoding", "identity")])


@pytest.mark.parametrize(("expected", "etag"), [('W/"x"', '"x"'), ('W/"x"', 'W/"x"'), ("W/x", "x"), ('W/""', '""')])
def test_etag_of_a_mapped_body(expected, etag):
    """It is weak: the bytes are no longer those that it was made for (RFC 9110 section 8.8.1)."""
    assert [("etag", expected), ("If-Match", etag)] == json_head([("etag", etag), ("If-Match", etag)])


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["gzip"],
        ["GZIP;q=0.5 , identity;q=0"],
        ["x-gzip,,", "identity"],
        ["gzip;q=0"],
        ["gzip, br;q=0, *; q=0.000"],
        ["*;q=0"],
    ],
)
def test_accept_encoding_that_can_be_met(values):
    """One that offers nothing but gzip passes as it is."""
    fields = [("Accept", "br"), *(("Accept-Encoding", value) for value in values), ("A", "1")]
    assert fields == accepted_encodings(fields)


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("gzip", ["gzip, deflate, br, zstd"]),
        ("gzip", ["deflate", "GZip;q=0.1"]),
        ("gzip", ["br;q=1.0, X-Gzip"]),
        ("gzip", ["*"]),
        ("gzip", ["gzip;q=0.0, x-gzip, *;q=0.5"]),
        ("gzip", ["gzip;q=0.001, br"]),
        ("identity", ["br"]),
        ("identity", ["br, gzip;q=0"]),
        ("identity", ["*, gzip; Q=0.0"]),
        ("identity", ["gzip;q=0,*;q=0.1"]),
        ("identity", ["br, *;q=0", "identity"]),
        ("identity", ["nonsense"]),
    ],
)
def test_accept_encoding_that_cannot(expected, values):
    """It is narrowed to gzip where the caller takes that, else to no coding at all, in one field."""
    fields = [("A", "1"), *(("accept-Encoding", value) for value in values), ("B", "1")]
    assert [("A", "1"), ("accept-Encoding", expected), ("B", "1")] == accepted_encodings(fields)
