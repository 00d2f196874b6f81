"""One caller's side: an inbox on a connection without a socket, and the requests that tests send it."""

from typing import Any

from proxy.config import Limits
from proxy.errors import RequestError
from proxy.gateway.memo import Memo
from proxy.gateway.transport.deadlines import Deadlines
from proxy.gateway.transport.inbox import Inbox
from proxy.gateway.transport.stream import Stream
from tests.support.gateway import Wire, whole

HOST = b"Host: h\r\n"
GET = b"GET /known HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Side:
    """One caller's side, and what all callers share."""

    def __init__(self, known=None, **limits):
        self.wire = Wire()
        self.asked = 0
        self.known = Memo() if known is None else known
        self.late = Deadlines(60, Stream.expire)
        self.inbox: Any = Inbox(self.wire, Limits(**limits), self.known, self.late, self._ask)

    def _ask(self):
        self.asked += 1

    async def taken(self):
        """Take all there is, bodies read; give each as plain values."""
        found: list[Any] = []
        body: Any
        while (item := self.inbox.take()) is not None:
            if isinstance(item, RequestError):
                found.append(type(item))
                break
            try:
                body = None if item.body is None else await whole(item.body)
            except RequestError as error:
                body = type(error)
            fields = (item.version, item.host, item.length, item.has_body, item.keep_alive, item.expects, item.upgrade)
            found.append((item.method, item.target, [*item.headers], *fields, body))
        return found


def get(target, **more):
    """Give what a plain GET is taken as."""
    return ("GET", target, [("Host", "h"), *more.get("headers", [])], "1.1", "h", None, False, True, False, "", None)
