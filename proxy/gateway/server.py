"""The caller's side on `aiohttp.web.Server`: bytes in, a `Request` for the forwarder, its `Response` out.

Before the first byte of a response is out a failure is answered as problem+json; from then on it resets the connection,
so that nothing cut short can look whole. A caller who hangs up cancels the forwarding of its request, not an exchange.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from ..errors import BadTargetError, RequestError, UpstreamError
from . import accesslog
from .message import Request, Response, Trail, field_text
from .problem import problem
from .stock import Server, StreamedResponse

LOG = logging.getLogger("bearer_proxy.gateway")

Forward = Callable[[Request], Awaitable[Response]]

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST
_MAX_LINE = 16 << 10  # bytes of a request line or a header line


def make_server(forward: Forward, listener: str, keepalive_timeout: float) -> web.Server:
    """Give the protocol factory of one listener, for `loop.create_server`."""

    async def handle(raw: web.BaseRequest) -> web.StreamResponse:
        return await _Exchange(raw, forward, listener).run()

    return Server(
        handle,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=keepalive_timeout,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
    )


class _Exchange:
    """One request of one caller, from its head to the last byte of the answer."""

    def __init__(self, raw: web.BaseRequest, forward: Forward, listener: str) -> None:
        self._raw = raw
        self._forward = forward
        self._listener = listener
        self._trail = Trail()
        self._began = time.monotonic()
        self._sent = 0
        self._status = 499  # what nginx logs for a caller who hung up
        self._malformed = False
        self._expects = raw.headers.get(hdrs.EXPECT, "").lower() == "100-continue"

    async def run(self) -> web.StreamResponse:
        """Forward, answer, and write the log line, whatever happens."""
        try:
            try:
                response = await self._forward(self._request())
            except RequestError as error:
                self._trail.error = error.error
                response = problem(error)
            except Exception as error:  # noqa: BLE001 - nothing unmapped reaches a caller
                LOG.error("a request failed in a way that was not foreseen: %s", type(error).__name__)
                self._trail.error = "internal_error"
                response = problem(RequestError())
            return await self._answer(response)
        except asyncio.CancelledError:
            self._trail.error = "caller_hung_up"
            _reset(self._raw)
            raise
        finally:
            self._log()

    def _request(self) -> Request:
        raw = self._raw
        headers = [(field_text(name), field_text(value)) for name, value in raw.raw_headers]
        has_body = raw.headers.get(hdrs.CONTENT_LENGTH) is not None or hdrs.TRANSFER_ENCODING in raw.headers
        peer = raw.transport.get_extra_info("peername") if raw.transport is not None else None
        return Request(
            method=raw.method,
            target=raw.raw_path,
            headers=headers,
            listener=self._listener,
            peer=peer[0] if isinstance(peer, tuple) else "",
            length=raw.content_length,
            read=self._read if has_body else None,
            trail=self._trail,
        )

    async def _read(self) -> bytes:
        """Give the body's next bytes; ask for them first where the caller waits to be asked (RFC 9110, 10.1.1)."""
        if self._expects:
            self._expects = False
            if self._raw.transport is not None:
                self._raw.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            return await self._raw.content.readany()
        except web.RequestPayloadError:
            self._malformed = True
            raise BadTargetError("the request body is malformed") from None

    async def _answer(self, response: Response) -> web.StreamResponse:
        out = StreamedResponse(response)
        if self._malformed:
            out.force_close()
        try:
            await out.prepare(self._raw)
            self._status = response.status
            async for chunk in response.body:
                await out.write(chunk)
                self._sent += len(chunk)
            await out.write_eof()
        except UpstreamError as error:
            self._trail.error = error.error
            _reset(self._raw)
        except ConnectionError:
            self._trail.error = "caller_hung_up"
        except Exception as error:  # noqa: BLE001 - nothing unmapped reaches a caller
            LOG.error("an answer failed in a way that was not foreseen: %s", type(error).__name__)
            self._trail.error = "internal_error"
            _reset(self._raw)
        finally:
            response.close()
        return out

    def _log(self) -> None:
        seconds = time.monotonic() - self._began
        peer = self._raw.remote or "unix"
        accesslog.write(self._raw.method, self._raw.raw_path, self._status, self._sent, seconds, peer, self._trail)


def _reset(raw: web.BaseRequest) -> None:
    """Close the caller's connection with a reset."""
    transport = raw.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
