"""One value alone, of those that say who may call: keys, certificates, names, origins, users, modes."""

import hashlib

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.config import KeyHash, fields
from proxy.secret import Secret

SECRET = "a secret is a text: put it in quotes"
CONTROL = "a secret has no control characters and no line breaks"
HASH = "a key given as a hash is sha256: and 64 hexadecimal digits, as sha256sum prints them"
NOTHING = "this is the hash of nothing: hash the key itself, as in printf %s KEY | sha256sum"
STORE_KEY = "a store key is 32 random bytes in base64, as `openssl rand -base64 32` prints them"
CERTIFICATE = "a certificate is told by a name in it, or by sha256: and its fingerprint"
FINGERPRINT = "a fingerprint is sha256: and 64 hexadecimal digits: openssl x509 -fingerprint -sha256"
HOST = "a host is a name without a port, such as readycloud.internal"
ORIGIN = "an origin is written https://app.example, exactly: no path, no *, and not null"
MODE = "a file mode is written in octal: 0600, 0660 or 0666"
NAMES = "this is a name or a number, or a list of such; true, false, on and off are names in quotes"
KEY = "a key of some length"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
COLONS = ":".join(DIGEST[index : index + 2] for index in range(0, 64, 2))
ZEROS, ONES = "A" * 43 + "=", "_" * 42 + "8="


def taken(kind, value):
    return TypeAdapter(kind).validate_python(value)


def refusals(kind, value):
    with pytest.raises(ValidationError) as caught:
        taken(kind, value)
    return [str(item["ctx"]["error"]) for item in caught.value.errors()]


@pytest.mark.parametrize(
    ("expected", "kind", "value"),
    [
        ((), fields.Hostnames, []),
        ((), fields.Hostnames, ""),
        ((), fields.Hostnames, [None, " "]),
        (("proxy",), fields.Hostnames, "Proxy"),
        (("a.b_c", "192.0.2.1", "[::1]"), fields.Hostnames, ["A.b_c", "192.0.2.1", "[::1]"]),
        (("https://app.example",), fields.Origins, "https://app.example"),
        (("https://app.example",), fields.Origins, [" HTTPS://App.Example:443 "]),
        (("http://app.example",), fields.Origins, ["http://app.example:80"]),
        (("http://app.example:443",), fields.Origins, ["http://app.example:443"]),
        (("https://app.example:80",), fields.Origins, ["https://app.example:80"]),
        (("https://a:8443", "http://localhost:3000"), fields.Origins, ["https://a:8443", "http://localhost:3000"]),
        (("http://[::1]", "http://[::1]:3000"), fields.Origins, ["http://[::1]:80", "http://[::1]:3000"]),
        (("https://xn--bcher-kva.example",), fields.Origins, "https://xn--bcher-kva.example"),
        ((), fields.Origins, []),
        ((), fields.Origins, [""]),
        ((), fields.Origins, None),
        (0o600, fields.FileMode, "0600"),
        (0o660, fields.FileMode, "660"),
        (0o666, fields.FileMode, " 0666 "),
        (0o600, fields.FileMode, 600),
        ((), fields.Texts, []),
        ((), fields.Texts, [""]),
        (("erp",), fields.Texts, "erp"),
        (("erp", "1001"), fields.Texts, [" erp ", "1001"]),
        ("on", fields.VerifyClient, True),
        ("off", fields.VerifyClient, False),
        ("on", fields.VerifyClient, " On "),
        ("off", fields.VerifyClient, "off"),
        ("optional", fields.VerifyClient, "optional"),
        ((), fields.Certificates, None),
        ((), fields.Certificates, ["", "  ", None]),
        (("ERP.internal",), fields.Certificates, " ERP.internal "),
        (("a", f"sha256:{DIGEST}"), fields.Certificates, ["a", f"SHA256:{COLONS.upper()}"]),
        ((f"sha256:{DIGEST}",), fields.Certificates, f"sha256:{DIGEST}"),
        ((), fields.StoreKeys, ""),
        ((), fields.StoreKeys, ["", None, "  \n"]),
        ((Secret(ZEROS),), fields.StoreKeys, f" {ZEROS}\n"),
        ((Secret(ONES), Secret(ZEROS)), fields.StoreKeys, [ONES.replace("_", "/"), "", ZEROS]),
        ((Secret("-" * 42 + "8="),), fields.StoreKeys, "+-" * 21 + "8="),
    ],
)
def test_value(expected, kind, value):
    """A value is taken alone or in a list, in every form that a person would write it in; an empty one is none."""
    assert expected == taken(kind, value)


@pytest.mark.parametrize(
    ("expected", "kind", "values"),
    [
        (HOST, fields.Hostnames, ["*", "*.a", "a:1", "http://a", "a/b", "a.", 5, True, {"a": 1}, [["a"]], ["a", True]]),
        (ORIGIN, fields.Origins, ["https://a/", "https://a/b", "https://a?", "https://a#", "https://a\\b", "a", "//a"]),
        (ORIGIN, fields.Origins, ["*", "https://*", "https://*.a", "null", [None], ["https://a", None], "file://"]),
        (ORIGIN, fields.Origins, ["https://u@a", "https://u:p@a", "https://@a", "ftp://a", "wss://a", "https://"]),
        (ORIGIN, fields.Origins, ["https://a:", "https://a:0443", "https://a:65536", "https://a:b", "https://[:::]"]),
        (ORIGIN, fields.Origins, ["https://\u00e4", "https://a b", "https://a\nb", "https://a,https://b"]),
        (ORIGIN, fields.Origins, [5, True, {"a": 1}, [["https://a"]], ["https://a", True]]),
        (MODE, fields.FileMode, ["0o600", "384", "1777", "60", "rw", "", "0888", True, [600], {}, "-600", None]),
        (NAMES, fields.Texts, [True, [False], {"a": 1}, [["a"]], 5]),
        (CERTIFICATE, fields.Certificates, [True, 5, ["a", True], {"a": 1}, [["a"]], "a\nb", "a\x00", "\ud800"]),
        (FINGERPRINT, fields.Certificates, ["sha256:", "sha256:zz", f"SHA256:{DIGEST[2:]}", f"sha256:{DIGEST}00"]),
        (
            FINGERPRINT,
            fields.Certificates,
            [COLONS, DIGEST.upper(), f"sha256 Fingerprint={COLONS}", ["a", COLONS[:59]]],
        ),
        (SECRET, fields.Keys, [True, 5, {"CANARY": 1}, ["a", True], [["CANARY"]]]),
        (CONTROL, fields.Keys, ["a\nb", ["a", "b\x00c"], "\ufeffa", "\ud800"]),
        (HASH, fields.Keys, ["sha256:", "sha256:CANARY", [KEY, f"SHA256:{DIGEST[2:]}"], f"sha256:{DIGEST}00"]),
        (NOTHING, fields.Keys, ["sha256:" + hashlib.sha256().hexdigest()]),
        (SECRET, fields.StoreKeys, [True, 5, {"CANARY": 1}, [["CANARY"]]]),
        (STORE_KEY, fields.StoreKeys, ["CANARY", [ZEROS, "CANARY"], ZEROS[:-1], "A" * 44, ZEROS * 2, "\u00e4" * 44]),
        (STORE_KEY, fields.StoreKeys, [ZEROS[:20] + " " + ZEROS[20:], "ab" * 32]),
    ],
)
def test_bad_value(expected, kind, values):
    """Anything else is refused in words that do not repeat it."""
    assert [(value, [expected]) for value in values] == [(value, refusals(kind, value)) for value in values]


@pytest.mark.parametrize("value", [["on"], {"on": 1}, 5, "always", ""])
def test_bad_verify_client(value):
    """What is none of the three words is refused."""
    with pytest.raises(ValidationError) as caught:
        taken(fields.VerifyClient, value)
    assert ["literal_error"] == [item["type"] for item in caught.value.errors()]


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ([], None),
        ([], ["", " \n", None]),
        ([KEY], f" {KEY}\n"),
        ([KEY, "other"], [KEY, "other", KEY]),
        ([KEY], f"sha256:{DIGEST}"),
        ([KEY], f"SHA256:{COLONS.upper()}"),
        ([KEY], [KEY, f"sha256:{DIGEST}"]),
        (["p\u00e4ss"], "p\u00e4ss"),
        ([DIGEST], DIGEST),
    ],
)
def test_keys(expected, value):
    """Of a key its hash is kept, however it was given; one of white space is none, so that no empty key opens."""
    assert tuple(KeyHash(hashlib.sha256(key.encode()).digest()) for key in expected) == taken(fields.Keys, value)


@pytest.mark.parametrize(
    ("expected", "value"),
    [([True], "a" * 15), ([False], "a" * 16), ([False], f"sha256:{DIGEST}"), ([False, True], ["a" * 16, "1"])],
)
def test_short_key(expected, value):
    """A key that can be guessed is marked; of a hash nobody knows."""
    assert expected == [key.short for key in taken(fields.Keys, value)]


def test_key_that_is_shown():
    """What a key shows of itself is neither the key nor its hash."""
    (key,) = taken(fields.Keys, "CANARY")
    shown = f"{key!r}{key}"
    assert [] == [text for text in ("CANARY", key.digest.hex(), repr(key.digest)) if text in shown]
