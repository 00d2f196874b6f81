"""The certificate of listeners marked ssl: what is wrong with its files, and what callers will think of it."""

import errno
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from proxy.config import TlsFiles
from proxy.config.certificate import CertificateError, load_certificate
from tests.support.tls import CALLER, DAY, HOUR, elliptic, made, pem, revoked

NOTHING_BUT = "nothing but ssl may follow an address"
CREDENTIAL = "credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}\n"
NEEDED = "ssl needs a certificate: set ssl_certificate"
UNUSED = "warning: no listener is marked ssl, so callers speak plain HTTP: write ssl after an address of listen"
NO_CERTIFICATE = "this file holds no PEM certificate that OpenSSL can read"
NO_KEY = "this file holds no PEM private key that OpenSSL can read"
ENCRYPTED = (
    "the private key is encrypted, and serve has nobody to ask for the passphrase: "
    "write it without one, in a file that only its user can read"
)
OTHERS = "the private key is not that of the first certificate in ssl_certificate"
WEAK = "the certificate is weaker than this machine's OpenSSL allows"
DOUBT = "warning: the certificate, or one of its chain, {}: callers refuse it"
LISTEN = "listen: 127.0.0.1:8443 ssl\n"
WITH_KEY = f"{LISTEN}ssl_certificate: c.pem\nssl_certificate_key: k.pem"


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def good(ca):
    """Give a certificate with its chain, and its key, as PEM."""
    made = ca.issue_cert("localhost")
    return b"".join(one.bytes() for one in made.cert_chain_pems), made.private_key_pem.bytes()


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([f"1: listen: {NEEDED}"], LISTEN),
        ([f"1: listen: {NEEDED}"], "listen: ['127.0.0.1:1 ssl', 'localhost:2 ssl']"),
        ([f"1: listen: {NEEDED}"], f"{LISTEN}ssl_certificate_key: k.pem"),
        ([f"1: listen: {NEEDED}"], f"{LISTEN}ssl_certificate: ''"),
        ([f"3: routes.0.listen: {NEEDED}"],
         CREDENTIAL + "routes:\n  - {listen: '127.0.0.1:1 ssl', credential: a}"),
        ([f"1: ssl_certificate: {UNUSED}"], "ssl_certificate: c.pem"),
        (["2: ssl_certificate: the environment variable UNSET is not set: set it, or write ${UNSET:-}"],
         f"{LISTEN}ssl_certificate: ${{UNSET}}"),
        ([f"1: listen: {NOTHING_BUT}"], "listen: localhost:8443 tls\nssl_certificate: c.pem"),
        ([], "ssl_certificate_key: k.pem"),
    ],
)  # fmt: skip
def test_certificate_that_is_not_named(lines, expected, text):
    """A listener marked ssl needs one, and one that no listener presents is doubted; nothing is told twice."""
    assert [f"config.yaml:{line}" for line in expected] == lines(text)


def test_certificate_that_the_variable_needs(lines):
    """That is told as the variable's fault."""
    expected = f"config.yaml:1: listen: BEARER_PROXY_LISTEN: {NEEDED}"
    assert [expected] == lines("listen: localhost:1", BEARER_PROXY_LISTEN="localhost:1 ssl")


def test_good_files(lines, loaded, good, tmp_path):
    """The key may stand in a file of its own or in the certificate's; both are found beside the configuration."""
    for name, text in (("c.pem", good[0]), ("k.pem", good[1]), ("both.pem", b"".join(good))):
        (tmp_path / name).write_bytes(text)
    assert [] == lines(WITH_KEY)
    assert TlsFiles(None, tmp_path / "c.pem", tmp_path / "k.pem") == loaded(WITH_KEY).tls
    assert [] == lines(f"{LISTEN}ssl_certificate: both.pem")
    assert TlsFiles(None, tmp_path / "both.pem") == loaded(f"{LISTEN}ssl_certificate: both.pem").tls


def test_files_that_cannot_be_read(lines, good, tmp_path, monkeypatch):
    """Which file, at its line, and why."""
    absent = "there is no such file"
    assert [f"config.yaml:2: ssl_certificate: {absent}"] == lines(WITH_KEY)
    (tmp_path / "c.pem").write_bytes(good[0])
    assert [f"config.yaml:3: ssl_certificate_key: {absent}"] == lines(WITH_KEY)
    (tmp_path / "k.pem").mkdir()
    assert ["config.yaml:3: ssl_certificate_key: this is no file"] == lines(WITH_KEY)
    (tmp_path / "k.pem").rmdir()
    (tmp_path / "k.pem").write_bytes(good[1])
    opens = Path.open

    def refuse(path, *arguments, **more):
        if path.name == "k.pem":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    expected = "config.yaml:3: ssl_certificate_key: the file cannot be read: Permission denied"
    assert [expected] == lines(WITH_KEY)


@pytest.mark.parametrize("text", [b"", b"CANARY\n", b"\xff\x00CANARY", "cut", "key"])
def test_file_without_a_certificate(lines, good, tmp_path, text):
    """It is told, and nothing of the file is."""
    certificate = {"cut": good[0][:300], "key": good[1]}.get(text, text)
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(good[1])
    assert [f"config.yaml:2: ssl_certificate: {NO_CERTIFICATE}"] == lines(WITH_KEY)


@pytest.mark.parametrize("text", [b"", b"CANARY\n", "cut", "certificate"])
def test_file_without_a_key(lines, good, tmp_path, text):
    """It is told, and where the other key was left out, what to set."""
    key = {"cut": good[1][:100], "certificate": good[0]}.get(text, text)
    (tmp_path / "c.pem").write_bytes(good[0])
    (tmp_path / "k.pem").write_bytes(key)
    assert [f"config.yaml:3: ssl_certificate_key: {NO_KEY}"] == lines(WITH_KEY)
    expected = f"config.yaml:2: ssl_certificate: {NO_KEY}: set ssl_certificate_key"
    assert [expected] == lines(f"{LISTEN}ssl_certificate: c.pem")


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_key(lines, tmp_path, form, capfd):
    """It is refused, and nobody is asked for the passphrase."""
    key = elliptic()
    encrypted = pem(key, b"CANARY", form)
    (tmp_path / "c.pem").write_bytes(made(key))
    (tmp_path / "k.pem").write_bytes(encrypted)
    assert [f"config.yaml:3: ssl_certificate_key: {ENCRYPTED}"] == lines(WITH_KEY)
    (tmp_path / "c.pem").write_bytes(made(key) + encrypted)
    assert [f"config.yaml:2: ssl_certificate: {ENCRYPTED}"] == lines(f"{LISTEN}ssl_certificate: c.pem")
    assert ("", "") == capfd.readouterr()


@pytest.mark.parametrize("kind", [elliptic, lambda: rsa.generate_private_key(65537, 2048)])
def test_key_of_another_certificate(lines, tmp_path, kind):
    """It is refused, whichever kind it is of."""
    (tmp_path / "c.pem").write_bytes(made(elliptic()))
    (tmp_path / "k.pem").write_bytes(pem(kind()))
    assert [f"config.yaml:3: ssl_certificate_key: {OTHERS}"] == lines(WITH_KEY)


def test_chain_that_begins_with_another_certificate(lines, tmp_path):
    """The server's own comes first; any order after that is the callers' affair."""
    key = elliptic()
    (tmp_path / "k.pem").write_bytes(pem(key))
    (tmp_path / "c.pem").write_bytes(made(elliptic()) + made(key))
    assert [f"config.yaml:3: ssl_certificate_key: {OTHERS}"] == lines(WITH_KEY)
    (tmp_path / "c.pem").write_bytes(made(key) + made(elliptic()))
    assert [] == lines(WITH_KEY)


def test_weak_certificate(lines, tmp_path):
    """What OpenSSL finds too weak is told to be so."""
    key = rsa.generate_private_key(65537, 1024)
    (tmp_path / "c.pem").write_bytes(made(key))
    (tmp_path / "k.pem").write_bytes(pem(key))
    assert [f"config.yaml:2: ssl_certificate: {WEAK}"] == lines(WITH_KEY)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ([], {"ends": 14 * DAY + HOUR}),
        (["warning: the certificate expires on {end}: renew it"], {"ends": 14 * DAY - HOUR}),
        (["warning: the certificate expires on {end}: renew it"], {"ends": HOUR}),
        ([DOUBT.format("has expired, by this machine's clock")], {"begins": -3 * DAY, "ends": -HOUR}),
        ([DOUBT.format("is not valid yet, by this machine's clock")], {"begins": HOUR}),
        ([DOUBT.format("is not one for a server")], {"purpose": CALLER}),
    ],
)
def test_certificate_that_callers_refuse(lines, tmp_path, expected, changes):
    """One past its end, or near it, one of tomorrow and one for another use are warnings: it can still be presented."""
    key = elliptic()
    certificate = made(key, **changes)
    end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc.date()
    (tmp_path / "c.pem").write_bytes(certificate)
    (tmp_path / "k.pem").write_bytes(pem(key))
    assert [f"config.yaml:2: ssl_certificate: {line.format(end=end)}" for line in expected] == lines(WITH_KEY)


def test_certificate_of_a_kind_that_nobody_speaks(lines, tmp_path):
    """That no client of today can use it is a warning too."""
    key = dsa.generate_private_key(2048)
    (tmp_path / "c.pem").write_bytes(made(key))
    (tmp_path / "k.pem").write_bytes(pem(key))
    expected = "warning: a client with the usual settings cannot speak TLS with this certificate"
    assert [f"config.yaml:2: ssl_certificate: {expected}"] == lines(WITH_KEY)


def test_no_certificate():
    """Whoever loads none is told so, by the key that names it."""
    with pytest.raises(CertificateError, match="there is none") as caught:
        load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), TlsFiles())
    assert "ssl_certificate" == caught.value.key


AUTHORITIES = "ssl_client_certificate: ca.pem"
BELOW = "listen: 127.0.0.1:8443 ssl\nssl_certificate: both.pem\n"


@pytest.fixture
def both(good, tmp_path):
    """Write the listener's certificate and key."""
    (tmp_path / "both.pem").write_bytes(b"".join(good))


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (False, ""),
        (False, "ssl_verify_client: optional"),
        (True, "ssl_verify_client: on"),
        (True, "ssl_verify_client: true"),
    ],
)
def test_authorities_of_callers(lines, loaded, both, ca, tmp_path, expected, line):
    """They are found beside the configuration, and certificates are optional unless said."""
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    text = f"{BELOW}{AUTHORITIES}\n{line}"
    assert [] == lines(text)
    tls = loaded(text).tls
    assert (tmp_path / "ca.pem", expected) == (tls.client_ca, tls.client_required)


def test_authorities_that_are_switched_off(lines, loaded, both):
    """They are not looked at."""
    text = f"{BELOW}{AUTHORITIES}\nssl_verify_client: off"
    assert [] == lines(text)
    assert (None, False) == (loaded(text).tls.client_ca, loaded(text).tls.client_required)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("there is no such file", None),
        ("this is no file", "folder"),
        ("this file holds no certificates in PEM form that can be read", ""),
        ("this file holds no certificates in PEM form that can be read", "CANARY"),
        ("this file holds no certificates in PEM form that can be read", "key"),
    ],
)
def test_authorities_that_cannot_be_used(lines, both, good, tmp_path, expected, text):
    """It is told, at their line, and nothing of the file is."""
    if text == "folder":
        (tmp_path / "ca.pem").mkdir()
    elif text is not None:
        (tmp_path / "ca.pem").write_bytes(good[1] if text == "key" else text.encode())
    assert [f"config.yaml:3: ssl_client_certificate: {expected}"] == lines(BELOW + AUTHORITIES)


@pytest.mark.parametrize("text", ["revoked", "both"])
def test_revocation_lists_among_the_authorities(lines, both, ca, tmp_path, text):
    """They may stand beside certificates, and are none."""
    (tmp_path / "ca.pem").write_bytes(
        revoked(ca, made(elliptic(), ca)) + (ca.cert_pem.bytes() if text == "both" else b"")
    )
    expected = [] if text == "both" else ["config.yaml:3: ssl_client_certificate: this file holds no certificates"]
    assert expected == lines(BELOW + AUTHORITIES)


def test_authorities_without_a_listener(lines, ca, tmp_path):
    """Where no listener is marked ssl they are doubted, at their own line."""
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert [f"config.yaml:1: ssl_client_certificate: {UNUSED}"] == lines(AUTHORITIES)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["3: ssl_verify_client: on needs the authorities of callers' certificates: set ssl_client_certificate"],
         "ssl_verify_client: on"),
        (["3: ssl_verify_client: on needs the authorities of callers' certificates: set ssl_client_certificate"],
         "ssl_verify_client: on\nssl_client_certificate: ''"),
        (["4: ssl_client_certificate: the environment variable UNSET is not set: set it, or write ${UNSET:-}"],
         "ssl_verify_client: on\nssl_client_certificate: ${UNSET}"),
    ],
)  # fmt: skip
def test_certificates_required_without_authorities(lines, both, expected, text):
    """Nobody could be admitted; nothing is told twice."""
    assert [f"config.yaml:{line}" for line in expected] == lines(BELOW + text)
