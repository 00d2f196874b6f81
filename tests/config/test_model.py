"""One value alone: what each key takes, and what it says to anything else."""

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.config import model
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
        (20.0, model.Duration, 20),
        (1.5, model.Duration, 1.5),
        (0.0, model.Duration, "0"),
        (20.0, model.Duration, "20"),
        (20.0, model.Duration, " 20 s "),
        (0.5, model.Duration, "500ms"),
        (90.0, model.Duration, "1.5m"),
        (3600.0, model.Duration, "1h"),
        (86400.0, model.Duration, "1d"),
        (0, model.Size, 0),
        (65536, model.Size, 65536),
        (65536, model.Size, "64k"),
        (65536, model.Size, "64 KiB"),
        (65536, model.Size, "64kb"),
        (16 << 20, model.Size, "16M"),
        (1 << 30, model.Size, "1g"),
        ((Address("localhost", 80),), model.Addresses, "localhost:80"),
        ((Address("a", 1), Address(path="/b")), model.Addresses, ["a:1", " unix:/b "]),
        ((), model.AdminAddresses, None),
        ((), model.AdminAddresses, ""),
        ((Address("::1", 1),), model.AdminAddresses, "[::1]:1"),
        ("/a", model.Prefix, "/a"),
        ("/a", model.Prefix, "/a/"),
        ("/", model.Prefix, "/"),
        ("/a/b.c/~d", model.Prefix, "/a/b.c/~d"),
        ("/...", model.Prefix, "/..."),
        ("readycloud.internal", model.Hostname, "ReadyCloud.Internal"),
        ("[::1]", model.Hostname, "[::1]"),
        (("GET", "HEAD"), model.Methods, ["get", "HEAD", "GET"]),
        (("GET",), model.Methods, "GET"),
        (("order", "company-read_only"), model.Scopes, ["order", "company-read_only"]),
        (("order", "a:b"), model.Scopes, " order,  a:b "),
        ((), model.Scopes, ""),
        ((), model.Scopes, []),
        ("https://x.example/t?a=b", model.Url, " https://x.example/t?a=b "),
        ("", model.Url, ""),
        ("", model.RedirectUri, None),
        (model.OOB, model.RedirectUri, f" {model.OOB} "),
        ("https://x.example/callback?a=b", model.RedirectUri, " https://x.example/callback?a=b "),
        ("", model.OrgKey, ""),
        ("", model.OrgKey, None),
        ("4711", model.OrgKey, 4711),
        ("a-b_c.d~%2B", model.OrgKey, " a-b_c.d~%2B "),
        ("...", model.OrgKey, "..."),
        ("", model.OrgsPath, ""),
        ("/api/v2/orgs/", model.OrgsPath, "/api/v2/orgs"),
        ("/api/v2/orgs/", model.OrgsPath, "/api/v2/orgs/"),
        ("/", model.OrgsPath, "/"),
    ],
)
def test_value(expected, kind, value):
    """A value is taken in every form that a person would write it in."""
    assert expected == taken(kind, value)


@pytest.mark.parametrize(
    ("expected", "kind", "values"),
    [
        (DURATION, model.Duration, [-1, "-1s", "1w", "1 2", "s", "", True, None, [1], {}, "1e3", float("inf"), "inf"]),
        (SIZE, model.Size, [-1, "1.5k", "1t", "", "k", True, None, [1], {}]),
        (SECRET, model.SecretText, [True, 1.5, ["CANARY"], {"a": "CANARY"}]),
        (CONTROL, model.SecretText, ["a\nb", "a\x00", "\x1b[1m", "\ud800", "a\u2028b"]),
        (ADDRESSES, model.Addresses, [8080, None, [], [1], {"a": 1}, True]),
        (ADDRESSES, model.AdminAddresses, [8080, [], False]),
        (PREFIX, model.Prefix, ["", "a", "//", "/a//b", "/a%2Fb", "/a?b", "/a#b", "/a b", "/\u00e4", "/a;b", None, 5]),
        (PREFIX, model.Prefix, ["/a\n", "/a\\b", ["/a"]]),
        (DOTS, model.Prefix, ["/.", "/..", "/a/../b", "/./a"]),
        (HOST, model.Hostname, ["", "a:1", "a/b", "a b", "-a", "a.", "\u00e4.example", 5, None, "a\n"]),
        (METHODS, model.Methods, [[], "", ["G T"], [5], 5, [None], ["GET,HEAD"]]),
        (SCOPES, model.Scopes, [5, ["a b"], ['a"b'], ["a\\b"], [5], {"a": 1}, "\u00e4"]),
        ("a URL is a text", model.Url, [5, ["https://x.example"]]),
        (URL, model.Url, ["https://x.example/?a#b", "https://x.example/?a b", "https://x.example/?\u00e4"]),
        (URL, model.Url, ["https://x.example/?a\r\nb", "https://x.example/?\x00", "https://x.example/?\x7f"]),
        (FRAGMENT, model.RedirectUri, ["https://x.example/callback#", "#", "https://x.example/?a#b"]),
        (ORG, model.OrgKey, ["a/b", "..", ".", "%2e%2E", ".%2e", "a b", "a?b", "a#b", "a;b", "%", "%2", "\u00e4"]),
        (ORG, model.OrgKey, [["a"], {"a": 1}, "a\nb", "{org_pk}", "@me"]),
        (PREFIX, model.OrgsPath, ["orgs", "/orgs?a", "//orgs", 5, ["/orgs"]]),
        (DOTS, model.OrgsPath, ["/a/../b"]),
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
    assert expected == taken(model.SecretText, value).reveal()


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
        accepted = name == taken(model.Name, name)
    except ValidationError:
        accepted = False
    assert matches is accepted
