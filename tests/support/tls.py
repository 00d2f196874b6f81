"""Certificates of every kind, of an authority that keeps its own in a folder."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CALLER = ExtendedKeyUsageOID.CLIENT_AUTH

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey
Names = Sequence[x509.GeneralName] | bytes | None  # bytes: as they stand in the certificate


def elliptic() -> ec.EllipticCurvePrivateKey:
    """A key of today's usual kind."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Key, passphrase: bytes = b"", form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """A key as it stands in a file."""
    return key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(passphrase) if passphrase else NoEncryption())


def made(
    key: Key,
    ca: trustme.CA | None = None,
    *,
    cn: Sequence[str] = ("localhost",),
    names: Names = None,
    begins: dt.timedelta = -DAY,
    ends: dt.timedelta = 90 * DAY,
    purpose: x509.ObjectIdentifier = SERVER,
) -> bytes:
    """A certificate that begins and ends so long from now, as PEM. Signed by its own key unless by an authority."""
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in cn])
    issuer = subject if ca is None else x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if isinstance(names, bytes):
        raw = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, names)
        builder = builder.add_extension(raw, critical=False)
    elif names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(key if ca is None else _key_of(ca), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def revoked(ca: trustme.CA, certificate: bytes) -> bytes:
    """The list in which an authority takes back one of its certificates, as PEM."""
    now = dt.datetime.now(dt.UTC)
    serial = x509.load_pem_x509_certificate(certificate).serial_number
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - HOUR).build()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject)
        .last_update(now - HOUR)
        .next_update(now + DAY)
        .add_revoked_certificate(entry)
    )
    return builder.sign(_key_of(ca), hashes.SHA256()).public_bytes(Encoding.PEM)


def der(file: Path) -> bytes:
    """The first certificate of a file, as it goes over the wire."""
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)


def _key_of(ca: trustme.CA) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


class Authority:
    """Signs what callers or listeners show, and keeps all that in a folder. `file` holds its own certificate."""

    def __init__(self, folder: Path, ca: trustme.CA | None = None, name: str = "ca.pem") -> None:
        self.folder = folder
        self.ca = ca or trustme.CA()
        self.file = folder / name
        self.ca.cert_pem.write_to_path(str(self.file))

    def trust(self, proof: Path | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a caller goes by who trusts it, and who shows a certificate of its own if there is a `proof`."""
        context = ssl.create_default_context(cafile=self.file)
        if proof is not None:
            context.load_cert_chain(proof)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def listener(self) -> dict[str, str]:
        """Write a certificate for localhost and its key, anew; give the keys of the configuration for them."""
        made = self.ca.issue_cert("localhost", "127.0.0.1")
        (self.folder / "c.pem").write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(self.folder / "k.pem"))
        return {"ssl_certificate": "c.pem", "ssl_certificate_key": "k.pem"}

    def proof(
        self,
        file: str,
        names: Names = None,
        *,
        cn: Sequence[str] = ("nobody",),
        ends: dt.timedelta = DAY,
        begins: dt.timedelta = -2 * DAY,
        purpose: x509.ObjectIdentifier = CALLER,
    ) -> Path:
        """Write a caller's certificate with all that it needs."""
        key = elliptic()
        certificate = made(key, self.ca, cn=cn, names=names, begins=begins, ends=ends, purpose=purpose)
        above = [self.ca.cert_pem.bytes()] if self.ca.parent_cert is not None else []
        path = self.folder / file
        path.write_bytes(b"".join([certificate, *above, pem(key)]))
        return path
