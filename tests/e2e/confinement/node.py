"""Node's http server as an upstream that reads targets as most programs for it do: as URLs relative to its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.clients.programs import environment, program

_SCRIPT = r"""
const http = require('http'), path = require('path'), url = require('url');
const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
const read = (target) => {
  const found = [target.split('?')[0]];
  try { found.push(new URL(target, 'http://localhost').pathname); } catch {}
  try { found.push(url.parse(target).pathname); } catch {}
  return [...new Set([...found, ...found.map(decoded)].map((one) => path.posix.normalize(one)))];
};
const server = http.createServer({ keepAliveTimeout: 60000 }, (request, response) => {
  request.resume();
  const told = { paths: read(request.url), method: request.method, closed: false };
  const body = Buffer.from(JSON.stringify(told));
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
  response.end(body);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@contextlib.contextmanager
def node(folder: Path) -> Iterator[str]:
    """Serve while the context is open; gives its origin. Without Node: skipped."""
    command = [program("node"), "--no-deprecation", "-e", _SCRIPT]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
