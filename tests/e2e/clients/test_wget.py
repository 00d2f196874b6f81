"""wget: trees, interrupted downloads, forms; an expiry on the way is unseen."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import HOST, Site
from tests.e2e.clients.nginx import BLOB, PAGES, TEXT
from tests.e2e.clients.programs import Ended, run


def wget(cwd: Path, *arguments: str) -> Ended:
    """Run wget, which shows the heads of answers as it gets them."""
    return run(["wget", "--no-verbose", "--server-response", "--tries=1", "--timeout=15", *arguments], cwd)


def statuses(done: Ended) -> list[int]:
    """The statuses of all answers, in order."""
    lines = [line.split() for line in done.err.splitlines()]
    return [int(words[1]) for words in lines if words and words[0].startswith("HTTP/1.")]


@pytest.mark.parametrize("expiry", ["", "/tree/index.html", "/tree/deep/two.html", "/tree/dot.png"])
def test_tree(site: Site, tmp_path: Path, expiry: str) -> None:
    """A small tree is fetched whole by following its links, on kept connections, with an expiry at any of its files."""
    if expiry:
        site.grant.expire_before(expiry)
    done = wget(
        tmp_path, "--recursive", "--no-parent", "-nH", "--cut-dirs=2", f"{site.url}/tree/index.html", "-e", "robots=off"
    )
    assert 0 == done.code, done.err
    assert {*PAGES} == {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} - {
        ".wget-hsts"
    }
    assert all(content == (tmp_path / name).read_bytes() for name, content in PAGES.items())
    assert [200] * len(PAGES) == statuses(done)
    assert int(bool(expiry)) == site.grant.exchanges


@pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
def test_continue(site: Site, tmp_path: Path, expired: bool) -> None:
    """An interrupted download is taken up where it was left."""
    if expired:
        site.grant.expire()
    (tmp_path / "blob.bin").write_bytes(BLOB[:1_000_000])
    done = wget(tmp_path, "--continue", f"{site.url}/files/blob.bin")
    assert (0, [206]) == (done.code, statuses(done))
    assert (tmp_path / "blob.bin").read_bytes() == BLOB


def test_continue_of_a_whole_file(site: Site, tmp_path: Path) -> None:
    """There is nothing to be continued, which the server's 416 says."""
    (tmp_path / "blob.bin").write_bytes(BLOB)
    done = wget(tmp_path, "--continue", f"{site.url}/files/blob.bin")
    assert (0, [416]) == (done.code, statuses(done))


def test_server_response(site: Site, tmp_path: Path) -> None:
    """The server's own fields are shown, and the token is not among them."""
    site.grant.expire()
    done = wget(tmp_path, "-O", "-", f"{site.url}/files/text.txt")
    assert TEXT == done.out
    assert "  Server: nginx/" in done.err
    assert "  X-Seen: GET /files/text.txt HTTP/1.1 [] []" in done.err
    assert "access-" not in done.err


def test_spider(site: Site, tmp_path: Path) -> None:
    """A look without a download, which wget does by HEAD."""
    done = wget(tmp_path, "--spider", f"{site.url}/files/blob.bin")
    assert (0, [200]) == (done.code, statuses(done))
    assert "  X-Seen: HEAD /files/blob.bin HTTP/1.1 [] []" in done.err


def test_missing(site: Site, tmp_path: Path) -> None:
    """The exit code tells of the server's refusal."""
    done = wget(tmp_path, f"{site.url}/nothing")
    assert (8, [404]) == (done.code, statuses(done))


@pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
def test_post(site: Site, tmp_path: Path, expired: bool) -> None:
    """A file is sent whole, and again whole after an expiry."""
    if expired:
        site.grant.expire()
    (tmp_path / "blob").write_bytes(BLOB)
    done = wget(tmp_path, "-O", "-", "--post-file=blob", f"{site.url}/cgi/digest")
    assert (0, sha256(BLOB).hexdigest()) == (done.code, done.text[:64])


def test_compressed(site: Site, tmp_path: Path) -> None:
    """What the server compresses on the fly is unpacked by wget alone."""
    done = wget(tmp_path, "--compression=gzip", "-O", "text", f"{site.url}/files/text.txt")
    assert 0 == done.code
    assert "  Content-Encoding: gzip" in done.err
    assert (tmp_path / "text").read_bytes() == TEXT


def test_forward_proxy(site: Site, tmp_path: Path) -> None:
    """Named in http_proxy, the proxy takes the request target in absolute form."""
    site.grant.expire()
    done = wget(tmp_path, "-e", f"http_proxy={site.proxy_url}", "-O", "-", f"http://{HOST}/files/blob.bin")
    assert (0, BLOB) == (done.code, done.out)


def test_redirect(site: Site, tmp_path: Path) -> None:
    """A redirect to the server's own address leads through the proxy."""
    done = wget(tmp_path, "-O", "-", f"{site.url}/moved")
    assert ([302, 200], TEXT) == (statuses(done), done.out)
    assert f"  Location: {site.url}/files/text.txt" in done.err
