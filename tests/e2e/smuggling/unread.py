"""How much of what was sent has not been read yet by the process on the other side, as the Linux kernel tells it.

With this, a sender can put every segment before its reader by itself, and never needs to wait for a while and hope. The
question goes to sock_diag(7), by the addresses of exactly one connection; other systems give no answer, which reads 0.
"""

from __future__ import annotations

import socket
import struct

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = 1  # NLM_F_REQUEST
_ANY_STATE = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_RECEIVE_QUEUE = _HEADER.size + 56  # where struct inet_diag_msg has idiag_rqueue

Address = tuple[str, int]


def unread_by_peer(connection: socket.socket) -> int:
    """Give the bytes that wait in the receive queue of the other end of a connection on this machine's 127.0.0.1."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return 0
    theirs, ours = connection.getpeername(), connection.getsockname()
    with socket.socket(family, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
        kernel.sendto(_question(theirs, ours), (0, 0))
        answer = kernel.recv(8192)
    if _HEADER.unpack_from(answer)[1] != _BY_FAMILY:  # that connection is no more
        return 0
    (count,) = struct.unpack_from("=I", answer, _RECEIVE_QUEUE)
    return int(count)


def _question(local: Address, remote: Address) -> bytes:
    """A struct inet_diag_req_v2 for the one socket with these addresses."""
    addresses = b"".join(socket.inet_aton(host) + bytes(12) for host, _ in (local, remote))
    identity = struct.pack("!HH", local[1], remote[1]) + addresses + struct.pack("=I", 0) + _NO_COOKIE
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + identity
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0) + body
