"""nginx as it comes, in one process of its own: what it serves is the caller's `http` block."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

READY_WITHIN = 10.0  # seconds
_CONFIG = """\
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""


def find_nginx() -> str:
    """The path of nginx, which is often not on a user's own; without it the test is skipped."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed")
    return found


@contextlib.contextmanager
def serving(folder: Path, http: str, ports: Iterable[int]) -> Iterator[None]:
    """Run it with the directives `http` while the context is open, which begins when all `ports` answer."""
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, http=http))
    command = [find_nginx(), "-e", f"{folder}/error.log", "-p", f"{folder}/", "-c", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        for port in ports:
            _await_port(port, process, folder / "error.log")
        yield
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
