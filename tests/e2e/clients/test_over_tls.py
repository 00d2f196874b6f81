"""The same clients over TLS, at a listener with a certificate that an authority of their own vouches for."""

from __future__ import annotations

import ssl
import urllib.request
from hashlib import sha256
from pathlib import Path

import pytest
import requests

from tests.e2e.clients.conftest import Site, tls_listener
from tests.e2e.clients.curl import curl
from tests.e2e.clients.nginx import BLOB
from tests.e2e.clients.programs import WITHIN, run
from tests.e2e.clients.test_git import IDENTITY
from tests.e2e.clients.test_node import check_modules, node
from tests.e2e.conftest import Settings
from tests.support.processes import free_port

PORT = free_port()
URL = f"https://127.0.0.1:{PORT}"
DIGEST = sha256(BLOB).hexdigest()


@pytest.fixture(scope="module")
def settings(authority: Path) -> Settings:
    """A listener with TLS."""
    return tls_listener(authority, PORT)


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    """A file to send."""
    file = tmp_path / "blob"
    file.write_bytes(BLOB)
    return file


@pytest.mark.parametrize("version", ["-0", "--http1.1", "--http2"])
def test_curl(site: Site, tmp_path: Path, authority: Path, blob: Path, version: str) -> None:
    """curl, which offers HTTP/2 in the handshake too, gets and sends all in HTTP/1, across an expiry."""
    site.grant.expire_before("/cgi/digest")
    common = (version, "--cacert", str(authority))
    done = curl(
        *(tmp_path, *common, f"{URL}/files/blob.bin"),
        *("--next", *common, "-X", "POST", "-T", str(blob), f"{URL}/cgi/digest"),
    )
    assert (0, 1) == (done.code, site.grant.exchanges)
    assert ["1.1", "1.1"] == [one["http_version"] for one in done.transfers]
    assert BLOB == done.out[: len(BLOB)]
    assert DIGEST.encode() == done.out[len(BLOB) :].split()[0]


@pytest.mark.parametrize("expiry", ["", "/files/blob.bin", "/cgi/digest"])
def test_https_module_of_node(site: Site, tmp_path: Path, authority: Path, blob: Path, expiry: str) -> None:
    """An agent of the https module does all on one connection."""
    if expiry:
        site.grant.expire_before(expiry)
    check_modules(site, node("http.mjs", tmp_path, URL, blob, authority), expiry)


def test_requests(site: Site, authority: Path) -> None:
    """A session of `requests` gets and sends all."""
    site.grant.expire()
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(authority)
        down = session.get(f"{URL}/files/blob.bin", timeout=WITHIN)
        sent = session.post(f"{URL}/cgi/digest", data=iter([BLOB[:7], BLOB[7:]]), timeout=WITHIN)
    assert (BLOB, DIGEST) == (down.content, sent.text.split()[0])


def test_urllib(site: Site, authority: Path) -> None:
    """urllib, which asks for the connection to be closed, sees its end in order."""
    site.grant.expire()
    context = ssl.create_default_context(cafile=str(authority))
    with urllib.request.urlopen(f"{URL}/files/blob.bin", context=context, timeout=WITHIN) as answer:
        assert BLOB == answer.read()


def test_wget(site: Site, tmp_path: Path, authority: Path) -> None:
    """A download of wget is taken up where it was left."""
    site.grant.expire()
    (tmp_path / "blob.bin").write_bytes(BLOB[:5])
    done = run(["wget", "-q", "--ca-certificate", authority, "--continue", f"{URL}/files/blob.bin"], tmp_path)
    assert (0, BLOB) == (done.code, (tmp_path / "blob.bin").read_bytes())


def test_git(site: Site, tmp_path: Path, authority: Path) -> None:
    """A repository, an empty one, is listed by git."""
    bare = site.root / "git/empty.git"
    assert 0 == run(["git", "init", "-q", "--bare", bare], tmp_path, env=IDENTITY).code
    site.grant.expire()
    trusting = {**IDENTITY, "GIT_SSL_CAINFO": str(authority)}
    done = run(["git", "ls-remote", f"{URL}/git/empty.git"], tmp_path, env=trusting)
    assert (0, b"", 1) == (done.code, done.out, site.grant.exchanges)
