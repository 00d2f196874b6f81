"""PEM files of TLS: those of listeners marked ssl are read, and looked at as callers will look at them.

Authorities of callers, and revocation lists that stand in the same file, are loaded as they will be used.

No text holds anything of what is in the files.
"""

from __future__ import annotations

import contextlib
import ssl
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from .listeners import Listener, set_by
from .source import Source
from .values import TlsFiles

_CERTIFICATE, _KEY = "ssl_certificate", "ssl_certificate_key"
_AUTHORITIES, _VERIFY = "ssl_client_certificate", "ssl_verify_client"
_EXPIRING = 14 * 86400.0  # seconds before its end
_DOUBTS = {  # by OpenSSL's X509_V_ERR_… numbers, x509_vfy.h
    9: "is not valid yet, by this machine's clock",
    10: "has expired, by this machine's clock",
    26: "is not one for a server",
}
_OTHER_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")  # the last: another kind of key
_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")


class CertificateError(ValueError):
    """A PEM file cannot be used; `key` is the configuration's for it."""

    def __init__(self, key: str, text: str) -> None:
        self.key = key
        super().__init__(text)


def check_certificate(source: Source, files: TlsFiles, listeners: Sequence[Listener], variable: str) -> None:
    """Report what is wrong with the files of listeners marked ssl, and as a warning what soon will be.

    `variable` set the data plane's addresses, or is empty.
    """
    marked = dict.fromkeys(path for path, address in listeners if address.tls)
    if marked and files.certificate is None and not source.settled(_CERTIFICATE):
        for path in marked:
            source.report(path, set_by(variable, path) + f"ssl needs a certificate: set {_CERTIFICATE}")
    elif marked and files.certificate is not None:
        try:
            doubt = _doubt(load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files), files.certificate)
        except CertificateError as error:
            source.report((error.key,), str(error))
        else:
            if doubt:
                source.report((_CERTIFICATE,), doubt, warning=True)
    if not source.settled(_AUTHORITIES):
        try:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
        except CertificateError as error:
            source.report((error.key,), str(error))
    if not (marked or source.settled("listen") or source.settled("routes")):
        for key, file in ((_CERTIFICATE, files.certificate), (_AUTHORITIES, files.client_ca)):
            if file is not None:
                text = "no listener is marked ssl, so callers speak plain HTTP: write ssl after an address of listen"
                source.report((key,), text, warning=True)


def load_certificate(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    """Put certificate, chain and key into a server's context, and give it. Raises `CertificateError`."""
    certificate = files.certificate
    if certificate is None:
        raise CertificateError(_CERTIFICATE, "there is none")
    key, where = (files.key, _KEY) if files.key is not None else (certificate, _CERTIFICATE)
    _readable(certificate, _CERTIFICATE)
    _readable(key, where)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except (ssl.SSLError, OSError):
        raise CertificateError(_CERTIFICATE, "this file holds no PEM certificate that OpenSSL can read") from None

    def no_passphrase() -> str:
        text = "the private key is encrypted, and serve has nobody to ask for the passphrase: write it without one"
        raise CertificateError(where, f"{text}, in a file that only its user can read")

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except (ssl.SSLError, OSError) as error:
        raise _unusable(getattr(error, "reason", None) or "", where) from None
    return context


def load_authorities(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Have a server's context ask callers for certificates, and verify them. Raises `CertificateError`.

    Whatever certificate the file holds is trusted to have signed, so it may be an authority below the root.
    """
    if files.client_ca is None:
        if files.client_required:
            raise CertificateError(_VERIFY, f"on needs the authorities of callers' certificates: set {_AUTHORITIES}")
        return
    _readable(files.client_ca, _AUTHORITIES)
    try:
        check_authorities(files.client_ca, context)
    except ValueError as error:
        raise CertificateError(_AUTHORITIES, str(error)) from None
    context.verify_mode = ssl.CERT_REQUIRED if files.client_required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if context.cert_store_stats()["crl"]:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.num_tickets = 0  # each resumed session of TLS 1.3 gets a new ticket: none would ever see a certificate end


def check_authorities(path: Path, context: ssl.SSLContext | None = None) -> None:
    """Have an empty context trust the certificates of a PEM file. Raises ValueError, saying why it cannot."""
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe may never end
            raise ValueError("this is no file")
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ValueError("this file holds no certificates in PEM form that can be read") from None
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except OSError as error:
        raise ValueError(f"this file cannot be read: {error.strerror}") from None
    if not context.cert_store_stats()["x509"]:
        raise ValueError("this file holds no certificates")


def _readable(file: Path, key: str) -> None:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise CertificateError(key, "this is no file")
        file.open("rb").close()
    except FileNotFoundError:
        raise CertificateError(key, "there is no such file") from None
    except OSError as error:
        raise CertificateError(key, f"the file cannot be read: {error.strerror}") from None


def _unusable(reason: str, key: str) -> CertificateError:
    """Say in our words why OpenSSL did not take a certificate that it can read, with its key."""
    if reason in _OTHER_KEY:
        return CertificateError(key, "the private key is not that of the first certificate in ssl_certificate")
    if reason in _WEAK:
        return CertificateError(_CERTIFICATE, "the certificate is weaker than this machine's OpenSSL allows")
    step = f": set {_KEY}" if key == _CERTIFICATE else ""
    return CertificateError(key, f"this file holds no PEM private key that OpenSSL can read{step}")


def _doubt(context: ssl.SSLContext, certificate: Path) -> str:
    """Say why callers refuse the certificate, or soon will; nothing if it is good.

    The ssl module tells of a certificate only what it tells of a peer's: so a client in memory, which trusts what is in
    the file itself, shakes hands.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller, server = client.wrap_bio(down, up), context.wrap_bio(up, down, server_side=True)
    try:
        for side in (caller, server, caller, server, caller):  # TLS 1.2 takes them all
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        until = ssl.cert_time_to_seconds(str((caller.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        why = _DOUBTS.get(error.verify_code, "cannot be verified")
        return f"the certificate, or one of its chain, {why}: callers refuse it"
    except ssl.SSLError:
        return "a client with the usual settings cannot speak TLS with this certificate"
    date = time.strftime("%Y-%m-%d", time.gmtime(until))
    return f"the certificate expires on {date}: renew it" if until - time.time() < _EXPIRING else ""
