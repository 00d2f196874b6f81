"""Links in JSON bodies: which become local, that all else stays, and that it does not matter where a body is cut."""

import gzip
import json
import re
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Upstream
from proxy.errors import UpstreamError
from proxy.gateway.jsonlinks import PIECE, ContentCodingError, JsonLinks
from proxy.gateway.links import LinkMap, Mount

UPSTREAM = Upstream.parse("https://api.acme.example")
HERE = "http://localhost:8080"
WHOLE = LinkMap(UPSTREAM, Mount("", "/acme"), (), HERE)
SEVERAL = LinkMap(UPSTREAM, Mount("/api/v2", "/two/b"), (Mount("/api/v3/x", "/x"), Mount("/api", "/")), HERE)
PORT = LinkMap(Upstream.parse("http://[::1]:8443"), Mount("", "/"), (), "https://[::1]")
NAMELESS = LinkMap(UPSTREAM, Mount("", "/acme"))
BODY = (
    b'[{"next":"https://api.acme.example/a?b","c":"\\"https://api.acme.example/"},"https:\\/\\/api.acme.example:443"]'
)
MAPPED = (
    b'[{"next":"http://localhost:8080/acme/a?b","c":"\\"https://api.acme.example/"},"http:\\/\\/localhost:8080\\/acme"]'
)
LONGEST = b'"https:\\u002f\\u002fapi.acme.example:443\\u002fapi\\u002fv3\\u002fx\\u002'  # of what may wait for more


def through(*parts, links=WHOLE, zipped=False):
    """Give what comes of a body that arrives in parts."""
    mapper = JsonLinks(links, gzip=zipped)
    return b"".join([*(piece for part in parts for piece in mapper.feed(part)), mapper.end()])


def cut(data, places):
    """Give `data` cut at `places`."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(borders)]


@pytest.mark.parametrize(
    ("expected", "links", "body"),
    [
        (b'"http://localhost:8080/acme/a"', WHOLE, b'"https://api.acme.example/a"'),
        (b'"http://localhost:8080/acme"', WHOLE, b'"https://api.acme.example"'),
        (b'"http://localhost:8080/acme?a"', WHOLE, b'"https://api.acme.example?a"'),
        (b'"http://localhost:8080/acme#a"', WHOLE, b'"https://api.acme.example:#a"'),
        (b'"http://localhost:8080/acme/a', WHOLE, b'"HTTPS://API.Acme.example:443/a'),
        (b'["http:\\/\\/localhost:8080\\/acme\\/a"]', WHOLE, b'["https:\\/\\/api.acme.example\\/a"]'),
        (b'"http:\\u002f\\u002Flocalhost:8080\\u002Facme"', WHOLE, b'"https:\\u002f\\u002Fapi.acme.example"'),
        (b'"http:\\//localhost:8080/acme\\/a"', WHOLE, b'"https:\\//api.acme.example\\/a"'),
        (b'{"http://localhost:8080/acme/":1}', WHOLE, b'{"https://api.acme.example/":1}'),
        (b'"a\\\\","http://localhost:8080/acme/"', WHOLE, b'"a\\\\","https://api.acme.example/"'),
        (b'"http:\\/\\/localhost:8080\\/two\\/b"', SEVERAL, b'"https:\\/\\/api.acme.example\\/api\\/v2"'),
        (b'"http://localhost:8080/two/b/v3"', SEVERAL, b'"https://api.acme.example/api/v2/v3"'),
        (b'"http://localhost:8080/x#"', SEVERAL, b'"https://api.acme.example/api/v3/x#"'),
        (b'"http://localhost:8080/v2x"', SEVERAL, b'"https://api.acme.example/api/v2x"'),
        (b'"http://localhost:8080"', SEVERAL, b'"https://api.acme.example/api"'),
        (b'"https://[::1]/a"', PORT, b'"http://[::1]:8443/a"'),
    ],
)
def test_string_that_begins_with_a_link(expected, links, body):
    """It becomes local, its slashes written as they were, wherever the body is cut."""
    assert expected == through(body, links=links)
    assert expected == through(*(bytes([byte]) for byte in body), links=links)


@pytest.mark.parametrize(
    ("links", "body"),
    [
        (WHOLE, b'"https://api.acme.example.evil.example/"'),
        (WHOLE, b'"https://api.acme.examplex/"'),
        (WHOLE, b'"https://api.acme.example@evil.example/"'),
        (WHOLE, b'"https://api.acme.example:443@evil.example/"'),
        (WHOLE, b'"https://api.acme.example:8443/"'),
        (WHOLE, b'"https://api.acme.example:4433/"'),
        (WHOLE, b'"https://api.acme.example\\\\/"'),
        (WHOLE, b'"https://api.acme.example\\"/"'),
        (WHOLE, b'"https://apixacme.example/"'),
        (WHOLE, b'"http://api.acme.example/"'),
        (WHOLE, b'"//api.acme.example/"'),
        (WHOLE, b'"/a"'),
        (WHOLE, b'"see https://api.acme.example/"'),
        (WHOLE, b'" https://api.acme.example/"'),
        (WHOLE, b'"\\"https://api.acme.example/\\""'),
        (WHOLE, b'"\\\\\\"https://api.acme.example/\\""'),
        (WHOLE, b'"https:\\\\/\\\\/api.acme.example/"'),
        (WHOLE, b'"https://api.acme.example'),
        (WHOLE, b'"https:\\/\\u002'),
        (WHOLE, b'\xef\xbb\xbf{"a" :\t1e5,\r\n"\xc3\xa9\xff":null}'),
        (SEVERAL, b'"https://api.acme.example/"'),
        (SEVERAL, b'"https://api.acme.example/apix"'),
        (SEVERAL, b'"https://api.acme.example/API"'),
        (PORT, b'"http://[::1]/"'),
        (PORT, b'"http://[::1]:84433/"'),
        (NAMELESS, b'"https://api.acme.example/"'),
    ],
)
def test_string_that_does_not(links, body):
    """Other origins, what is under no mount and what only stands in a string stay, wherever the body is cut."""
    assert body == through(body, links=links)
    assert body == through(*(bytes([byte]) for byte in body), links=links)


@pytest.mark.parametrize(
    ("held", "links", "body"),
    [
        *(
            (b"", WHOLE, body)
            for body in (b"", b'{"a": 1', b'["a", "b"]', b'"h1', b'"https://api.acme.examplex', b'"\\"')
        ),
        *(
            (b"", WHOLE, body)
            for body in (b'"https://api.acme.example/', b'"https://api.acme.example:80', b'"https:\\n')
        ),
        *(
            (body, WHOLE, body)
            for body in (b'"', b'"h', b'"HTTPS:', b'"https:\\', b'"https:\\u00', b'"https:\\/\\u002f')
        ),
        *(
            (body, WHOLE, body)
            for body in (b'"https://api', b'"https://api.acme.example', b'"https://api.acme.example:44')
        ),
        (b'"https://api.acme.example\\', WHOLE, b'"https://api.acme.example\\'),
        (b"", WHOLE, b'"https://api.acme.example\\\\'),
        (b'"https://api.acme.example/ap', SEVERAL, b'"https://api.acme.example/ap'),
        (b'"https://api.acme.example/api/v2', SEVERAL, b'"https://api.acme.example/api/v2'),
        (b'"https://api.acme.example/api/v2\\u', SEVERAL, b'"https://api.acme.example/api/v2\\u'),
        (b'"https://api.acme.example/api/v3\\/', SEVERAL, b'"https://api.acme.example/api/v3\\/'),
        (LONGEST, SEVERAL, LONGEST),
        (b"", SEVERAL, b'"https://api.acme.example/api/v2/'),
        (b"", SEVERAL, b'"https://api.acme.example/api/v3/y'),
        (b"", SEVERAL, b'"https://api.acme.example/apx'),
        (b'"', SEVERAL, b'["https://api.acme.example/api"'),
    ],
)
def test_what_waits_for_more(held, links, body):
    """Nothing is held back but what may still become a link, or another one."""
    mapper = JsonLinks(links, gzip=False)
    b"".join(mapper.feed(body))
    assert held == mapper.end()


PARTS = [
    "https:",
    "http:",
    "HTTPS:",
    "/",
    "//",
    "///",
    "api.acme.example",
    "API.acme.Example",
    ":",
    ":443",
    ":44",
    "[::1]",
]
PARTS += [
    ":8443",
    ".evil",
    "x",
    "/api",
    "/v2",
    "/v3/x",
    "/API",
    "?",
    "#a",
    '"',
    "\\",
    "\\/",
    "\u00e9",
    "u002f",
    "@",
    " ",
]
HEADS = ["", "", "https://api.acme.example", "https://API.acme.example:443/api", "http://[::1]:8443"]
TEXTS = st.builds(lambda head, parts: head + "".join(parts), st.sampled_from(HEADS), st.lists(st.sampled_from(PARTS)))
DOCUMENTS = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
SLASHES = st.lists(st.sampled_from(["/", "\\/", "\\u002f", "\\u002F"]), min_size=1, max_size=8)
CUTS = st.lists(st.integers(0, 4000), max_size=12)
MAPS = st.sampled_from([WHOLE, SEVERAL, PORT, NAMELESS])


def written(document, slashes, ascii_only=True):
    """Write JSON, its slashes spelled by turns."""
    parts = json.dumps(document, ensure_ascii=ascii_only).split("/")
    ends = (slashes[index % len(slashes)] for index in range(len(parts) - 1))
    return "".join(part + end for part, end in zip(parts, [*ends, ""], strict=True)).encode()


def local(value, links):
    """Give a document, objects as pairs, as it should be."""
    if isinstance(value, str):
        return links.local(value) if re.match("(?i)https?:", value) else value
    if isinstance(value, tuple):
        return tuple(local(item, links) for item in value)
    return [local(item, links) for item in value] if isinstance(value, list) else value


def read(data):
    """Read JSON, objects as pairs: a name may stand there twice."""
    return json.loads(data, object_pairs_hook=tuple)


@settings(deadline=None, max_examples=400)
@given(DOCUMENTS, SLASHES, st.booleans(), MAPS, CUTS)
def test_any_document_cut_anywhere(document, slashes, ascii_only, links, cuts):
    """JSON stays JSON of the same structure, only links change, and the cuts change nothing."""
    data = written(document, slashes, ascii_only)
    whole = through(data, links=links)
    assert local(read(data), links) == read(whole)
    assert whole == through(*cut(data, cuts), links=links)
    packed = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    assert whole == through(*cut(packed, cuts), links=links, zipped=True)


@pytest.mark.parametrize(
    "rest", [b"", b"\0" * 512, b"garbage", b"\x1f", b"\x1fgarbage", b"\0" + gzip.compress(b"x", mtime=0)]
)
def test_gzip_with_something_after_it(rest):
    """What follows the last member and is none is dropped."""
    packed = gzip.compress(BODY) + gzip.compress(b"") + gzip.compress(b"[]") + rest
    assert MAPPED + b"[]" == through(packed, zipped=True)
    assert MAPPED + b"[]" == through(*(bytes([byte]) for byte in packed), zipped=True)


def test_gzip_that_is_cut_short():
    """It has no tidy end, wherever it ends; only a body without a byte has."""
    packed = gzip.compress(BODY)
    for end in range(1, len(packed)):
        with pytest.raises(ContentCodingError, match="cut short"):
            through(packed[:end], zipped=True)
        with pytest.raises(ContentCodingError, match="cut short"):
            through(packed + packed[: max(2, end)], zipped=True)
    assert through(b"", zipped=True) == b""


@pytest.mark.parametrize("at", [0, 2, 12, -8, -1])
def test_gzip_that_is_corrupt(at):
    """Whoever reads is told, in our words, and there is no tidy end after it."""
    packed = bytearray(gzip.compress(BODY))
    packed[at] ^= 0xFF
    mapper = JsonLinks(WHOLE, gzip=True)
    with pytest.raises(ValueError, match="the upstream's answer is corrupt: it is not gzip as it says"):
        list(mapper.feed(bytes(packed)))
    with pytest.raises(UpstreamError):
        mapper.end()


def test_gzip_as_it_arrives():
    """All that can be decompressed is given at once, where a piece ends just there too."""
    packed = gzip.compress(bytes(PIECE + 4000))
    for end in range(1, len(packed)):
        expected = zlib.decompressobj(wbits=31).decompress(packed[:end])
        assert expected == b"".join(JsonLinks(WHOLE, gzip=True).feed(packed[:end]))


def test_gzip_that_grows_without_measure():
    """It is decompressed piece by piece, as it is read."""
    packed = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in JsonLinks(WHOLE, gzip=True).feed(packed)]
        assert 16 * PIECE > tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 64 << 20 == sum(sizes)
    assert max(sizes) <= PIECE
