"""Header fields of both directions: what never passes, what is ours alone, and that all else stays as it came."""

import pytest

from proxy.gateway.headers import HOP_BY_HOP, VIA, inbound, outbound, proxy_status, without_own_cookies

AUTHORITY = "api.acme.example"
OURS = [("Host", AUTHORITY), ("Via", VIA)]
OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]


def sent(*fields, length=None, limited=False):
    """Give what of a caller's fields goes to the upstream, less what every request bears."""
    result = outbound(list(fields), AUTHORITY, length, limited=limited)
    assert OURS == [result[0], result[-1]]
    return result[1:-1]


def spellings(name):
    """Give the ways in which one field name is written by those who hope that it is overlooked."""
    return [name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "_", 1).swapcase()]


@pytest.mark.parametrize(
    "name",
    [
        spelling
        for name in (*sorted(HOP_BY_HOP), "Host", "Content-Length", "Authorization", "Expect")
        for spelling in spellings(name)
    ],
)
def test_field_that_never_reaches_the_vendor(name):
    """Hop-by-hop fields and those that the proxy says itself are left out in every spelling."""
    assert [("A", "1")] == sent((name, "theirs"), ("A", "1"), (name, "again"))


def test_hop_by_hop_fields():
    """The list holds all that RFC 9110 section 7.6.1 and its forerunners name."""
    named = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    assert named | {"proxy-authenticate", "proxy-authentication-info", "proxy-authorization"} == HOP_BY_HOP


def test_fields_that_pass():
    """All others keep their order, case, repeats and bytes."""
    fields = [
        ("aCCept", "*/*"),
        ("X-Account", "1"),
        ("Cookie", "a=1"),
        ("x-account", ""),
        ("Via", "1.0 other"),
        ("Accept-Encoding", "gzip"),
        ("Range", "bytes=0-"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Content-Encoding", "gzip"),
        ("X-CxToken", 'a "quoted" \u00e9'),
        ("X-Account", "1"),
    ]
    assert fields == sent(*fields)


@pytest.mark.parametrize("name", ["Connection", "connection", "CONNECTION", "Proxy-Connection"])
@pytest.mark.parametrize("value", ["x-a", "close, X-A", "keep-alive,\tx_a ,", ",,X-A,,", "x-a, x-a"])
def test_field_that_connection_names(name, value):
    """It goes no further, wherever it stands."""
    assert [("B", "2")] == sent(("X-A", "1"), (name, value), ("B", "2"), ("x_a", "3"))


def test_several_connection_fields():
    """What any of them names goes no further."""
    assert [] == sent(("Connection", "a"), ("A", "1"), ("B", "2"), ("connection", "b"))


@pytest.mark.parametrize("named", ["host", "via", "content-length", "authorization", "Host, Via, Content_Length"])
def test_connection_that_names_our_fields(named):
    """Strip first, inject last: our own fields are there all the same, and once."""
    result = outbound(
        [("Connection", named), ("Host", "evil.example"), ("Via", "1.1 evil"), ("Content-Length", "99")],
        AUTHORITY,
        3,
        limited=False,
    )
    ours = {"host": [AUTHORITY], "content-length": ["3"]}
    assert ours == {key: [value for name, value in result if name.lower() == key] for key in ours}
    assert ("Via", VIA) == result[-1]


def test_host():
    """The upstream's comes first and alone, whatever and how many the caller sent."""
    result = outbound([("host", "a"), ("HOST", "b"), ("X", "1")], AUTHORITY, None, limited=False)
    assert [("Host", AUTHORITY), ("X", "1"), ("Via", VIA)] == result


@pytest.mark.parametrize(
    ("expected", "length"), [([], None), ([("Content-Length", "0")], 0), ([("Content-Length", "7")], 7)]
)
def test_content_length(expected, length):
    """It is the body's, never the caller's."""
    assert expected == sent(
        ("Content-Length", "1"), ("content_length", "2"), ("Transfer-Encoding", "chunked"), length=length
    )


@pytest.mark.parametrize("name", [spelling for name in OVERRIDES for spelling in spellings(name)])
def test_method_override(name):
    """It passes where all methods do, and nowhere else."""
    assert [(name, "DELETE")] == sent((name, "DELETE"))
    assert [] == sent((name, "DELETE"), limited=True)


def test_caller_fields_are_not_edited():
    """The list that came is the list that stays."""
    fields = [("Connection", "a"), ("A", "1"), ("Cookie", "bearer_proxy_s=1; b=2")]
    before = list(fields)
    outbound(fields, AUTHORITY, 1, limited=True)
    inbound(fields)
    assert before == fields


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("a=1", "a=1"),
        ("a=1;  b = 2;c", "a=1;  b = 2;c"),
        ("", "bearer_proxy_session=s"),
        ("", "bearer_proxy_a=1; bearer_proxy_b=2"),
        ("", "bearer_proxy_a"),
        ("a=1; b=2", "a=1; bearer_proxy_s=x; b=2"),
        ("b=2", "bearer_proxy_s=x; b=2"),
        ("a=1", "a=1; bearer_proxy_s=x"),
        ("a=1;b=2", "a=1;bearer_proxy_s=x;b=2"),
        ("a=1", "a=1;\t bearer_proxy_s = x"),
        ("a=bearer_proxy_s", "a=bearer_proxy_s"),
        ("xbearer_proxy_s=1", "xbearer_proxy_s=1"),
        ('a="x,y"; b', 'a="x,y"; bearer_proxy_s="="; b'),
    ],
)
def test_own_cookies(expected, value):
    """Ours go by name, in any place; the bytes of others stay."""
    assert expected == without_own_cookies(value)


@pytest.mark.parametrize("name", ["Cookie", "cookie", "COOKIE"])
def test_cookie_fields(name):
    """A field that held only ours goes with them, the others stay under their name."""
    fields = [(name, "a=1"), (name, "bearer_proxy_s=1"), (name, "bearer_proxy_s=1; b=2"), ("X", "bearer_proxy_s=1")]
    assert [(name, "a=1"), (name, "b=2"), ("X", "bearer_proxy_s=1")] == sent(*fields)


@pytest.mark.parametrize(
    "name",
    [
        spelling
        for name in (
            *sorted(HOP_BY_HOP),
            "Alt-Svc",
            "Strict-Transport-Security",
            "Clear-Site-Data",
            "Service-Worker-Allowed",
            "NEL",
            "Report-To",
            "Reporting-Endpoints",
            "Access-Control-Allow-Origin",
            "Access-Control-Allow-Credentials",
            "Access-Control-Whatever",
        )
        for spelling in spellings(name)
    ],
)
def test_field_that_never_reaches_the_caller(name):
    """Hop-by-hop fields and those that speak for the vendor's own origin are left out in every spelling."""
    assert ([("A", "1")], False) == inbound([(name, "x"), ("A", "1"), (name, "y")])


def test_answer_fields_that_pass():
    """All others keep their order, case, repeats and bytes."""
    fields = [
        ("Set-Cookie", "a=1; Path=/"),
        ("content-length", "3"),
        ("Set-Cookie", "b=2"),
        ("X-Cloud66-Warning", ""),
        ("WWW-Authenticate", 'Bearer error="invalid_token"'),
        ("Content-Encoding", "gzip"),
        ("Location", "/a"),
        ("Via", "1.1 vendor"),
        ("oc-api-daily-remaining", "49999"),
        ("Access", "control"),
        ("Server", "nginx"),
        ("Date", "x"),
    ]
    assert (fields, True) == inbound(fields)


def test_answer_field_that_connection_names():
    """It goes no further."""
    assert ([("B", "2")], False) == inbound([("X-A", "1"), ("Connection", "close, x-a"), ("B", "2")])


@pytest.mark.parametrize("name", ["Location", "content-location", "LINK", "Refresh", "Set-Cookie"])
def test_answer_field_that_may_hold_a_link(name):
    """It passes as it came, and is told of."""
    assert ([(name, "/a"), ("B", "2")], True) == inbound([(name, "/a"), ("B", "2")])


@pytest.mark.parametrize(
    ("expected", "details", "more"),
    [
        ('bearer-proxy; details="plain"', "plain", {}),
        ('bearer-proxy; error=dns_error; details="a"', "a", {"error": "dns_error"}),
        ('bearer-proxy; received-status=401; details="a"', "a", {"received": 401}),
        ('bearer-proxy; error=e; received-status=0; details="a"', "a", {"error": "e", "received": 0}),
        (r'bearer-proxy; details="a \"b\" \\ c"', r'a "b" \ c', {}),
        ('bearer-proxy; details="caf? ?"', "caf\u00e9 \u2603", {}),
    ],
)
def test_proxy_status(expected, details, more):
    """It is RFC 9209's, the details a quoted ASCII text."""
    assert ("Proxy-Status", expected) == proxy_status(details, **more)


@pytest.mark.parametrize("control", ["\r", "\n", "\x7f"])
def test_proxy_status_with_a_control_character(control):
    """A structured string has none (RFC 8941 section 3.3.3), and a field must not end early."""
    assert control not in proxy_status(f"a{control}b")[1]
