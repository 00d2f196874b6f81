"""Request targets: what is split, refused, judged and cut out, and that no other byte is touched."""

import itertools

import pytest

from proxy.errors import BadTargetError
from proxy.gateway.target import (
    hostname,
    is_at_or_below,
    judged,
    parameter_name,
    parameter_names,
    split_target,
    without_parameters,
)

NAMES = frozenset({"access_token", "bearer_token"})
DOTS = (".", "%2e", "%2E")
SLASHES = ("/", "%2f", "%2F", "\\", "%5c", "%5C")


@pytest.mark.parametrize(
    ("expected", "target"),
    [
        ((None, "/", ""), "/"),
        ((None, "/a/b", ""), "/a/b"),
        ((None, "/a", "?"), "/a?"),
        ((None, "/a", "??"), "/a??"),
        ((None, "/a", "?b=/c?d"), "/a?b=/c?d"),
        ((None, "/%2F%2f+%", "?%zz"), "/%2F%2f+%?%zz"),
        ((None, "//evil.example/a", ""), "//evil.example/a"),
        ((None, "/http://evil.example/", ""), "/http://evil.example/"),
        ((None, "/a@b:c/", ""), "/a@b:c/"),
        ((None, "/caf\u00e9", ""), "/caf\u00e9"),
        ((None, "/a\\b;c", ""), "/a\\b;c"),
        (("h", "/", ""), "http://h"),
        (("h:80", "/", "?a"), "http://h:80?a"),
        (("H", "/A", "?"), "HTTPS://H/A?"),
        (("h", "//evil.example", ""), "http://h//evil.example"),
        (("[::1]:80", "/a", "?b"), "http://[::1]:80/a?b"),
        (("user:pw@h", "/", ""), "http://user:pw@h/"),
        (("h\\@evil.example", "/", ""), "http://h\\@evil.example/"),
        (("h", "/", "?@evil.example/"), "http://h?@evil.example/"),
    ],
)
def test_target(expected, target):
    """Origin form and absolute form give an authority, a path and a query, byte for byte."""
    assert expected == split_target(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "?a",
        "h:443",
        "http:",
        "http:/a",
        "ftp://h/a",
        "\\\\h\\a",
        " /a",
        "/a#b",
        "/a?b#c",
        "http://h#/a",
        "http://h/a#",
        *(f"/a{chr(control)}b" for control in (*range(0x21), 0x7F)),
        *(f"http://h/a?{chr(control)}" for control in (*range(0x21), 0x7F)),
        *(f"/a?{chr(surrogate)}" for surrogate in (0xD800, 0xDC80, 0xDCFF)),
    ],
)
def test_target_that_is_malformed(target):
    """What is no path, or holds a byte that has to be percent-encoded, is refused."""
    with pytest.raises(BadTargetError, match="the request target must be a path"):
        split_target(target)


@pytest.mark.parametrize(
    ("expected", "authority"),
    [
        ("", ""),
        ("h", "h"),
        ("h.example", "H.Example:8080"),
        ("h", "h:"),
        ("h", "h."),
        ("h", "h.:80"),
        ("h", " h:80 "),
        ("[::1]", "[::1]"),
        ("[::ffff:7f00:1]", "[::FFFF:7F00:1]:8080"),
    ],
)
def test_hostname(expected, authority):
    """The host comes in lower case, without port and without a final dot."""
    assert expected == hostname(authority)


@pytest.mark.parametrize(
    "authority",
    [
        "user@h",
        "user:pw@h",
        "h@evil.example",
        "h:80@evil.example",
        "h:80:81",
        "h:http",
        "h:-1",
        "h:123456",
        "h/a",
        "h?a",
        "h#a",
        "h h",
        "h\tevil.example",
        "a, b",
        "::1",
        "[::1",
        "::1]",
        "[::1]h",
        "[h]",
        "[::1%25lo]",
        "[]",
    ],
)
def test_hostname_that_is_malformed(authority):
    """Userinfo, a second name and anything else that is no host with a port are refused."""
    with pytest.raises(BadTargetError, match="the Host field is not a host"):
        hostname(authority)


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ((), "/"),
        ((), "////"),
        (("a", "b"), "/a/b"),
        (("a", "b"), "/a/b/"),
        (("a", "b"), "//a//b//"),
        (("a", "b"), "/A/%42"),
        (("a", "b"), "/a%2Fb"),
        (("a", "b"), "/a%5cb"),
        (("a", "b"), "\\a\\b"),
        (("a", "b"), "/a;x=1/b;"),
        (("a", "b"), "/a%3Bx=1%2Fb"),
        (("a",), "/;/a/;x/"),
        (("a", "b"), "/a%20/%00b%09"),
        (("...",), "/..."),
        (("..a", "a..", ".a"), "/..a/a../.a"),
        (("%2e%2e",), "/%252e%252e"),
        (("a%", "%zz", "%2"), "/a%/%zz/%2"),
        (("a", "c"), "/a%3fb/c%23d"),
        (("caf\u00e3\u00a9",), "/caf\u00c3\u00a9"),
        (("caf\u00e3\u00a9", "x"), "/caf\u00c3\u00a9/%78"),
        (("caf\u00e3\u00a9",), "/caf%C3%A9"),
    ],
)
def test_judged_path(expected, path):
    """Decoded once, a backslash read as a slash, `;` and what follows dropped, case and empty segments ignored."""
    assert expected == judged(path)


@pytest.mark.parametrize(
    "path",
    [
        *(f"/a/{one}{other}/b" for one, other in itertools.product(DOTS, DOTS)),
        *(f"/a/{one}/b" for one in DOTS),
        *(f"/a{one}..{other}b" for one, other in itertools.product(SLASHES, SLASHES)),
        *(
            f"/a/..{end}"
            for end in ("", "/", "\\", "%2f", ";", ";/", ";x=y", "%3b", "%3Bx/b", "%00", "%20", "%09", "%0a")
        ),
        *(f"/a/{start}../b" for start in ("%20", "%00", "%0d%0a")),
        "/..",
        "/.",
        "\\..",
        "..",
        "/a//../b",
        "/a/;/../b",
        "/a/..;.;/b",
        "/a/.;x/b",
        "/a%2f%2e%2e%2fb",
        "/a%5C%2E%2e%5cb",
        "/..%2f..%2f..%5c",
    ],
)
def test_path_that_climbs(path):
    """A `.` or `..` segment in any spelling is refused, never resolved."""
    with pytest.raises(BadTargetError, match=r"a path with \. or \.\. segments"):
        judged(path)


@pytest.mark.parametrize(
    ("expected", "segments", "places"),
    [
        (True, ("oauth",), {("oauth",)}),
        (True, ("oauth", "token"), {("oauth",)}),
        (True, ("b",), {("a",), ("b",)}),
        (False, ("oauth2",), {("oauth",)}),
        (False, ("a", "oauth"), {("oauth",)}),
        (False, ("api",), {("api", "oauth")}),
        (False, (), {("oauth",)}),
    ],
)
def test_place(expected, segments, places):
    """A place holds itself and all below it, by whole segments."""
    assert expected is is_at_or_below(segments, places)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "??",
        "?&",
        "?a",
        "?=access_token",
        "?a=access_token",
        "?a=b?access_token=c",
        "?a=%26access_token=b",
        "?a=%3baccess_token=b",
        "?xaccess_token=a&access_tokens=b&access_token2=c",
        "?Access_Token=a",
        "?access%255Ftoken=a",
        "?access-token=a&accesstoken=b",
        "?b=2&a=1&b=2&&a=+%20%zz%&%",
        "?a=1;b=2;&c",
    ],
)
def test_query_without_tokens(query):
    """Where no parameter is named, every byte stays, order and malformed ones among them."""
    assert query == without_parameters(query, NAMES)


@pytest.mark.parametrize(
    ("expected", "query"),
    [
        ("", "?access_token=a"),
        ("", "?access_token"),
        ("", "?access_token=a=b=c"),
        ("", "?&access_token=a"),
        ("", "?access_token=a&bearer_token=b;access_token=c"),
        ("", "?%61ccess_token=a"),
        ("", "?access%5ftoken=a"),
        ("", "?%61%63%63%65%73%73%5f%74%6f%6b%65%6e=a"),
        ("", "?+access_token=a"),
        ("", "?%20access_token%20=a"),
        ("", "?%09access_token%0a=a"),
        ("?a=1", "?access_token=x&a=1"),
        ("?a=1", "?a=1&access_token=x"),
        ("?a=1&b=2", "?a=1&access_token=x&b=2"),
        ("?a=1&b=2", "?access_token=w&a=1&bearer_token=x&b=2&access_token=y"),
        ("?a=1;b=2", "?a=1;access_token=x;b=2"),
        ("?b=2;a=1", "?access_token=x;b=2;a=1"),
        ("?b=+%2B%zz&b=%", "?b=+%2B%zz&access_token=x&b=%"),
        ("?&a=1", "?access_token=x&&a=1"),
        ("?a=??", "?a=??&access_token=?"),
    ],
)
def test_query_with_tokens(expected, query):
    """Every parameter so named goes, however its name is encoded; the others keep their bytes and order."""
    assert expected == without_parameters(query, NAMES)


@pytest.mark.parametrize(
    ("expected", "query"), [("?q=a&c=d", "?q=a;access_token=x&c=d"), ("?q=a&c=d", "?q=a&access_token=x;c=d")]
)
def test_query_with_a_token_between_different_separators(expected, query):
    """The `&` stays: to a server that knows no `;` the parameters beside the token are still two."""
    assert expected == without_parameters(query, NAMES)


@pytest.mark.parametrize(
    ("expected", "part"),
    [
        ("a", "a=b"),
        ("a", "a"),
        ("", "=a"),
        ("", ""),
        ("a b", "a+b=c"),
        ("a=b", "a%3Db=c"),
        ("a\u00e9", "a%E9=c"),
        ("a%", "a%=b"),
        ("a", "%20a%20"),
    ],
)
def test_parameter_name(expected, part):
    """A name is decoded once, and rid of blanks around it."""
    assert expected == parameter_name(part)


@pytest.mark.parametrize(
    ("expected", "query"),
    [([], ""), ([], "?"), ([], "?&;"), (["a", "b", "a"], "?a=1&b;a=2"), (["a?"], "?a?=1"), (["", "a"], "?=1&a")],
)
def test_parameter_names(expected, query):
    """All names come in order, repeated ones too."""
    assert expected == parameter_names(query)
