"""The sandbox's control endpoint, as a test uses it."""

from __future__ import annotations

from typing import Any

import aiohttp

from proxy.sandbox import Sandbox


class Control:
    """Talks to the control endpoint of a sandbox about one vendor."""

    def __init__(self, sandbox: Sandbox, vendor: str) -> None:
        self._url = f"{sandbox.control_url}/{vendor}"

    async def expire(self) -> None:
        """Make all access tokens expire now."""
        await self._call("POST", "/expire")

    async def revoke(self) -> None:
        """Kill all grants."""
        await self._call("POST", "/revoke")

    async def fault(self, **what: Any) -> None:
        """Add a fault."""
        await self._call("POST", "/faults", what)

    async def release(self) -> None:
        """Let stalled requests go on."""
        await self._call("POST", "/release")

    async def settings(self, **what: Any) -> None:
        """Change how the vendor behaves."""
        await self._call("PATCH", "/settings", what)

    async def state(self) -> Any:
        """The counters."""
        return await self._call("GET", "/state")

    async def wait(self, key: str, at_least: int) -> None:
        """Return as soon as a counter has got that far."""
        await self._call("GET", f"/wait?key={key}&at_least={at_least}&timeout=15")

    async def requests(self) -> Any:
        """The API requests as the vendor saw them."""
        return await self._call("GET", "/requests")

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self._url + path, json=body) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json() if response.status == 200 else None
