"""What parsers of HTTP/1.1 tell, in one piece and byte by byte, and the heads that tests begin with."""

from proxy.errors import RequestError

from .cutting import pieces

LIMIT, COUNT = 400, 10
REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Seen:
    """Takes what a parser tells."""

    def __init__(self):
        self.received = 0
        self.told = []

    def head_received(self, head):
        self.told.append(head)

    def body_received(self, data):
        self.received += len(data)
        if isinstance(self.told[-1], bytes):
            self.told[-1] += data
        else:
            self.told.append(data)

    def message_ended(self):
        self.told.append("end")


def parsed(kind, *parts, limit=LIMIT, count=COUNT):
    """Give what is told of bytes that come in `parts`, and the type of the refusal, None without."""
    seen = Seen()
    parser = kind(seen, limit=limit, count=count)
    try:
        for part in parts:
            parser.feed(part)
    except RequestError as error:
        return seen.told, type(error)
    return seen.told, None


def both_ways(kind, data, **more):
    """Give what is told of bytes in one piece, having seen that it is the same of single bytes."""
    result = parsed(kind, data, **more)
    if result[1] is None:
        assert result == parsed(kind, *pieces(data, 1), **more)
    else:
        assert parsed(kind, *pieces(data, 1), **more)[1] is not None
    return result
