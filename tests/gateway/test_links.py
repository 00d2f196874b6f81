"""Links in a head: which become local, what of a cookie changes, and that all else stays as it came."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Upstream
from proxy.gateway.links import LinkMap, Mount, caller_origin, map_head

UPSTREAM = Upstream.parse("https://api.acme.example/ignored")
ORIGIN = "http://localhost:8080"
WHOLE = LinkMap(UPSTREAM, Mount("", "/acme"), (), ORIGIN)
ROOT = LinkMap(UPSTREAM, Mount("", "/"), (), ORIGIN)
BASED_ROOT = LinkMap(UPSTREAM, Mount("/api", "/"), (), ORIGIN)
SEVERAL = LinkMap(
    UPSTREAM, Mount("/api/v3", "/three"), (Mount("/api/v2/orders", "/orders"), Mount("/api", "/a")), ORIGIN
)
SIX = LinkMap(Upstream.parse("http://[2001:db8::1]:8443"), Mount("", "/six"), (), "https://[::1]:8081")
NAMELESS = LinkMap(UPSTREAM, Mount("", "/acme"))


@pytest.mark.parametrize(
    ("expected", "links", "url"),
    [
        ("http://localhost:8080/acme/a/b", WHOLE, "https://api.acme.example/a/b"),
        ("http://localhost:8080/acme", WHOLE, "https://api.acme.example"),
        ("http://localhost:8080/acme/", WHOLE, "https://api.acme.example/"),
        ("http://localhost:8080/acme?a=/b", WHOLE, "https://api.acme.example?a=/b"),
        ("http://localhost:8080/acme#a", WHOLE, "https://api.acme.example#a"),
        ("http://localhost:8080/acme/a?b=%2F+%zz&c#d?e", WHOLE, "https://api.acme.example/a?b=%2F+%zz&c#d?e"),
        ("http://localhost:8080/acme//a/../b\\c", WHOLE, "https://api.acme.example//a/../b\\c"),
        ("http://localhost:8080/acme/a", WHOLE, "HTTPS://API.acme.Example/a"),
        ("http://localhost:8080/acme/a", WHOLE, "https://api.acme.example:443/a"),
        ("http://localhost:8080/acme/a", WHOLE, "https://api.acme.example:/a"),
        ("//localhost:8080/acme/a", WHOLE, "//api.acme.example/a"),
        ("//localhost:8080/acme/a", WHOLE, "//API.acme.example:443/a"),
        ("/acme/a?b#c", WHOLE, "/a?b#c"),
        ("/acme/", WHOLE, "/"),
        ("http://localhost:8080/a", ROOT, "https://api.acme.example/a"),
        ("http://localhost:8080", ROOT, "https://api.acme.example"),
        ("http://localhost:8080/", ROOT, "https://api.acme.example/"),
        ("/a", ROOT, "/a"),
        ("/", ROOT, "/"),
        ("http://localhost:8080/x", BASED_ROOT, "https://api.acme.example/api/x"),
        ("http://localhost:8080//x", BASED_ROOT, "https://api.acme.example/api//x"),
        ("/x", BASED_ROOT, "/api/x"),
        ("/", BASED_ROOT, "/api"),
        ("/?a", BASED_ROOT, "/api?a"),
        ("/#a", BASED_ROOT, "/api#a"),
        ("http://localhost:8080/three/x", SEVERAL, "https://api.acme.example/api/v3/x"),
        ("http://localhost:8080/three", SEVERAL, "https://api.acme.example/api/v3"),
        ("http://localhost:8080/orders/1", SEVERAL, "https://api.acme.example/api/v2/orders/1"),
        ("http://localhost:8080/a/v2/ordersx", SEVERAL, "https://api.acme.example/api/v2/ordersx"),
        ("http://localhost:8080/a/v3x", SEVERAL, "https://api.acme.example/api/v3x"),
        ("/a/v2", SEVERAL, "/api/v2"),
        ("https://[::1]:8081/six/a", SIX, "http://[2001:DB8::1]:8443/a"),
        ("//[::1]:8081/six/a", SIX, "//[2001:db8::1]:8443/a"),
        ("/acme/a", NAMELESS, "/a"),
    ],
)
def test_url_at_the_upstream(expected, links, url):
    """It becomes local in the form it has; query and fragment stay byte for byte."""
    assert expected == links.local(url)


@pytest.mark.parametrize(
    ("links", "url"),
    [
        *((WHOLE, url) for url in ("", "a/b", "../a", "?a", "#a", "mailto:a@api.acme.example", "https:/a", "https:a")),
        *((WHOLE, url) for url in ("https://", "https:///a", "///a", "//", "javascript://api.acme.example/a")),
        (WHOLE, "http://api.acme.example/a"),
        (WHOLE, "https://api.acme.example.evil.example/a"),
        (WHOLE, "https://api.acme.examplex/a"),
        (WHOLE, "https://xapi.acme.example/a"),
        (WHOLE, "https://api.acme.example@evil.example/a"),
        (WHOLE, "https://api.acme.example:443@evil.example/a"),
        (WHOLE, "https://user@api.acme.example/a"),
        (WHOLE, "https://api.acme.example:8443/a"),
        (WHOLE, "https://api.acme.example:4430/a"),
        (WHOLE, "https://api.acme.example\\.evil.example/a"),
        (WHOLE, "https://apixacme.example/a"),
        (WHOLE, "https://evil.example/https://api.acme.example/a"),
        (WHOLE, " https://api.acme.example/a"),
        (WHOLE, "//api.acme.example.evil.example/a"),
        (ROOT, "/\\a"),
        (BASED_ROOT, "https://api.acme.example/"),
        (BASED_ROOT, "https://api.acme.example/apix"),
        (BASED_ROOT, "https://api.acme.example/API/x"),
        (BASED_ROOT, "https://api.acme.example/%61pi/x"),
        (BASED_ROOT, "/"),
        (BASED_ROOT, "/apix"),
        (SEVERAL, "https://api.acme.example/other"),
        (SIX, "http://[2001:db8::1]/a"),
        (SIX, "http://[2001:db8::1]:80/a"),
        (NAMELESS, "https://api.acme.example/a"),
        (NAMELESS, "//api.acme.example/a"),
    ],
)
def test_url_elsewhere(links, url):
    """What is relative, at another origin or under no mount is left alone; and what is absolute, without an origin."""
    assert url == links.local(url)


@pytest.mark.parametrize("rest", ["//evil.example", "/\\evil.example", "/\t/evil.example", "/\t\\evil.example"])
def test_host_relative_url_that_would_name_a_host(rest):
    """Without its base path it would lead to another host: it is written with the origin, or left alone."""
    assert ORIGIN + rest == BASED_ROOT.local("/api" + rest)
    assert "/api" + rest == LinkMap(UPSTREAM, BASED_ROOT.own).local("/api" + rest)


@pytest.mark.parametrize(
    "authority", ["localhost", "localhost:8080", "a_b.internal:1", "127.0.0.1", "[::1]:8080", "A~1"]
)
def test_origin_of_a_caller(authority):
    """It is what the caller's Host field says."""
    assert f"https://{authority}" == caller_origin("https", authority)


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ":80",
        "a b",
        'a"',
        "a\\",
        "a<",
        "a/b",
        "a?b",
        "a#b",
        "a;b",
        "a,b",
        "u:p@a",
        "a:",
        "a:x",
        "\xe9",
        "a" * 256,
        "[a",
    ],
)
def test_origin_of_a_caller_without_a_plain_host(authority):
    """What is missing, or could not stand in JSON and fields as it is, gives none."""
    assert caller_origin("http", authority) == ""


def mapped(name, value, links=WHOLE, path=""):
    """Give the values of one field, mapped, as they stand between fields that are not."""
    before, *fields, after = map_head([("A", "1"), (name, value), ("A", value)], links, path)
    assert [("A", "1"), ("A", value)] == [before, after]
    assert {name} >= {key for key, _ in fields}
    return [mapped for _, mapped in fields]


@pytest.mark.parametrize("name", ["Location", "location", "Content-Location", "CONTENT-LOCATION"])
def test_field_that_is_a_url(name):
    """It is mapped, whatever the case of its name."""
    assert ["http://localhost:8080/acme/a"] == mapped(name, "https://api.acme.example/a")
    assert ["/acme/a"] == mapped(name, "/a")
    assert ["a"] == mapped(name, "a")


@pytest.mark.parametrize("name", ["X-Location", "Referer", "Origin", "Content-Security-Policy", "Links"])
def test_other_fields(name):
    """They pass as they are."""
    assert ["https://api.acme.example/a"] == mapped(name, "https://api.acme.example/a")


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("<http://localhost:8080/acme/a>", "<https://api.acme.example/a>"),
        ('</acme/a,b>; rel="next" ,<c> ;x', '</a,b>; rel="next" ,<c> ;x'),
        ('</acme/a>; title="</b>, </c>", </acme/d>', '</a>; title="</b>, </c>", </d>'),
        ('</acme/a>; title="\\"</b>"; rel=x, </acme/c>', '</a>; title="\\"</b>"; rel=x, </c>'),
        ("</acme/a>; anchor=\"/b\"; title*=UTF-8''%e2", "</a>; anchor=\"/b\"; title*=UTF-8''%e2"),
        ('</acme/a"b>; rel="x", </acme/c>', '</a"b>; rel="x", </c>'),
        ('</acme/a>; title="</b>, </c>', '</a>; title="</b>, </c>'),
        ("<>;a,</acme/b>, </c", "<>;a,</b>, </c"),
        ("</a</acme/b>", "</a</b>"),
        ("/a; rel=next", "/a; rel=next"),
    ],
)
def test_link(expected, value):
    """Each target in angle brackets is mapped; parameters and what stands in quotes are not."""
    assert [expected] == mapped("Link", value)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("5; url=http://localhost:8080/acme/a", "5; url=https://api.acme.example/a"),
        ("0;URL=/acme/a", "0;URL=/a"),
        ("1.5 , Url = '/acme/a;b' x", "1.5 , Url = '/a;b' x"),
        ('5; url="/acme/a"', '5; url="/a"'),
        ('5; url="/acme/a', '5; url="/a'),
        ("5; url='/acme/a\"'", "5; url='/a\"'"),
        ("5; /acme/a", "5; /a"),
        ("5 /acme/a", "5 /a"),
        *((value, value) for value in ("5", "5;", "5; url=", "5; url=a", "url=/a", "/a", "", "5; uri=/a")),
    ],
)
def test_refresh(expected, value):
    """Its URL is mapped, quoted or not; the rest stays."""
    assert [expected] == mapped("Refresh", value)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("a=b", "a=b"),
        ("a=b; Path=/acme", "a=b; Path=/"),
        ("a=b; Path=/acme/c/", "a=b; Path=/c/"),
        ("a=/; path =  /acme/c ;HttpOnly;x", "a=/; path =  /c ;HttpOnly;x"),
        ('a="b, c=d" ;PATH="/acme/c";', 'a="b, c=d" ;PATH="/c";'),
        ("a=b; Path=; Secure", "a=b; Path=; Secure"),
        ("a=b; Path=c; Path", "a=b; Path=c; Path"),
        ("a=b; Secure", "a=b; Domain=acme.example; Secure"),
        ("a=b;Secure", "a=b; domain = .acme.example ;Secure"),
        ("a=b", "a=b; Domain"),
        ("path=/; Path=/acme", "path=/; Path=/"),
        ("domain=acme.example", "domain=acme.example; Domain=acme.example"),
        (
            "a=b; Expires=Wed, 09 Jun 2038 10:18:14 GMT; Path=/acme/c",
            "a=b; Expires=Wed, 09 Jun 2038 10:18:14 GMT; Path=/c",
        ),
    ],
)
def test_cookie(expected, value):
    """Its Path is mapped and its Domain dropped; everything else stays, spaces and quotes too."""
    assert [expected] == mapped("Set-Cookie", value)


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ("/three", "/"),
        ("/three", "/api"),
        ("/three", "/api/"),
        ("/three", "/api/v3"),
        ("/three/", "/api/v3/"),
        ("/three/x", "/api/v3/x"),
        ("/orders", "/api/v2"),
        ("/orders", "/api/v2/orders"),
        ("/orders/1", "/api/v2/orders/1"),
        ("/a/v3x", "/api/v3x"),
        ("/a/v2x", "/api/v2x"),
    ],
)
def test_cookie_with_several_mounts(expected, path):
    """It stays with the caller's route when it is for that too, and goes to another only when it is for that alone."""
    assert [f"a=b; Path={expected}"] == mapped("Set-Cookie", f"a=b; Path={path}", SEVERAL)


@pytest.mark.parametrize("path", ["/other", "/ap", "/apix", "/%61pi", "//"])
def test_cookie_for_what_no_mount_reaches(path):
    """It would never come back, and must not go to other routes: it is dropped."""
    assert [] == mapped("Set-Cookie", f"a=b; Path={path}", SEVERAL)


@pytest.mark.parametrize("attributes", ["", "; Secure", "; Path=/c; Path=", "; Path=c"])
def test_cookie_without_path(attributes):
    """Its default path is right but for the prefix alone: there the cookie would go to other routes, and gets one."""
    kept = attributes.replace("/c", "/acme/c")
    assert [f"a=b{kept}; Path=/acme"] == mapped("Set-Cookie", f"a=b{attributes}", WHOLE, "/acme")
    assert [f"a=b{kept}"] == mapped("Set-Cookie", f"a=b{attributes}", WHOLE, "/acme/")
    assert [f"a=b{kept}"] == mapped("Set-Cookie", f"a=b{attributes}", WHOLE, "/acme/a")
    assert [f"a=b{attributes}"] == mapped("Set-Cookie", f"a=b{attributes}", ROOT, "/")


def sent(path, cookie_path):
    """Tell whether a user agent sends a cookie (RFC 6265 section 5.1.4)."""
    return path == cookie_path or (
        path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4)


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from(["", "/a", "/ab", "/a/b"]), st.sampled_from(["/", "/a", "/p", "/p/a"]), SEGMENTS, SEGMENTS, SEGMENTS
)
def test_cookie_path_for_any_request(base, prefix, scope, rest, other):
    """A cookie comes back for exactly the requests of its route that it came back for at the upstream."""
    path, rest, other = ("".join(f"/{segment}" for segment in segments) for segments in (scope, rest, other))
    rest = rest or "/" if prefix == "/" else rest
    local = LinkMap(UPSTREAM, Mount(base, prefix)).cookie_path(path or "/")
    upstream_sends = sent(base + rest or "/", path or "/")
    assert upstream_sends == (local is not None and sent(prefix.rstrip("/") + rest, local))
    if local is not None and prefix not in ("/", other) and not other.startswith(prefix + "/"):
        assert not sent(other or "/", local)


def test_head_without_links():
    """It passes as it is, repeated fields and their order too."""
    fields = [("Server", "x"), ("server", "y"), ("Vary", "Cookie"), ("Date", "")]
    assert fields == map_head(fields, WHOLE)
