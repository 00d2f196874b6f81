"""Which redirects are well formed, and which lead to the same place, without sockets."""

import pytest

from proxy.sandbox.redirects import is_redirect, same_place, with_fragment, with_query

REGISTERED = "http://example.com"


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("http://example.com", True),
        ("https://example.com", True),
        ("http://example.com/bar", True),
        ("http://example.com:80/bar", True),
        ("https://EXAMPLE.com:443", True),
        ("http://example.com/bar?a=b@c", True),
        ("http://example.com:8080", False),
        ("http://example.org", False),
        ("http://example.com:443", False),
        ("http://bar.example.com", False),
        ("http://example.com.evil.example", False),
    ],
)
def test_rule_of_host_and_port(given, same):
    """Scheme and path may differ, host and port may not."""
    assert same == same_place(given, REGISTERED)
    assert same == same_place(REGISTERED, given)


def test_port_of_its_own():
    """It must be the very same."""
    assert same_place("https://127.0.0.1:8081/x", "http://127.0.0.1:8081/callback")
    assert not same_place("http://127.0.0.1/callback", "http://127.0.0.1:8081/callback")
    assert not same_place("http://127.0.0.1:8082/callback", "http://127.0.0.1:8081/callback")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/callback",
        "//example.com",
        "example.com",
        "http:",
        "http://",
        "http:///callback",
        "http://:80",
        "http://example.com:port",
        "http://example.com:99999",
        "http://[::1",
        "http://example.com/#fragment",
        "http://example.com/#",
        "http://user@example.com",
        "http://@example.com",
        "http://evil.example\\@example.com",
        "http://example.com/a b",
        "http://example.com/\r\nSet-Cookie:a=b",
        "http://example.com/\n",
        "http://example.com/é",
        "javascript://example.com/%0aalert(1)",
        "data://example.com",
        "ftp://example.com",
        "urn:ietf:wg:oauth:2.0:oob",
    ],
)
def test_what_is_no_redirect(text):
    """It is never taken for the place it resembles, nor is it the place of itself."""
    assert not is_redirect(text)
    assert not same_place(text, REGISTERED)
    assert not same_place(text, text)


@pytest.mark.parametrize("text", ["http://127.0.0.1:8081/callback", "HTTPS://[::1]:80/a%20b;c?d=e&f[]=@/"])
def test_what_is_a_redirect(text):
    """All of RFC 3986's characters may stand in it."""
    assert is_redirect(text)


def test_fields_in_an_address():
    """They join a query that is there; without any, the address stays as it is."""
    assert "http://v.example/?a=b&c=d+%26" == with_query("http://v.example/?a=b", {"c": "d &"})
    assert "http://v.example/?c=d" == with_query("http://v.example/", {"c": "d"})
    assert "http://v.example/" == with_query("http://v.example/", {})
    assert "http://v.example/?a=b#c=%23" == with_fragment("http://v.example/?a=b", {"c": "#"})
