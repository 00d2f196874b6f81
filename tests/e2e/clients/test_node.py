"""Node's fetch, and its http and https modules: all that they send and get is whole, an expiry on the way included."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.conftest import Site
from tests.e2e.clients.nginx import BLOB, TEXT
from tests.e2e.clients.programs import run

SCRIPTS = Path(__file__).parent / "node"
DIGEST = sha256(BLOB).hexdigest()
EXPIRIES = ["", "/files/blob.bin", "/cgi/digest", "/dav/node"]


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """A file to send."""
    file = tmp_path / "blob"
    file.write_bytes(BLOB)
    return file


def node(script: str, cwd: Path, *arguments: str | Path) -> Any:
    """What a script reports in JSON."""
    done = run(["node", SCRIPTS / script, *arguments], cwd)
    assert 0 == done.code, done.err
    return json.loads(done.out)


@pytest.mark.parametrize("expiry", EXPIRIES[:3])
def test_fetch(site: Site, tmp_path: Path, blob: Path, expiry: str) -> None:
    """What fetch gets and sends is whole, in one piece or as a stream; a redirect leads through the proxy."""
    if expiry:
        site.grant.expire_before(expiry)
    expected = {
        "down": DIGEST,
        "unpacked": ["gzip", sha256(TEXT).hexdigest()],
        "sent": [DIGEST, f"POST /cgi/digest HTTP/1.1 [] [{len(BLOB)}]"],
        "streamed": [DIGEST, "POST /cgi/digest HTTP/1.1 [chunked] []"],
        "head": [200, str(len(BLOB)), ""],
        "missing": 404,
        "part": [206, 4],
        "ended": "AbortError",
        "moved": [200, True, f"{site.url}/files/text.txt"],
    }
    assert expected == node("fetch.mjs", tmp_path, site.url, blob)
    assert int(bool(expiry)) == site.grant.exchanges


def check_modules(site: Site, reported: Any, expiry: str) -> None:
    """Hold what http.mjs reports against what it should."""
    shown = DIGEST[:64]
    assert (200, DIGEST) == (reported["down"]["status"], reported["down"]["digest"])
    assert (200, shown) == (reported["streamed"]["status"], reported["streamed"]["text"])
    assert (201, BLOB) == (reported["put"]["status"], (site.root / "dav/node").read_bytes())
    assert (200, shown, 1) == (reported["continued"]["status"], reported["continued"]["text"], reported["asked"])
    assert (200, sha256(b"").hexdigest()) == (reported["head"]["status"], reported["head"]["digest"])
    assert '{"a": 1}' == reported["last"]["text"]
    assert [False, True, True, True, True, True] == reported["seen"]
    assert int(bool(expiry)) == site.grant.exchanges
    (site.root / "dav/node").unlink()


@pytest.mark.parametrize("expiry", EXPIRIES)
def test_http_module(site: Site, tmp_path: Path, blob: Path, expiry: str) -> None:
    """An agent of the http module does all on one connection; it is asked for a body that it holds back."""
    if expiry:
        site.grant.expire_before(expiry)
    check_modules(site, node("http.mjs", tmp_path, site.url, blob), expiry)
