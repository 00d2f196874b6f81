"""Asks an address of our data plane for what only ours answers: with TLS or without, at ports and at unix sockets.

The certificate is not verified: it is ours, and made for other names than the one called here.
"""

from __future__ import annotations

import asyncio
import re
import ssl

from .. import __version__
from ..config import Address
from ..listen import SPEAK_TLS
from .asking import Way
from .facts import Failure, Holder

_LONGEST_HEAD = 64 << 10  # bytes
_SIGNED = re.compile(rb"\r\nproxy-status:[ \t]*bearer-proxy", re.IGNORECASE)


async def holder_at(address: Address, host: str, way: Way) -> Holder:
    """Tell who answers there, as far as one request shows. `way` is told how far it has come.

    Ours that speaks TLS where the configuration does not, or the other way round, does not listen at this address.
    """
    head = await _answer(address, host, way, tls=address.tls)
    if head is None and address.tls:
        head = await _answer(address, host, way, tls=False)
        if isinstance(head, bytes) and SPEAK_TLS.encode() in head:
            return Holder.OURS  # it wants a certificate, and we have none
        return Holder.NOBODY if isinstance(head, bytes) and _SIGNED.search(head) else Holder.ANOTHER
    if not isinstance(head, bytes):
        return head or Holder.ANOTHER
    if SPEAK_TLS.encode() in head:
        return Holder.NOBODY
    return Holder.OURS if _SIGNED.search(head) else Holder.ANOTHER


async def _answer(address: Address, host: str, way: Way, *, tls: bool) -> bytes | Holder | None:
    """Give the head of the answer, or who there is if it cannot be asked, or None where HTTP is not what is spoken."""
    try:
        reader, writer = await (
            asyncio.open_unix_connection(address.path, limit=_LONGEST_HEAD)
            if address.path
            else asyncio.open_connection(host, address.port, limit=_LONGEST_HEAD)
        )
    except PermissionError:
        return Holder.HIDDEN
    except OSError:
        return Holder.NOBODY
    way.late = Failure.ANSWER_TIMEOUT
    try:
        if tls:
            await writer.start_tls(_unverified())
        # Refused before it is routed (D3): it reaches no vendor, and the refusal is signed.
        where = host if address.path else Address(host, address.port).place
        writer.write(
            f"GET /.. HTTP/1.1\r\nHost: {where}\r\nUser-Agent: bearer-proxy/{__version__} doctor\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        return await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    finally:
        writer.transport.abort()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
