"""nginx as an upstream that tells how it reads paths: with slashes merged on one port, and as they are on another.

An answer's first line is the target as it came, the rest is the path by which nginx chooses what to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.nginx import serving
from tests.support.processes import free_port

_SERVER = """\
  server {{
    listen 127.0.0.1:{port};
    merge_slashes {merge};
    location / {{ return 200 "$request_uri\\n$uri"; }}
    location ~* ^/+(api/+v1/+oauth2|oauth/+authorize|token)(/|$) {{ return 200 "$request_uri\\n/closed"; }}
  }}
"""
_HTTP = """\
  default_type text/plain;
  keepalive_requests 100000;
  large_client_header_buffers 4 32k;
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[dict[str, str]]:
    """Serve while the context is open; gives the origins by whether slashes are merged. Without nginx: skipped."""
    ports = {merge: free_port() for merge in ("on", "off")}
    servers = [_SERVER.format(port=port, merge=merge) for merge, port in ports.items()]
    with serving(folder, "".join([_HTTP, *servers]), ports.values()):
        yield {merge: f"http://127.0.0.1:{port}" for merge, port in ports.items()}
