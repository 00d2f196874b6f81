"""HTTP/1.1 on the wire: bytes in, heads and bodies out, and heads as bytes. Does no I/O.

The parser is that of httptools, which is Node's llhttp: documented, strict unless told otherwise, at less than half the
cost of aiohttp's, and it gives the bytes themselves. What it leaves to its user stands in this module:

    how long a head, a trailer or a chunk extension may be      counted here: what brings no body must end by `limit`
    Transfer-Encoding other than `chunked`                      refused, here and from upstreams: nobody decodes it
    Transfer-Encoding or Upgrade in HTTP/1.0, versions but 1.x  refused; an upgrade is not offered
    more than one Host, or none in HTTP/1.1                     refused
    an answer to HEAD, which has no body whatever it says       the parser cannot know: its user ends it
    trailers                                                    dropped: nobody asked for them (TE is never sent)
    bytes after a request that asks for another protocol        kept back until that is answered

A parser that has refused something is at its end, and so is its connection.
"""

from .parser import Receiver
from .request import RequestParser
from .response import NO_BODY, ResponseHead, ResponseParser
from .wire import LAST_CHUNK, chunk, has_field, head_bytes

__all__ = [
    "LAST_CHUNK",
    "NO_BODY",
    "Receiver",
    "RequestParser",
    "ResponseHead",
    "ResponseParser",
    "chunk",
    "has_field",
    "head_bytes",
]
