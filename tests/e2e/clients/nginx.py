"""Real servers behind the proxy: nginx with files, WebDAV and CGI programs, git's own among them.

Every location takes the bearer token of a `Grant` and nothing else. `X-Seen` tells in each answer what nginx saw of the
request: method, path, protocol, Transfer-Encoding, Content-Length; `X-Seen-Upgrade` stands there if it saw an Upgrade.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.clients.grant import Grant
from tests.e2e.clients.programs import environment, program, run
from tests.support.processes import free_port

READY_WITHIN = 10.0  # seconds
BLOB = random.Random(4).randbytes(3_000_003)
TEXT = b"".join(b"line %d of a text that compresses well\n" % number for number in range(5000))
PAGES = {
    "index.html": b'<a href="one.html">1</a> <a href="deep/two.html">2</a> <img src="dot.png">',
    "one.html": b'<a href="index.html">up</a>',
    "deep/two.html": b'<a href="../deep/three.html">3</a>',
    "deep/three.html": b"<p>the end</p>",
    "dot.png": BLOB[:1000],
}

_CONFIG = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_processes 1;
{user}
events {{ worker_connections 256; }}
http {{
  access_log off;
  default_type application/octet-stream;
  types {{ text/plain txt; text/html html; image/png png; application/json json; }}
  client_body_temp_path {folder}/temp;
  proxy_temp_path {folder}/temp;
  fastcgi_temp_path {folder}/temp;
  uwsgi_temp_path {folder}/temp;
  scgi_temp_path {folder}/temp;
  client_max_body_size 0;
  gzip on;
  gzip_proxied any;
  gzip_types text/plain;
  map $http_authorization $token {{
    default "none";
    "~^Bearer (?<value>[a-z]+-[0-9]+)$" $value;
  }}
  map $request_method $seen {{
    default "$request_method $request_uri $server_protocol [$http_transfer_encoding] [$http_content_length]";
  }}
  add_header X-Seen $seen always;
  add_header X-Seen-Upgrade $http_upgrade always;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/root;
    if (!-f {good}/$token) {{ return 401; }}
    if (-f {refused}/$token$uri) {{ return 401; }}
    if (-f {refused}/$token$uri.$http_transfer_encoding) {{ return 401; }}
    location /files/ {{ autoindex on; }}
    location /tree/ {{ }}
    location /moved {{ return 302 /files/text.txt; }}
    location /forbidden/ {{ return 403; }}
    location /dav/ {{ dav_methods PUT DELETE MKCOL; create_full_put_path on; }}
    location /cgi/ {{
      include {parameters};
      fastcgi_param SCRIPT_FILENAME {folder}/root$fastcgi_script_name;
      fastcgi_pass unix:{folder}/cgi.sock;
    }}
    location /git/ {{
      include {parameters};
      fastcgi_param SCRIPT_FILENAME {git};
      fastcgi_param GIT_PROJECT_ROOT {folder}/root/git;
      fastcgi_param GIT_HTTP_EXPORT_ALL "";
      fastcgi_param REMOTE_USER somebody;
      fastcgi_param PATH_INFO $git_path;
      fastcgi_pass unix:{folder}/cgi.sock;
      set $git_path "";
      if ($uri ~ "^/git(/.*)$") {{ set $git_path $1; }}
    }}
  }}
}}
"""

_PARAMETERS = """\
fastcgi_param QUERY_STRING $query_string;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param SCRIPT_NAME $fastcgi_script_name;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param SERVER_PROTOCOL $server_protocol;
fastcgi_param SERVER_NAME localhost;
fastcgi_param REMOTE_ADDR $remote_addr;
"""

# Tells the SHA-256 of the body that it is sent, and the type under which it came.
_DIGEST = """\
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
printf '%s %s\\n' "$(sha256sum | cut -c1-64)" "${CONTENT_TYPE%%;*}"
"""


@dataclass
class Nginx:
    """A running nginx, with its files in `root`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def restart(self) -> None:
        """Let a new worker take over: the old one closes its idle connections and ends."""
        (old,) = self._workers()
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + READY_WITHIN
        while old in self._workers():
            assert time.monotonic() < end, "the old worker does not end"
            time.sleep(0.01)

    def _workers(self) -> list[str]:
        pid = self.process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _populate(folder: Path) -> None:
    """Lay out what is served."""
    root = folder / "root"
    for name in ("files", "dav", "git", "cgi"):
        (root / name).mkdir(parents=True)
    (folder / "temp").mkdir()
    (root / "files" / "blob.bin").write_bytes(BLOB)
    (root / "files" / "text.txt").write_bytes(TEXT)
    (root / "files" / "small.json").write_bytes(b'{"a": 1}')
    (root / "files" / "empty.txt").write_bytes(b"")
    for name, content in PAGES.items():
        page = root / "tree" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(content)
    script = root / "cgi" / "digest"
    script.write_text(_DIGEST)
    script.chmod(0o755)


def _configure(folder: Path, grant: Grant, port: int) -> Path:
    backend = Path(run(["git", "--exec-path"], folder).text.strip()) / "git-http-backend"
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
    parameters = folder / "fastcgi.conf"
    parameters.write_text(_PARAMETERS)
    file = folder / "nginx.conf"
    file.write_text(
        _CONFIG.format(
            folder=folder,
            port=port,
            user=user,
            good=grant.good,
            refused=grant.refused,
            git=backend,
            parameters=parameters,
        )
    )
    return file


def _answers(address: tuple[str, int] | str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something listens at an address, a path for a unix socket."""
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as probe:
            if probe.connect_ex(address) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"{process.args!r} does not answer: {log.read_text()}")


@contextlib.contextmanager
def _started(arguments: list[str], address: tuple[str, int] | str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server while the context is open."""
    log = folder / "servers.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        _answers(address, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_WITHIN)


@contextlib.contextmanager
def nginx(folder: Path, grant: Grant) -> Iterator[Nginx]:
    """Serve while the context is open. Without nginx, fcgiwrap or git the test is skipped."""
    server, wrapper, _ = program("nginx"), program("fcgiwrap"), program("git")
    _populate(folder)
    port = free_port()
    config = _configure(folder, grant, port)
    cgi = f"{folder}/cgi.sock"
    with (
        _started([wrapper, "-s", f"unix:{cgi}", "-c", "1"], cgi, folder),
        _started(
            [server, "-e", "stderr", "-p", f"{folder}/", "-c", str(config)], ("127.0.0.1", port), folder
        ) as process,
    ):
        yield Nginx(folder, port, process)
