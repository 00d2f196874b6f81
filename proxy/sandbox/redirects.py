"""Redirect URIs: which are well formed, which lead to the same place, and how an answer is put into one. Pure.

Only http and https, and only the characters of RFC 3986: what is sent as `Location` must mean the same to a browser
as it meant here (a backslash, a line break or userinfo would not).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

OOB = "urn:ietf:wg:oauth:2.0:oob"  # no redirect: the code is shown for copying
_HTTP = re.compile(r"https?://[\w.~:/?\[\]@!$&'()*+,;=%-]+", re.ASCII | re.IGNORECASE)
_OWN_PORTS = {"http": 80, "https": 443}


def is_redirect(text: str) -> bool:
    """Whether it is an absolute URL with a host, without userinfo and without a fragment (RFC 6749 section 3.1.2)."""
    return _HTTP.fullmatch(text) is not None and _place(text) is not None


def same_place(one: str, other: str) -> bool:
    """Whether host and port are the same; scheme and path may differ (Cloud 66's docs). False if one is malformed.

    A port that is the scheme's own is the same as none, so that http and https of a host are one place.
    """
    return is_redirect(one) and is_redirect(other) and _place(one) == _place(other)


def with_query(url: str, fields: Mapping[str, object]) -> str:
    """The URL with these fields added to its query."""
    if not fields:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


def with_fragment(url: str, fields: Mapping[str, object]) -> str:
    return f"{url}#{urlencode(fields)}"


def _place(url: str) -> tuple[str, int | None] | None:
    """Host and port; None if they cannot be read, or stand behind userinfo."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.username is not None:
        return None
    return host, None if port == _OWN_PORTS[parts.scheme] else port
