"""One value alone: what each key takes, and what it says to anything else."""

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.config import fields
from proxy.config.address import Address

DURATION = "a duration is a number of seconds, or one with a unit: 500ms, 20s, 5m, 1h, 1d"
SIZE = "a size is a number of bytes, or one with a unit: 64k, 16m, 1g"
SECRET = "a secret is a text: put it in quotes"
CONTROL = "a secret has no control characters and no line breaks"
PREFIX = "a prefix is a path of whole segments, such as /readycloud, without %, ?, # or //"
DOTS = "a prefix has no . or .. segment"
HOST = "a host is a name without a port, such as readycloud.internal"
METHODS = "methods is a list such as [GET, HEAD]"
SCOPES = "scopes is a list of names, such as [order, company-read_only]"
URL = "a URL is plain ASCII without blanks, and has no # here"
FRAGMENT = "a redirect URI has no # (RFC 6749 section 3.1.2)"
ORG = "an Org ID is one segment of a path, without /"
ADDRESSES = "an address is written host:port or unix:/path, or a list of such"


def taken(kind, value):
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("expected", "kind", "value"),
    [
        (20.0, fields.Duration, 20),
        (1.5, fields.Duration, 1.5),
        (0.0, fields.Duration, "0"),
        (20.0, fields.Duration, "20"),
        (20.0, fields.Duration, " 20 s "),
        (0.5, fields.Duration, "500ms"),
        (90.0, fields.Duration, "1.5m"),
        (3600.0, fields.Duration, "1h"),
        (86400.0, fields.Duration, "1d"),
        (0, fields.Size, 0),
        (65536, fields.Size, 65536),
        (65536, fields.Size, "64k"),
        (65536, fields.Size, "64 KiB"),
        (65536, fields.Size, "64kb"),
        (16 << 20, fields.Size, "16M"),
        (1 << 30, fields.Size, "1g"),
        ((Address("localhost", 80),), fields.Addresses, "localhost:80"),
        ((Address("a", 1), Address(path="/b")), fields.Addresses, ["a:1", " unix:/b "]),
        ((), fields.AdminAddresses, None),
        ((), fields.AdminAddresses, ""),
        ((Address("::1", 1),), fields.AdminAddresses, "[::1]:1"),
        ("/a", fields.Prefix, "/a"),
        ("/a", fields.Prefix, "/a/"),
        ("/", fields.Prefix, "/"),
        ("/a/b.c/~d", fields.Prefix, "/a/b.c/~d"),
        ("/...", fields.Prefix, "/..."),
        ("readycloud.internal", fields.Hostname, "ReadyCloud.Internal"),
        ("[::1]", fields.Hostname, "[::1]"),
        (("GET", "HEAD"), fields.Methods, ["get", "HEAD", "GET"]),
        (("GET",), fields.Methods, "GET"),
        (("order", "company-read_only"), fields.Scopes, ["order", "company-read_only"]),
        (("order", "a:b"), fields.Scopes, " order,  a:b "),
        ((), fields.Scopes, ""),
        ((), fields.Scopes, []),
        ("https://x.example/t?a=b", fields.Url, " https://x.example/t?a=b "),
        ("", fields.Url, ""),
        ("", fields.RedirectUri, None),
        (fields.OOB, fields.RedirectUri, f" {fields.OOB} "),
        ("https://x.example/callback?a=b", fields.RedirectUri, " https://x.example/callback?a=b "),
        ("", fields.OrgKey, ""),
        ("", fields.OrgKey, None),
        ("4711", fields.OrgKey, 4711),
        ("a-b_c.d~%2B", fields.OrgKey, " a-b_c.d~%2B "),
        ("...", fields.OrgKey, "..."),
        ("", fields.OrgsPath, ""),
        ("/api/v2/orgs/", fields.OrgsPath, "/api/v2/orgs"),
        ("/api/v2/orgs/", fields.OrgsPath, "/api/v2/orgs/"),
        ("/", fields.OrgsPath, "/"),
    ],
)
def test_value(expected, kind, value):
    """A value is taken in every form that a person would write it in."""
    assert expected == taken(kind, value)


@pytest.mark.parametrize(
    ("expected", "kind", "values"),
    [
        (DURATION, fields.Duration, [-1, "-1s", "1w", "1 2", "s", "", True, None, [1], {}, "1e3", float("inf"), "inf"]),
        (SIZE, fields.Size, [-1, "1.5k", "1t", "", "k", True, None, [1], {}]),
        (SECRET, fields.SecretText, [True, 1.5, ["CANARY"], {"a": "CANARY"}]),
        (CONTROL, fields.SecretText, ["a\nb", "a\x00", "\x1b[1m", "\ud800", "a\u2028b"]),
        (ADDRESSES, fields.Addresses, [8080, None, [], [1], {"a": 1}, True]),
        (ADDRESSES, fields.AdminAddresses, [8080, [], False]),
        (PREFIX, fields.Prefix, ["", "a", "//", "/a//b", "/a%2Fb", "/a?b", "/a#b", "/a b", "/\u00e4", "/a;b", None, 5]),
        (PREFIX, fields.Prefix, ["/a\n", "/a\\b", ["/a"]]),
        (DOTS, fields.Prefix, ["/.", "/..", "/a/../b", "/./a"]),
        (HOST, fields.Hostname, ["", "a:1", "a/b", "a b", "-a", "a.", "\u00e4.example", 5, None, "a\n"]),
        (METHODS, fields.Methods, [[], "", ["G T"], [5], 5, [None], ["GET,HEAD"]]),
        (SCOPES, fields.Scopes, [5, ["a b"], ['a"b'], ["a\\b"], [5], {"a": 1}, "\u00e4"]),
        ("a URL is a text", fields.Url, [5, ["https://x.example"]]),
        (URL, fields.Url, ["https://x.example/?a#b", "https://x.example/?a b", "https://x.example/?\u00e4"]),
        (URL, fields.Url, ["https://x.example/?a\r\nb", "https://x.example/?\x00", "https://x.example/?\x7f"]),
        (FRAGMENT, fields.RedirectUri, ["https://x.example/callback#", "#", "https://x.example/?a#b"]),
        (ORG, fields.OrgKey, ["a/b", "..", ".", "%2e%2E", ".%2e", "a b", "a?b", "a#b", "a;b", "%", "%2", "\u00e4"]),
        (ORG, fields.OrgKey, [["a"], {"a": 1}, "a\nb", "{org_pk}", "@me", "..%3fx", "..%23", "a%00"]),
        (PREFIX, fields.OrgsPath, ["orgs", "/orgs?a", "//orgs", 5, ["/orgs"]]),
        (DOTS, fields.OrgsPath, ["/a/../b"]),
    ],
)
def test_bad_value(expected, kind, values):
    """Anything else is refused in our words, which never repeat it."""
    for value in values:
        with pytest.raises(ValidationError) as caught:
            taken(kind, value)
        assert [expected] == [str(item["ctx"]["error"]) for item in caught.value.errors()], value


@pytest.mark.parametrize(
    ("expected", "value"), [("word", " word\n"), ("5", "5"), ("", ""), ("", None), ("p\u00e4ss w", "p\u00e4ss w")]
)
def test_secret(expected, value):
    """A secret loses the white space around it and nothing else."""
    assert expected == taken(fields.SecretText, value).reveal()


@pytest.mark.parametrize(
    ("matches", "name"),
    [
        (True, "a"),
        (True, "9.a-b_c"),
        (True, "a" * 64),
        (False, "a" * 65),
        (False, ""),
        (False, ".a"),
        (False, "-a"),
        (False, "a b"),
        (False, "a/b"),
        (False, "a\n"),
        (False, "\u00e4"),
    ],
)
def test_name(matches, name):
    """A name fits into a URL, a label and a file name as it is."""
    try:
        accepted = name == taken(fields.Name, name)
    except ValidationError:
        accepted = False
    assert matches is accepted
