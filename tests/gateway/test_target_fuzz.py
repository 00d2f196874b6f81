"""Targets and queries of any shape: what passes is what came, and no server reads in it what was to be kept out."""

from __future__ import annotations

from itertools import product
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadTargetError
from proxy.gateway.target import hostname, judged, parameter_names, split_target, without_parameters
from tests.e2e.confinement.readings import is_below, merged, readings, resolved, segments_of, without_authority
from tests.e2e.confinement.strategies import authorities, beginnings, many, paths, queries, some

NAMES = frozenset({"access_token", "bearer_token", "_method"})
_DOTS = {".", ".."}
_LATIN = st.characters(max_codepoint=0xFF)


@st.composite
def _parameters(draw: st.DrawFn) -> str:
    """A query with names that are to go, in any spelling, between others."""
    spellings = ["access_token", "%61ccess%5Ftoken", "+access_token", "bearer_token%20", "_method", "%5fmethod"]
    others = ["a", "access", "token", "ccess_token", "access_tokens", "%", "%2", "a%26access_token", "a%3Baccess_token"]
    part = st.tuples(
        st.sampled_from(spellings + others) | st.text(_LATIN, max_size=4),
        st.sampled_from(["", "=", "==", "=1", "=%26access_token", "=?", "=access_token", "=/../"]),
        st.sampled_from(["&", "&", ";", "&&", ";&", "&;", ""]),
    )
    return "?" + "".join("".join(piece) for piece in draw(st.lists(part, max_size=8)))


@some
@given(beginning=beginnings, path=paths, query=queries)
def test_split(beginning: str, path: str, query: str) -> None:
    """The parts of a target are the target, byte for byte, or it is refused."""
    target = beginning + path + query
    try:
        authority, found, rest = split_target(target)
    except BadTargetError:
        return
    assert found.startswith("/")
    assert not {*map(chr, range(0x21)), "\x7f", "#"} & {*found, *rest}
    assert ("?" not in found, rest[:1]) == (True, "?" if "?" in target else "")
    if authority is None:
        assert target == found + rest
    else:
        start = target[: target.index("//") + 2]
        assert start.lower() in ("http://", "https://")
        assert target in (start + authority + found + rest, start + authority + found[1:] + rest)


@many
@given(path=paths)
def test_dots(path: str) -> None:
    """A path that is judged has no dot segment in the eyes of any server, and resolves to itself."""
    try:
        judged(path)
    except BadTargetError:
        return
    for text in readings(path):
        assert not _DOTS & {*segments_of(text)}
        assert merged(text) == merged(resolved(text))


@some
@given(path=paths)
def test_plain_path(path: str) -> None:
    """A path that means one thing to all servers is judged by its very segments."""
    plain = "/".join(segment for segment in path.split("/") if segment.isalnum() and segment.isascii())
    assert {f"/{plain}"} == readings(f"/{plain}")
    assert segments_of(plain.lower()) == judged(f"/{plain}")
    assert is_below(f"/{plain}/x", f"/{plain}")


@some
@given(authority=authorities | st.text(max_size=12))
def test_authority(authority: str) -> None:
    """A host is read from it with no user, path or blank in it, or it is refused."""
    try:
        host = hostname(authority)
    except BadTargetError:
        return
    assert not {*"@/\\?# \t\r\n"} & {*host}
    assert host == host.lower()
    assert host in authority.lower()


@some
@given(query=_parameters())
def test_query(query: str) -> None:
    """What is to go is gone for servers that part at `&`, at `;` and at both; what stays is how it came, in order."""
    found = without_parameters(query, NAMES)
    for separator, text in product("&;", (found[1:], found[1:].replace(";", "&"))):
        names = [name for name, _ in parse_qsl(text, keep_blank_values=True, separator=separator, encoding="latin-1")]
        assert not NAMES & {name.strip() for name in names}
    kept = [name for name in parameter_names(query) if name not in NAMES]
    assert kept == parameter_names(found)
    left = iter(query)
    assert all(letter in left for letter in found)
    assert found == query or len(found) < len(query)


@pytest.mark.parametrize("path", ["/..", "/a/%2e%2e/b", "/..;x/b", "/..%5cb", "/%20../b", "/..%00x", "/..%3fx"])
def test_readings_of_a_path_that_climbs(path: str) -> None:
    """Some server sees it, so that these tests can."""
    assert any(_DOTS & {*segments_of(text)} for text in readings(path))


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ({"/"}, "/"),
        ({"/a%252e", "/a%2e"}, "/a%252e"),
        ({"/a//b", "/a/b"}, "/a//b"),
        ({"/a;x/b", "/a/b"}, "/a;x/b"),
        ({"/a%00b", "/a\x00b", "/a"}, "/a%00b"),
        ({"/a%20/b", "/a /b", "/a/b"}, "/a%20/b"),
        ({"/a\\..", "/a/..", "/"}, "/a\\.."),
        ({"//h/a", "/h/a", "/a"}, "//h/a"),
    ],
)
def test_readings(expected: set[str], path: str) -> None:
    """Each is what the steps of servers make of it, and decoded once."""
    assert expected == readings(path)


def test_authority_of_a_path() -> None:
    """It is seen only at the beginning."""
    assert ["/b", "/a//b", "/"] == [without_authority(path) for path in ("//a/b", "/a//b", "//a")]
