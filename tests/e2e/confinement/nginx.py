"""nginx as an upstream that tells how it reads paths: with slashes merged on one port, and as they are on another.

An answer's first line is the target as it came, the rest is the path by which nginx chooses what to do.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.smuggling.nginx import find_nginx
from tests.support.processes import free_port

READY_WITHIN = 10.0  # seconds
_SERVER = """\
  server {{
    listen 127.0.0.1:{port};
    merge_slashes {merge};
    location / {{ return 200 "$request_uri\\n$uri"; }}
    location ~* ^/+(api/+v1/+oauth2|oauth/+authorize|token)(/|$) {{ return 200 "$request_uri\\n/closed"; }}
  }}
"""
_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  default_type text/plain;
  keepalive_requests 100000;
  large_client_header_buffers 4 32k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{servers}}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[dict[str, str]]:
    """Serve while the context is open; gives the origins by whether slashes are merged. Without nginx: skipped."""
    program = find_nginx()
    ports = {merge: free_port() for merge in ("on", "off")}
    servers = "".join(_SERVER.format(port=port, merge=merge) for merge, port in ports.items())
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, servers=servers))
    command = [program, "-e", f"{folder}/error.log", "-p", f"{folder}/", "-c", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        for port in ports.values():
            _await_port(port, process)
        yield {merge: f"http://127.0.0.1:{port}" for merge, port in ports.items()}
    finally:
        process.terminate()
        process.wait(READY_WITHIN)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError("nginx does not answer")
