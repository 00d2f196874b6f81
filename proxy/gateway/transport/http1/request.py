"""Requests as callers send them."""

from __future__ import annotations

import re

import httptools

from ....errors import BadTargetError, CallerError, HeadTooLargeError, MethodNotImplementedError
from ...message import Request
from .parser import MAX_LENGTH, Parser, Receiver

_METHOD = re.compile(rb"[\r\n]*[A-Z][A-Z0-9_-]* ")


class RequestParser(Parser):
    """Parses what a caller sends. `limit` bytes and `count` fields at most in a head."""

    __slots__ = ("_offered", "_skipped_body")

    def __init__(self, receiver: Receiver, *, limit: int, count: int) -> None:
        super().__init__(receiver, limit=limit, count=count)
        self._parser = httptools.HttpRequestParser(self)
        self._offered = False  # an upgrade, to whoever answers
        self._skipped_body = ""  # how its length is told, of a body that httptools takes for another protocol

    def on_url(self, url: bytes) -> None:
        self._start += url

    def on_headers_complete(self) -> None:
        if self._skipped_body:  # its head was told before
            self._start, self._fields, self._special, self._skipped_body = b"", [], [], ""
            return
        parser = self._parser
        target, fields, special = self._begun()
        version = parser.get_http_version()
        request = Request(parser.get_method().decode("latin-1"), target, tuple(fields), version)
        hosts = 0
        for name, value in special:
            if name == "host":
                hosts += 1
                request.host = value
            elif name == "content-length":
                request.length, request.has_body = int(value), True
                if request.length > MAX_LENGTH:
                    self._refuse(BadTargetError("no body is that long"))
            elif name == "transfer-encoding":
                self._check_chunked(value, version, again=request.has_body)
                request.has_body = True
            elif name == "expect":
                request.expects = value.lower() == "100-continue" and version == "1.1"
            else:
                request.upgrade = value
        if version not in ("1.1", "1.0"):
            self._refuse(BadTargetError("this proxy speaks HTTP/1.1"))
        if hosts != 1 and (hosts or version == "1.1"):
            self._refuse(BadTargetError("a request has one Host field"))
        request.keep_alive = parser.should_keep_alive()
        if parser.should_upgrade() and request.has_body:
            framing = "Transfer-Encoding: chunked" if request.length is None else f"Content-Length: {request.length}"
            self._skipped_body = framing + ("" if request.keep_alive else "\r\nConnection: close")
        if request.upgrade and (version == "1.0" or request.has_body or not parser.should_upgrade()):
            request.upgrade = ""
        self._offered = bool(request.upgrade) or request.method == "CONNECT"
        self._receiver.head_received(request)

    def on_message_complete(self) -> None:
        if not self._skipped_body:
            super().on_message_complete()

    def _upgraded(self, rest: bytes) -> None:
        """Go on where the change of protocol is not for the caller to make."""
        if self._offered:
            self._rest = rest
            return
        if self._skipped_body:
            # httptools ends a request that asks for an upgrade with its head. A head that does not brings its body.
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(f"POST / HTTP/1.1\r\nHost: -\r\n{self._skipped_body}\r\n\r\n".encode())
            self._in_head = False
        if rest:
            self.feed(rest)

    def _check_chunked(self, value: str, version: str, *, again: bool) -> None:
        if value.lower() != "chunked" or version == "1.0" or again:
            self._refuse(BadTargetError("a Transfer-Encoding is `chunked`, once, and of HTTP/1.1"))

    def _malformed(self, error: httptools.HttpParserError, data: bytes) -> CallerError:
        if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(data):
            return MethodNotImplementedError("the method is none that this proxy knows")
        return BadTargetError("the request is not HTTP/1.1 that can be read")

    def _too_large(self) -> CallerError:
        return HeadTooLargeError(f"a request's head is {self._limit} bytes and {self._count} fields at most")
