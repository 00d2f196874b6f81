"""aiohttp's own protocols, mended where a proxy must not trust them. All that is touched of aiohttp beyond its
documented interface stands here, until a transport of our own takes its place.

    a connection that breaks in a body delimited by close     aiohttp ends the body tidily; here it fails
    an answer that turns out malformed in its body            aiohttp leaves the reader waiting; here it fails
    a request whose connection broke                          aiohttp sends some again; here the caller decides
    bytes after the end of an answer                          aiohttp gives them to the next request; here: closed
    an interim answer (1xx) and then nothing                  aiohttp stops its timer; here it goes on
    a request body that turns out malformed                   aiohttp leaves the reader waiting; here it fails
    a request under way when the end is asked for             aiohttp reads no more of it; here it goes on
    a request that cannot be parsed                           aiohttp answers in plain text; here a problem+json
    a response                                                aiohttp adds Server, Date and Content-Type; here nothing
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import aiohttp
from aiohttp import hdrs, web
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception

from ..errors import BadTargetError
from .message import Response
from .problem import describe

_ADDED = (hdrs.SERVER, hdrs.DATE, hdrs.CONTENT_TYPE)


def make_connector(**settings: Any) -> aiohttp.TCPConnector:
    """Give a connector whose connections are mended. Call inside a running loop."""
    connector = aiohttp.TCPConnector(**settings)
    factory: Any = functools.partial(_Connection, loop=asyncio.get_running_loop())
    connector._factory = factory  # noqa: SLF001
    return connector


def make_session(**settings: Any) -> aiohttp.ClientSession:
    """Give a session that never sends again by itself: it would do so on a fresh connection too (D6)."""
    session = aiohttp.ClientSession(**settings)
    session._retry_connection = False  # noqa: SLF001
    return session


class _Connection(ResponseHandler):
    """A connection to an upstream."""

    _final = False  # the head of the answer proper has come, not just an interim one's

    def set_response_params(self, **settings: Any) -> None:
        self._final = False
        super().set_response_params(**settings)

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._final = data[0].code >= 200 or data[0].code == 101
        if data[0].code == 101:
            self.force_close()
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        if data and self._final and self._payload is not None and self._payload.is_eof():
            self.force_close()
            if self.transport is not None:
                self.transport.abort()
            return
        super().data_received(data)
        if not self._final:
            self.start_timeout()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        self._fail_body(exc)
        super().set_exception(exc, exc if exc_cause is None else exc_cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            self._fail_body(aiohttp.ClientPayloadError("the connection broke in the body"))
        super().connection_lost(exc)

    def _fail_body(self, error: BaseException) -> None:
        if self._payload is not None and not self._payload.is_eof() and self._payload.exception() is None:
            set_exception(self._payload, error)


class Server(web.Server):
    """The protocol factory of one listener."""

    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Handler(web.RequestHandler):
    """A caller's connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        request = self._current_request
        # What is parsed after a body that has not ended can only be the complaint about that body.
        if self._messages and request is not None and not request.content.is_eof():
            set_exception(request.content, web.RequestPayloadError("the request body is malformed"))

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's own signature
        """Let the request under way have the rest of its body, which aiohttp reads no more once it is told to stop."""
        if self._request_in_progress:
            self.keep_alive(False)
            self._handler_waiter = done = self._loop.create_future()
            try:
                async with asyncio.timeout(timeout):
                    await done
            except TimeoutError:
                timeout = 0.1  # the time is over
            self._handler_waiter = None
        await super().shutdown(timeout)

    def handle_error(self, request: web.BaseRequest, *_: Any) -> web.StreamResponse:
        """Answer what could not be parsed. The parser's words are left out: they quote what was sent."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response is under way already")
        error = BadTargetError("the request is not HTTP/1.1 that can be read")
        headers, body = describe(error)
        response = _Refusal(status=error.status, body=body, headers=dict(headers))
        response.force_close()
        return response


class _Bare(web.StreamResponse):
    """A response that bears the fields it is given and none of aiohttp's own."""

    async def _prepare_headers(self) -> None:
        given = {name.lower() for name in self.headers}
        await super()._prepare_headers()
        for name in _ADDED:
            if name.lower() not in given:
                self.headers.popall(name, None)


class StreamedResponse(_Bare):
    """The response that the gateway gives, to be streamed."""

    def __init__(self, response: Response) -> None:
        super().__init__(status=response.status, reason=response.reason)
        for name, value in response.headers:
            self.headers.add(name, value)


class _Refusal(_Bare, web.Response):
    """A short response of our own."""
