"""TLS 1.2 or later, and HTTP/1.1 inside, at listeners marked ssl.

new files           are used from the next handshake on, all or none; connections that are open go on
callers' proofs     certificates of the configured authorities; one that they did not sign, or not for this, or that
                    has expired, ends the handshake
a failed handshake  is told to the caller: by the alert that belongs to it, or in plain HTTP if that is what it spoke
"""

from __future__ import annotations

import json
import ssl
from typing import Any

from ..config import TlsFiles
from ..config.certificate import CertificateError, load_authorities, load_certificate
from ..errors import ListenError
from .handshakes import Handshakes

SPEAK_TLS = "plain HTTP was spoken where TLS is: call https:// here"  # what nginx calls 497

HANDSHAKES = 512  # at a time
_NOT_TLS = ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER")  # OpenSSL's words, for a first record


class ListenerTls(ssl.SSLContext):
    """What listeners keep: each handshake goes by the newest files that could be used.

    Each set of files has a context of its own, with ticket keys of its own. So what was proved to the authorities of
    before is not taken from a session that is resumed: it is proved anew.
    """

    _newest: ssl.SSLContext
    handshakes: Handshakes  # under way

    def reload(self, files: TlsFiles) -> None:
        """Use other files, or what is in them now. Raises `ListenError` with one sentence; then all is as before."""
        self._newest = _context(files)

    def take_over(self, prepared: ListenerTls) -> None:
        """Use what was prepared of other files."""
        self._newest = prepared._newest

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Give our side of TLS with one caller."""
        made = self._newest.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, _Session):
            made.incoming, made.outgoing = incoming, outgoing
        return made

    def is_outdated(self, session: ssl.SSLObject) -> bool:
        """Tell whether a certificate was shown to other authorities than the newest."""
        return session.context is not self._newest and session.getpeercert(binary_form=True) is not None


def listener_tls(files: TlsFiles, handshakes: int = HANDSHAKES) -> ListenerTls:
    """Give the context of listeners marked ssl, with so many `handshakes` at a time at most.

    Raises `ListenError` with one sentence.
    """
    context = ListenerTls(ssl.PROTOCOL_TLS_SERVER)
    context.handshakes = Handshakes(handshakes)
    context.reload(files)
    return context


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = _Session
    try:
        load_certificate(context, files)
        load_authorities(context, files)
    except CertificateError as error:
        raise ListenError(f"cannot speak TLS: {error.key}: {error}") from None
    return context


def _plain_answer() -> bytes:
    """Give the answer to plain HTTP, in the form that all errors of ours have."""
    fields = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": SPEAK_TLS}
    ours = {"error": "invalid_request", "error_description": SPEAK_TLS, "details": "caller failed"}
    body = json.dumps(fields | ours).encode() + b"\n"
    head = (
        "HTTP/1.1 400 Bad Request",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        f'Proxy-Status: bearer-proxy; error=http_request_error; details="{SPEAK_TLS}"',
        "Connection: close",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class _Session(ssl.SSLObject):
    """Our side of TLS with one caller.

    asyncio drops what OpenSSL has to say when a handshake fails. So a failure is put off: what there is to say goes
    out, whatever still comes is dropped, and the connection ends with the caller, or with the handshake's time.
    """

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    _begun = False
    _failed = False

    def do_handshake(self) -> None:
        """Go on as far as possible. Raises `SSLWantReadError` where more is to come."""
        if self._failed:
            self.incoming.read()
            raise ssl.SSLWantReadError
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            self._begun = self._begun or self.outgoing.pending > 0
            raise
        except ssl.SSLError as error:
            self._failed = True
            if not self._begun and error.reason in _NOT_TLS:
                self.outgoing.read()
                self.outgoing.write(_plain_answer())
            if self.outgoing.pending:
                raise ssl.SSLWantReadError from None
            raise

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Give the caller's certificate; nothing of it but its bytes if a name in it is written as no name may be.

        The ssl module raises then, at which asyncio takes the whole handshake for a fault of ours.
        """
        try:
            return super().getpeercert(binary_form)
        except (UnicodeDecodeError, ssl.SSLError):
            return {}
