"""How the proxy is reached: its addresses held against each other, the certificate of those marked ssl, who may call.

Takes validated values, reports into the `Source` that they came from. Of files it reads those of the certificate only,
and no text holds anything of what is in them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .address import Address, Network
from .source import KeyPath, Source
from .values import EVERYBODY, LOOPBACK_ONLY, Anonymous, TlsFiles

Listener = tuple[KeyPath, Address]  # where it is written, and the address

_BEYOND = (
    "this listens beyond loopback, so that others call in your name: say who may, "
    "with anonymous: any or a list of networks, or listen on localhost"
)
_PLANES: tuple[KeyPath, ...] = (("listen",), ("admin",))
_WIDE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - compared, not bound
_CERTIFICATE, _KEY = "ssl_certificate", "ssl_certificate_key"
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


def check_listeners(source: Source, planes: Sequence[Listener], own: Sequence[Listener]) -> None:
    """Report addresses that cannot be listened on at the same time. Routes may share a listener of their own."""
    taken: list[Listener] = []
    for path, address in planes:
        _report_overlap(source, path, address, taken)
        taken.append((path, address))
    for path, address in own:
        _report_overlap(source, path, address, [one for one in taken if one[1] != address or one[0] in _PLANES])
        taken.append((path, address))


def admitted(source: Source, value: Any, listeners: Sequence[Listener], variable: str) -> Anonymous:
    """Read `anonymous`; without it nobody may listen beyond loopback. `variable` set the data plane's, or is empty."""
    if value in (None, ""):
        if not source.settled("anonymous"):
            for path in dict.fromkeys(path for path, address in listeners if not address.loopback):
                source.report(path, _set_by(variable, path) + _BEYOND)
        return LOOPBACK_ONLY
    if value == "none":
        source.report(("anonymous",), "none needs clients, which this version lacks: use loopback or networks")
    elif value == "any":
        return EVERYBODY
    elif value != "loopback":
        return Anonymous(tuple(_networks(source, value)))
    return LOOPBACK_ONLY


def check_certificate(source: Source, files: TlsFiles, listeners: Sequence[Listener], variable: str) -> None:
    """Report what is wrong with the certificate of listeners marked ssl, and as a warning what soon will be.

    `variable` set the data plane's addresses, or is empty.
    """
    marked = dict.fromkeys(path for path, address in listeners if address.tls)
    if marked and files.certificate is None and not source.settled(_CERTIFICATE):
        for path in marked:
            source.report(path, _set_by(variable, path) + f"ssl needs a certificate: set {_CERTIFICATE}")
    elif marked and files.certificate is not None:
        try:
            doubt = _doubt(load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files), files.certificate)
        except CertificateError as error:
            source.report((error.key,), str(error))
        else:
            if doubt:
                source.report((_CERTIFICATE,), doubt, warning=True)
    elif files.certificate is not None and not (source.settled("listen") or source.settled("routes")):
        text = "no listener is marked ssl, so callers speak plain HTTP: write ssl after an address of listen"
        source.report((_CERTIFICATE,), text, warning=True)


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


def _set_by(variable: str, path: KeyPath) -> str:
    return f"{variable}: " if variable and path == ("listen",) else ""


def _networks(source: Source, value: Any) -> Iterator[Network]:
    if not isinstance(value, list) or not value:
        source.report(("anonymous",), "this must be loopback, any, or a list of networks such as 10.0.0.0/8")
        return
    for index, item in enumerate(value):
        try:
            yield ipaddress.ip_network(str(item), strict=False)
        except ValueError:
            source.report(("anonymous", index), "a network is written 10.0.0.0/8 or fd00::/8")


def _report_overlap(source: Source, path: KeyPath, address: Address, taken: Sequence[Listener]) -> None:
    for where, other in taken:
        if _overlap(other, address):
            who = str(where[0]) if where in _PLANES else "another route"
            how = f", {'with' if other.tls else 'without'} ssl" if other.tls is not address.tls else ""
            source.report(path, f"{address} is listened on by {who} already{how}")
            return


def _overlap(one: Address, other: Address) -> bool:
    if one.path or other.path:
        return one.path == other.path
    if one.port == 0 or one.port != other.port:
        return False
    pairs = ((a, b) for a in one.hosts for b in other.hosts)
    return any(a == b or (_family(a) == _family(b) != 0 and _WIDE[_family(a)] in (a, b)) for a, b in pairs)


def _family(host: str) -> int:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return 0
