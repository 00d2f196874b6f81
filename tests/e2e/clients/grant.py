"""One grant at a vendor whose resource server is a program of others: which access token is good, and for what.

A token is good while a file of its name exists; a path is refused to it while a file of that path exists beside. So
nginx can look it up (`if (!-f …)`), and a test can let a token expire just before one certain path is asked for. The
token endpoint runs in a thread, so that it answers while a test waits for a client.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.upstream import Tokens


class Grant:
    """The newest tokens, in the folder `good`, and what is refused to them, in the folder `refused`."""

    def __init__(self, folder: Path) -> None:
        self.tokens = Tokens()
        self.exchanges = 0
        self.good = folder / "good"
        self.refused = folder / "refused"
        self.good.mkdir()
        self.refused.mkdir()
        self._admit()

    def expire(self) -> None:
        """Let no access token be good until there is a newer one."""
        for file in self.good.iterdir():
            file.unlink()

    def expire_before(self, path: str) -> None:
        """Let the access token be refused for `path` at the vendor; other paths still take it.

        With `.chunked` behind it, nginx refuses what comes in chunks and takes what comes with a length.
        """
        file = self.refused / self.tokens.access.decode() / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def reset(self) -> None:
        """Begin anew: the token in force is good everywhere, and no exchange has been counted."""
        shutil.rmtree(self.refused)
        self.refused.mkdir()
        self.expire()
        self._admit()
        self.exchanges = 0

    def accepts(self, authorization: str, path: str) -> bool:
        """Tell what a resource server has to know."""
        scheme, _, token = authorization.partition(" ")
        known = token in {file.name for file in self.good.iterdir()}
        return scheme == "Bearer" and known and not (self.refused / token / path.lstrip("/")).exists()

    def exchange(self, form: bytes) -> tuple[int, bytes]:
        """Give status and body for what was sent to the token endpoint."""
        self.exchanges += 1
        _, raw = self.tokens.answer(form)
        assert isinstance(raw, bytes)
        head, _, body = raw.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        if status == 200:
            self.expire()
            self._admit()
        return status, body

    def _admit(self) -> None:
        (self.good / self.tokens.access.decode()).touch()


class TokenEndpoint(ThreadingHTTPServer):
    """A grant's token endpoint, on a port of its own."""

    daemon_threads = False

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        super().__init__(("127.0.0.1", 0), _Exchange)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"


class _Exchange(BaseHTTPRequestHandler):
    server: TokenEndpoint

    def do_POST(self) -> None:
        status, body = self.server.grant.exchange(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Write nothing: what is under test has a log of its own."""


@contextlib.contextmanager
def token_endpoint(grant: Grant) -> Iterator[TokenEndpoint]:
    """Serve while the context is open."""
    with TokenEndpoint(grant) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
            thread.join()
