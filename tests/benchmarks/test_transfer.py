"""What the ends of a transfer in this process take for whole."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks import transfer
from tests.benchmarks.column import Running
from tests.benchmarks.site import TOKEN
from tests.benchmarks.transfer import TransferError, _take_one, downloads

HEAD = f"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
NOTHING: Any = object()


def answer_to(*pieces: bytes) -> bytes:
    """Give what the upstream says to a request that comes in pieces, each once the last one may have been read."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.settimeout(5)
        taking = threading.Thread(target=_take_one, args=(theirs,))
        taking.start()
        for piece in pieces:
            ours.sendall(piece)
        answer = ours.recv(4096)
        taking.join(5)
    return answer


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Content-Length: 8\r\n\r\n" + bytes(8),),
        (HEAD + b"Content-Length: 8\r\n\r\n", bytes(7), bytes(1)),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n8\r\n" + bytes(8) + b"\r\n0\r\n\r\n",),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"8\r\n" + bytes(8), b"\r", b"\n0\r\n", b"\r\n"),
        (HEAD[:9], HEAD[9:] + b"transfer-encoding: chunked\r\n\r", b"\n8\r\n", bytes(8) + b"\r\n0\r\n\r\n"),
    ],
)
def test_an_upload_in_pieces(pieces: tuple[bytes, ...]) -> None:
    """It is read to its end and no further, and its bytes are counted, those of the framing not."""
    answer = answer_to(*pieces)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n8")


def test_an_upload_without_the_token() -> None:
    """It is answered with 401."""
    request = b"POST /upload HTTP/1.1\r\nAuthorization: Bearer x\r\nContent-Length: 0\r\n\r\n"
    assert answer_to(request).startswith(b"HTTP/1.1 401 ")


@contextlib.contextmanager
def serving(answer: bytes) -> Iterator[Running]:
    """Serve one request with a fixed answer, as a proxy would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Running(NOTHING, NOTHING, listener.getsockname()[1])
        thread.join(5)


@pytest.mark.parametrize(("size", "status"), [(9, "200 OK"), (10, "502 Bad Gateway")])
def test_a_download_that_is_wrong(monkeypatch: pytest.MonkeyPatch, size: int, status: str) -> None:
    """One of another size or status counts for nothing."""
    monkeypatch.setattr(transfer, "DOWNLOAD", 10)
    head = f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode()
    with serving(head + bytes(size)) as running, pytest.raises(TransferError, match=f"{status[:3]} and {size} bytes"):
        downloads(running, 0)


def test_a_download_that_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are counted."""
    monkeypatch.setattr(transfer, "DOWNLOAD", 10)
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + bytes(10)) as running:
        assert 10 == downloads(running, 0)
