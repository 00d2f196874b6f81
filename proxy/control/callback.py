"""/callback: where the vendor sends the browser back to. The same for the control plane and for `login`.

    GET with code or error       the sign-in is completed, and the page says how that went
    GET without                  what came is in the fragment, which no server sees: a script clears it from the address
                                 bar and the history, and hands it over
    POST                         what the script hands over; the answer is JSON

No token is put into a page or an address. What is wrong with an answer is told; what it held is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from ..config import CALLBACK
from ..errors import BearerProxyError
from ..signin.attempts import SignedIn
from ..signin.pasted import Fields, pairs
from .reading import in_time
from .rendering import page

Complete = Callable[[web.Request, Fields], Awaitable[SignedIn]]


def add_callback(app: web.Application, complete: Complete, *, home: str, patience: float) -> None:
    """Serve the callback; `complete` is given what came back. `home` is where the page leads to, or empty.

    What is handed over has to come within `patience` seconds.
    """

    async def arrive(request: web.Request) -> web.Response:
        if not request.query.keys() & {"code", "error"}:
            return page(request, "callback.html", home=home)
        try:
            done = await complete(request, pairs(request.raw_path.partition("?")[2]))
        except BearerProxyError as error:
            return page(request, "failed.html", status=400, title="Not signed in", reason=str(error), home=home)
        return page(request, "signed_in.html", done=done, home=home)

    async def hand_over(request: web.Request) -> web.Response:
        async with in_time(patience):
            body = await request.read()
        try:
            done = await complete(request, pairs(body.decode("utf-8", "replace")))
        except BearerProxyError as error:
            return web.json_response({"title": "Not signed in", "lines": [str(error)]}, status=400)
        return web.json_response({"title": f"Signed in to {done.credential}", "lines": [done.held, *done.warnings]})

    app.router.add_get(CALLBACK, arrive, allow_head=False)  # a HEAD would redeem the code
    app.router.add_post(CALLBACK, hand_over)
