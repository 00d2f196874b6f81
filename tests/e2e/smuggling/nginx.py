"""nginx as it comes, as a second opinion: a reverse proxy of its own before a recorder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import free_port

READY_WITHIN = 10.0  # seconds
_CONFIG = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  client_header_timeout 1s;
  client_body_timeout 1s;
  keepalive_timeout 2s;
  proxy_read_timeout 3s;
  upstream recorder {{ server 127.0.0.1:{upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://recorder;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host localhost;
    }}
  }}
}}
"""


def find_nginx() -> str:
    """The path of nginx, which is often not on a user's own; without it the test is skipped."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed")
    return found


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """Serve on the port that is given, while the context is open, before a port `upstream`."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, upstream=upstream, port=port))
    command = [find_nginx(), "-e", f"{folder}/error.log", "-p", f"{folder}/", "-c", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _await_port(port, process, folder / "error.log")
        yield port
    finally:
        process.terminate()
        process.wait(READY_WITHIN)


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nginx does not answer: {log.read_text()}")
