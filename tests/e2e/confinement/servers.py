"""Servers of other people's making, as upstreams that tell how they read the path of each request.

An answer is JSON: the paths as which the server knows the request, one for each way in which programs ask for it, and
whether its own router takes it for an endpoint that was to be closed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import posixpath
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from aiohttp import web
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect, Rule
from yarl import URL

from tests.e2e.confinement.grammar import CLOSED

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
# Where programs behind gateways and rewriting servers look for the path, or for the method, before the request line.
PATH_FIELDS = ("X-Original-URL", "X-Rewrite-URL", "X-Original-URI")
METHOD_FIELDS = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


_NUMBERS = itertools.count(1)


def told(paths: Iterable[str], *, method: str, closed: bool = False) -> bytes:
    """An answer's body, which numbers what arrives."""
    found = {"paths": sorted(set(paths)), "method": method, "closed": closed, "number": next(_NUMBERS)}
    return json.dumps(found).encode()


class _Files(SimpleHTTPRequestHandler):
    """Python's server of files: it tells which file it would serve, and what CGI programs and servlets would do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: Any) -> None:
        """Nothing is logged."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        program = posixpath.normpath(unquote(path, "latin-1"))
        servlet = posixpath.normpath(unquote(re.sub(";[^/]*", "", path), "latin-1"))
        body = told([self.translate_path(self.path), program, servlet], method=self.command)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


for _method in METHODS:
    setattr(_Files, f"do_{_method}", _Files.answer)


def _in_root(*arguments: Any) -> _Files:
    return _Files(*arguments, directory="/")


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Nothing is logged."""


_RULES = Map(
    [
        rule
        for place in CLOSED
        for rule in (Rule(place, endpoint="closed"), Rule(f"{place}/<path:rest>", endpoint="closed"))
    ]
)


def _routed(path: str) -> tuple[str, bool]:
    """The path to which Werkzeug's router sends a request, and whether it knows a closed endpoint there."""
    try:
        return path, _RULES.bind("localhost").match(path)[0] == "closed"
    except RequestRedirect as redirect:
        return unquote(urlsplit(redirect.new_url).path, "latin-1"), False
    except HTTPException:
        return path, False


def _variable(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def _method_of(environ: dict[str, Any]) -> str:
    """The method that a program with overrides would take."""
    query = environ["QUERY_STRING"]
    pairs = [pair for text in (query, query.replace(";", "&")) for pair in parse_qsl(text, keep_blank_values=True)]
    found = [environ.get(_variable(name), "") for name in METHOD_FIELDS]
    found += [value for name, value in pairs if name.strip() == "_method"]
    return next(filter(None, found), str(environ["REQUEST_METHOD"]))


def application(environ: dict[str, Any], start: Any) -> list[bytes]:
    """A program behind WSGI, told of requests as by CGI. It heeds all that overrides a path or a method."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    paths = [environ["PATH_INFO"], posixpath.normpath(environ["PATH_INFO"])]
    paths += [urlsplit(environ[_variable(name)]).path for name in PATH_FIELDS if _variable(name) in environ]
    method = _method_of(environ)
    redirected, closed = _routed(environ["PATH_INFO"])
    body = told([*paths, redirected], method=method, closed=closed)
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]


@contextlib.contextmanager
def _threaded(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    with server:
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _FileServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class _WSGIServer(WSGIServer):
    request_queue_size = 64

    def server_bind(self) -> None:
        """As it is, but for the name of this machine, which is not looked up."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


def files() -> contextlib.AbstractContextManager[str]:
    """Python's http.server; gives its origin."""
    return _threaded(_FileServer(("127.0.0.1", 0), _in_root))


def wsgi() -> contextlib.AbstractContextManager[str]:
    """Python's wsgiref, and Werkzeug's router in it; gives its origin."""
    server = _WSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(application)
    return _threaded(server)


def _answering(*, closed: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        raw = request.raw_path.partition("?")[0]
        paths = [request.path, request.rel_url.path, request.rel_url.path_safe, URL(f"http://localhost{raw}").path]
        body = told(paths, method=request.method, closed=closed)
        return web.Response(body=body, content_type="application/json")

    return answer


def aiohttp_application() -> web.Application:
    """The server and the router of aiohttp, and yarl's reading of the target."""
    app = web.Application()
    for place in CLOSED:
        app.router.add_route("*", place + "{rest:(/[\\s\\S]*)?}", _answering(closed=True))
    app.router.add_route("*", "/{rest:[\\s\\S]*}", _answering(closed=False))
    return app
