"""What the tests of segments stand on: the kernel tells whether a segment has been read."""

from __future__ import annotations

import socket
import sys

import pytest

from tests.e2e.smuggling.unread import unread_by_peer


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_unread_bytes() -> None:
    """Bytes count until they are read, and those of a closed connection do not."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        reader, _ = server.accept()
        with reader:
            sender.sendall(b"hello")
            assert 5 == unread_by_peer(sender)
            reader.recv(3)
            assert 2 == unread_by_peer(sender)
            reader.recv(3)
            assert 0 == unread_by_peer(sender)
        assert 0 == unread_by_peer(sender)
