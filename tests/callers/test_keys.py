"""Keys in a request: found however they are given, and opened only by their hashes."""

import hashlib
from base64 import b64encode
from hmac import compare_digest

import pytest

from proxy.callers.keys import KeyRing, given_digests
from proxy.config import ClientConfig
from proxy.config.fields import KeyHash

KEY = b"0123456789abcdef"
UMLAUT = "schl\u00fcssel-0123456"


def digest(key):
    return hashlib.sha256(key).digest()


def basic(pair, scheme=b"Basic"):
    return scheme + b" " + b64encode(pair)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (KEY, b"Bearer " + KEY),
        (KEY, b"bearer " + KEY),
        (KEY, b"BEARER   " + KEY + b" "),
        (KEY, b" Bearer " + KEY),
        (b"a b", b"Bearer a b"),
        (KEY, basic(b"erp:" + KEY)),
        (KEY, basic(b":" + KEY)),
        (KEY, basic(b"erp:" + KEY, b"bASIC")),
        (KEY, b"Basic  " + b64encode(b"erp:" + KEY)),
        (b"a:b:c", basic(b"erp:a:b:c")),
        (b":", basic(b"erp::")),
        (b" a ", basic(b"erp: a ")),
        (UMLAUT.encode(), basic(b"erp:" + UMLAUT.encode())),
        (UMLAUT.encode(), basic(b"erp:" + UMLAUT.encode("latin-1"))),
        (UMLAUT.encode(), b"Bearer " + UMLAUT.encode()),
        (UMLAUT.encode(), b"Bearer " + UMLAUT.encode("latin-1")),
        (basic(b"erp:" + KEY), b"Bearer " + basic(b"erp:" + KEY)),
    ],
)
def test_field(expected, value):
    """A key is a bearer token or a Basic password, whatever the scheme's letter case and the blanks around."""
    assert (digest(expected),) == given_digests([value])


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Basic",
        b"Basic ",
        KEY,
        b"Bearer\t" + KEY,
        b"Token " + KEY,
        b"Bearer=" + KEY,
        b"Digest username=erp",
        basic(KEY),
        basic(b"erp:"),
        basic(b":"),
        basic(b""),
        b"Basic !" + b64encode(b"erp:" + KEY),
        b"Basic " + b64encode(b"erp:" + KEY)[:-1],
        b"Basic " + b64encode(b"erp:" + KEY) + b"=",
        b"Basic erp:" + KEY,
        b"Basic \xff\xfe",
    ],
)
def test_field_without_key(value):
    """What holds no key, or is broken, gives none, and no error."""
    assert () == given_digests([value])


@pytest.mark.parametrize(
    ("expected", "query"),
    [
        ((KEY,), "access_token=0123456789abcdef"),
        ((KEY,), "bearer_token=0123456789abcdef"),
        ((KEY,), "a=1&access_token=0123456789abcdef&b=2"),
        ((KEY,), "a=1;access_token=0123456789abcdef;b=2"),
        ((KEY,), "access%5Ftoken=0123456789abcdef"),
        ((KEY,), "access%5ftok%65n=0123456789abcdef"),
        ((KEY,), "%61%63%63%65%73%73%5F%74%6F%6B%65%6E=0123456789abcdef"),
        ((KEY,), "access_token=%30123456789abcdef"),
        ((KEY,), "+access_token+=0123456789abcdef"),
        ((KEY,), "access_token=0123456789abcdef&access_token=0123456789abcdef"),
        ((b"a", b"b"), "access_token=a&access_token=b"),
        ((b"a", b"b"), "bearer_token=a&access_token=b"),
        ((b"a=b==",), "access_token=a=b=="),
        ((b"a+b", b"a b"), "access_token=a+b"),
        ((b"a+b",), "access_token=a%2Bb"),
        ((b"a%2",), "access_token=a%2"),
        ((b"a;b",), "access_token=a%3Bb"),
        ((UMLAUT.encode(),), "access_token=schl%C3%BCssel-0123456"),
        ((UMLAUT.encode(),), "access_token=schl%FCssel-0123456"),
        ((UMLAUT.encode(),), "access_token=schl\u00c3\u00bcssel-0123456"),
        ((UMLAUT.encode(),), "access_token=schl\u00fcssel-0123456"),
        ((), ""),
        ((), "access_token"),
        ((), "access_token="),
        ((), "=0123456789abcdef"),
        ((), "Access_Token=0123456789abcdef"),
        ((), "xaccess_token=0123456789abcdef"),
        ((), "access_token[]=0123456789abcdef"),
        ((), "token=0123456789abcdef"),
        ((), "a=access_token=0123456789abcdef"),
    ],
)
def test_query(expected, query):
    """A key is the value of `access_token` or `bearer_token`, both read as a query is read by servers."""
    assert tuple(map(digest, expected)) == given_digests([], query)


def test_order():
    """Fields come before the query, and what is given twice is one key."""
    fields = [b"Bearer a", basic(b"erp:b"), b"Bearer a"]
    assert tuple(map(digest, [b"a", b"b", b"c"])) == given_digests(fields, "access_token=c&bearer_token=a")


def test_more_keys_than_are_looked_at():
    """Only the first four count: one request tries no more."""
    query = "&".join(f"access_token={number}" for number in range(1000))
    assert tuple(map(digest, [b"x", b"0", b"1", b"2"])) == given_digests([b"Bearer x"], query)


def hashed(*texts):
    return tuple(KeyHash(digest(text.encode())) for text in texts)


def test_owner():
    """Each key of a client opens, while it is rotated, and a client without any has none."""
    erp, two = ClientConfig("erp", hashed("a")), ClientConfig("two", hashed("new", "old"))
    ring = KeyRing([erp, two, ClientConfig("three", certificates=("x",))])
    assert [erp, two, two] == [ring.owner(digest(key)) for key in (b"a", b"new", b"old")]
    assert [None] * 4 == [ring.owner(one) for one in (digest(b"b"), digest(b""), b"", b"a")]
    assert (True, False) == (bool(ring), bool(KeyRing([ClientConfig("three", certificates=("x",))])))


def test_hash_given_as_a_key():
    """Who has read the configuration, where a key is a hash, cannot call with that."""
    written = hashlib.sha256(KEY).hexdigest()
    ring = KeyRing([ClientConfig("erp", (KeyHash(digest(KEY)),))])
    for text in (written, f"sha256:{written}"):
        assert [None] == [ring.owner(one) for one in given_digests([f"Bearer {text}".encode()])]
        assert [None] == [ring.owner(one) for one in given_digests([], f"access_token={text}")]


def test_comparison(monkeypatch):
    """What is found by its hash is compared in constant time, and what is not found is compared with nothing."""
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return compare_digest(one, other)

    monkeypatch.setattr("hmac.compare_digest", compare)
    ring = KeyRing([ClientConfig("erp", hashed("a"))])
    assert ring.owner(digest(b"b")) is None
    assert [(b"", digest(b"b"))] == compared
    assert ring.owner(digest(b"a")) is not None
    assert [(digest(b"a"), digest(b"a"))] == compared[1:]


def test_nothing_of_a_key_in_a_text():
    """Neither a client nor a ring shows a key or its hash."""
    client = ClientConfig("erp", hashed("a"))
    shown = f"{client!r} {client} {KeyRing([client])!r}"
    assert digest(b"a").hex() not in shown
    assert repr(digest(b"a")) not in shown
