"""Request targets for property-based tests: put together from the pieces of the grammar, or of any text at all.

Every run has the same examples, and keeps nothing on disk.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from tests.e2e.confinement.grammar import DOTS, ENDPOINTS, QUERIES, SLASHES, TAILS, WORDS

many = settings(max_examples=800, deadline=None, derandomize=True, database=None)
some = settings(many, max_examples=300)

_LATIN = st.characters(max_codepoint=0xFF)
_BETWEEN = ("", "", "", "", ";x", ";%2fx", ";%5cx", ";\\x", "%3b\\x", "%20", "%00x", "%3fx", "%23", ".")


def _spellings(letter: str) -> tuple[str, ...]:
    """How one letter of a path can be written."""
    if letter == "/":
        return ("/", "/", "/", *SLASHES)
    code = ord(letter)
    return letter, letter, letter, letter.swapcase(), f"%{code:02x}", f"%{code:02X}"


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """A closed endpoint, each letter in one of its spellings, with something behind some segments."""
    endpoint = draw(st.sampled_from(ENDPOINTS))
    text = ""
    for at, letter in enumerate(endpoint):
        if letter == "/" and at:
            text += draw(st.sampled_from(_BETWEEN))
        text += draw(st.sampled_from(_spellings(letter))) if at else "/"
    return (
        draw(st.sampled_from(["", "", "", "/", "/\\", "//x", "/\\x", "/;x", "/a"]))
        + text
        + draw(st.sampled_from(TAILS))
    )


@st.composite
def climbing(draw: st.DrawFn) -> str:
    """Segments and dots in any spelling, with slashes in any spelling."""
    pieces = draw(
        st.lists(
            st.tuples(
                st.sampled_from(("/", "/", "/", *SLASHES)),
                st.sampled_from((*DOTS, *WORDS, *WORDS)),
                st.sampled_from(("", "", "", *TAILS)),
            ),
            min_size=1,
            max_size=10,
        )
    )
    return "/" + "".join("".join(piece) for piece in pieces).lstrip("/")


paths = st.one_of(
    disguised(),
    climbing(),
    st.text(_LATIN, max_size=30).map(lambda text: "/" + text),
    st.tuples(climbing(), st.integers(200, 4000)).map(lambda both: both[0] * (both[1] // len(both[0]) + 1)),
)
queries = st.one_of(st.sampled_from(QUERIES), st.text(_LATIN, max_size=12).map(lambda text: "?" + text))
_HOSTS = "localhost localhost:8080 h h. H:1 [::1]:80 :80 h@evil.example evil.example h%2f.."
authorities = st.sampled_from([*_HOSTS.split(), "", "a b"])
schemes = st.sampled_from(["http://", "https://", "HTTP://", "hTTpS://", "ftp://", "http:/", "//", "http:///"])
beginnings = st.one_of(st.just(""), st.just(""), st.tuples(schemes, authorities).map("".join))
