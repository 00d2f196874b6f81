"""How long a caller may take to send what a handler waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Read a whole form inside of this: one that takes longer than `seconds` is answered with 408."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        late = web.HTTPRequestTimeout(text="this form did not come in time\n")
        late.force_close()
        raise late from None
