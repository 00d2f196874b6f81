"""Whose a caller's certificate is: by its fingerprint, else by a name in it, exactly."""

import hashlib

import pytest

from proxy.callers.certificates import CertificateMap
from proxy.config import ClientConfig

DER = b"a certificate"
PRINT = "sha256:" + hashlib.sha256(DER).hexdigest()
OTHER = "sha256:" + hashlib.sha256(b"another").hexdigest()


def client(name, *certificates):
    return ClientConfig(name, certificates=certificates)


def told(*names, cn=(), san=True):
    """Give what the ssl module tells of a certificate."""
    subject = ((("organizationName", "erp.internal"),), *((("commonName", one),) for one in cn))
    return {"subject": subject, **({"subjectAltName": names} if san else {}), "serialNumber": "01"}


def found(certificates, *names, **more):
    """Tell whether a client of these `certificates` is found by what is told."""
    owner = CertificateMap([client("x", *certificates)]).owner(DER, told(*names, **more))
    return owner is not None


@pytest.mark.parametrize(
    ("written", "kind", "name"),
    [
        ("erp.internal", "DNS", "erp.internal"),
        ("ERP.internal", "DNS", "erp.INTERNAL"),
        ("*.internal", "DNS", "*.internal"),
        ("erp@example.com", "email", "erp@example.com"),
        ("spiffe://example/erp", "URI", "spiffe://example/erp"),
        ("sip:erp@example.com", "URI", "sip:erp@example.com"),
        ("urn:uuid:1", "URI", "urn:uuid:1"),
    ],
)
def test_name(written, kind, name):
    """It is found among the subjectAltNames, wherever it stands there."""
    assert found([written], (kind, name))
    assert found(["other", written], ("DNS", "first"), ("IP Address", "127.0.0.1"), (kind, name))


@pytest.mark.parametrize(
    ("written", "kind", "name"),
    [
        ("erp.internal", "DNS", "*.internal"),
        ("*.internal", "DNS", "erp.internal"),
        ("erp.internal", "DNS", "erp.internal."),
        ("erp.internal", "DNS", "sub.erp.internal"),
        ("erp.internal", "DNS", "erp.internal\0.evil.example"),
        ("erp.internal", "DNS", "erp.internal\0"),
        ("erp.internal", "DNS", " erp.internal"),
        ("erp.internal", "DNS", ""),
        ("k.internal", "DNS", "\u212a.internal"),  # the Kelvin sign, of which k is the lower case
        ("erp.internal", "email", "erp.internal"),
        ("erp.internal", "URI", "erp.internal"),
        ("erp.internal", "DirName", ((("commonName", "erp.internal"),),)),
        ("erp@example.com", "DNS", "erp@example.com"),
        ("erp@example.com", "email", "ERP@example.com"),
        ("erp@example.com", "email", "erp@example.com\0"),
        ("spiffe://example/erp", "DNS", "spiffe://example/erp"),
        ("spiffe://example/erp", "URI", "spiffe://example/ERP"),
        ("127.0.0.1", "IP Address", "127.0.0.1"),
        (PRINT[:-1], "DNS", PRINT[:-1]),
    ],
)
def test_name_that_is_another(written, kind, name):
    """Nothing but the very name, of its own kind, will do: no wildcard, no part, no other case but of DNS."""
    assert not found([written], (kind, name))


@pytest.mark.parametrize("name", ["erp.internal", "The ERP", "erp@example.com", "urn:uuid:1", "Ünïcode"])
def test_common_name(name):
    """It counts where there is no subjectAltName at all, whatever it looks like."""
    assert found([name], cn=[name], san=False)
    assert not found([name], cn=[name.swapcase()], san=False)
    assert not found([name], cn=[name + "\0"], san=False)


@pytest.mark.parametrize("names", [(), (("DNS", "other"),), (("IP Address", "127.0.0.1"),), (("othername", "<x>"),)])
def test_common_name_beside_other_names(names):
    """It does not count, even if there is none of them that could."""
    assert not found(["erp.internal"], *names, cn=["erp.internal"])


def test_several_common_names():
    """None of them counts."""
    assert not found(["erp"], cn=["erp", "other"], san=False)
    assert not found(["erp"], cn=["other", "erp"], san=False)


@pytest.mark.parametrize("names", [{}, None, told(("DNS", "other")), told(cn=["erp"], san=False)])
def test_fingerprint(names):
    """It goes before names, and needs none."""
    by_print, by_name = client("print", OTHER, PRINT), client("name", "erp")
    assert by_print == CertificateMap([by_name, by_print]).owner(DER, names)
    assert CertificateMap([client("other", OTHER)]).owner(DER, told(("DNS", OTHER), ("URI", OTHER))) is None


def test_several_names():
    """Of those that clients have, the certificate's first counts."""
    one, two = client("one", "a"), client("two", "b")
    known = CertificateMap([one, two])
    assert one == known.owner(DER, told(("DNS", "x"), ("DNS", "a"), ("DNS", "b")))
    assert two == known.owner(DER, told(("DNS", "b"), ("DNS", "a")))


@pytest.mark.parametrize("der", [None, b""])
def test_no_certificate(der):
    """It is nobody's, whatever is told of it."""
    assert CertificateMap([client("erp", "erp")]).owner(der, told(("DNS", "erp"))) is None


def test_nothing_that_is_told():
    """Without a name and with another fingerprint it is nobody's."""
    known = CertificateMap([client("erp", "erp", OTHER)])
    assert known.owner(DER, {}) is None
    assert known.owner(DER, None) is None


def test_clients_without_certificates():
    """There is nothing to look up then."""
    assert not CertificateMap([client("erp")])
    assert CertificateMap([client("erp"), client("two", "x")])
