"""ReadyCloud as it is reached: the emulated vendor behind TLS, in a process that can be put into any network.

Run as `python -m tests.compose.vendor ADDRESS PORT CERTIFICATE`. It prints the tokens of a grant as a line of JSON once
it listens, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
from urllib.parse import urlsplit

from proxy.sandbox import Sandbox

_PIECE = 1 << 16


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def serve(address: str, port: int, certificate: str) -> None:
    """Serve until the standard input ends."""
    async with Sandbox() as sandbox:
        inside = urlsplit(sandbox.url("readycloud"))

        async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(inside.hostname, inside.port)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        async with await asyncio.start_server(passed_on, address, port, ssl=tls):
            print(json.dumps(sandbox.grant("readycloud")), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
