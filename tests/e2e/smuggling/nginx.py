"""nginx as a second opinion: a reverse proxy of its own before a recorder of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.nginx import serving
from tests.support.processes import free_port

_HTTP = """\
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
"""


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """Serve on the port that is given, while the context is open, before a port `upstream`."""
    port = free_port()
    with serving(folder, _HTTP.format(upstream=upstream, port=port), [port]):
        yield port
