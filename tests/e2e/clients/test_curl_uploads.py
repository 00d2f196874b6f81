"""What curl sends arrives whole, in each way of sending that it knows; after an expiry it is sent again unseen."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import HOST, Site
from tests.e2e.clients.curl import Curled, curl
from tests.e2e.clients.nginx import BLOB

DIGEST = sha256(BLOB).hexdigest().encode()
SOON = 5.0  # seconds; far less than curl is told to wait for a 100
FRESH_AND_EXPIRED = pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
WAYS = {
    "file": ["-T", "blob"],
    "HTTP/1.0": ["-0", "-T", "blob"],
    "pipe": ["-T", "-"],
    "pipe as it comes": ["-T", "."],
    "100-continue": ["-T", "blob", "-H", "Expect: 100-continue", "--expect100-timeout", "15"],
    "pipe, 100-continue": ["-T", "-", "-H", "Expect: 100-continue", "--expect100-timeout", "15"],
    "data in a PUT": ["-X", "PUT", "--data-binary", "@-"],
    "offer of HTTP/2": ["--http2", "-T", "blob"],
}
FORMS = {
    "data": ["--data-binary", "@-", "-H", "Content-Type: a/b"],
    "chunked": ["--data-binary", "@-", "-H", "Content-Type: a/b", "-H", "Transfer-Encoding: chunked"],
    "HTTP/1.0": ["-0", "--data-binary", "@-", "-H", "Content-Type: a/b"],
    "forward proxy": ["-T", "-", "-X", "POST", "-H", "Content-Type: a/b"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with something to send."""
    (tmp_path / "blob").write_bytes(BLOB)
    return tmp_path


def stored(site: Site, name: str) -> bytes:
    """The digest of what WebDAV has stored, which is then gone."""
    file = site.root / "dav" / name
    content = file.read_bytes()
    file.unlink()
    return sha256(content).hexdigest().encode()


def seen(done: Curled) -> str:
    """What nginx saw of the request, from an answer written with its head."""
    (line,) = [line for line in done.out.split(b"\r\n") if line.startswith(b"X-Seen: ")]
    return line.partition(b": ")[2].decode()


@FRESH_AND_EXPIRED
@pytest.mark.parametrize("way", WAYS)
def test_upload(site: Site, folder: Path, way: str, expired: bool) -> None:
    """An upload arrives whole, and is sent again whole where the token turns out to have expired."""
    if expired:
        site.grant.expire()
    done = curl(folder, *WAYS[way], f"{site.url}/dav/new", stdin=BLOB)
    assert (0, 201, DIGEST) == (done.code, done.status, stored(site, "new"))
    assert done.transfers[0]["time_total"] < SOON
    assert int(expired) == site.grant.exchanges


@FRESH_AND_EXPIRED
@pytest.mark.parametrize("form", FORMS)
def test_post(site: Site, folder: Path, form: str, expired: bool) -> None:
    """A program behind nginx reads all that curl sends, with its type."""
    if expired:
        site.grant.expire()
    where = (
        ["-x", site.proxy_url, f"http://{HOST}/cgi/digest"] if form == "forward proxy" else [f"{site.url}/cgi/digest"]
    )
    done = curl(folder, *FORMS[form], *where, stdin=BLOB)
    assert (0, 200, DIGEST + b" a/b\n") == (done.code, done.status, done.out)
    assert int(expired) == site.grant.exchanges


def test_framing(site: Site, folder: Path) -> None:
    """What comes in chunks goes on in chunks, and what comes with a length goes on with that length."""
    known = curl(folder, "-i", "-T", "blob", f"{site.url}/dav/new")
    unknown = curl(folder, "-i", "-T", "-", f"{site.url}/dav/new", stdin=BLOB)
    assert f"PUT /dav/new HTTP/1.1 [] [{len(BLOB)}]" == seen(known)
    assert "PUT /dav/new HTTP/1.1 [chunked] []" == seen(unknown)
    assert DIGEST == stored(site, "new")


@pytest.mark.parametrize("way", [["-d", ""], ["-X", "POST"], ["-X", "POST", "-T", "-"]], ids=["-d", "-X", "-T"])
def test_nothing_to_send(site: Site, folder: Path, way: list[str]) -> None:
    """An empty body, or none, survives an expiry."""
    site.grant.expire()
    done = curl(folder, *way, f"{site.url}/cgi/digest")
    assert (0, 200, sha256(b"").hexdigest().encode()) == (done.code, done.status, done.out.split()[0])


def test_form_with_a_file(site: Site, folder: Path) -> None:
    """A form with a file, in several parts, is sent again after an expiry."""
    site.grant.expire()
    done = curl(folder, "-F", "name=value", "-F", "file=@blob", f"{site.url}/cgi/digest")
    assert (0, 200) == (done.code, done.status)
    assert done.out.endswith(b" multipart/form-data\n")


def test_several_uploads(site: Site, folder: Path) -> None:
    """One connection takes several uploads, an expiry between them included."""
    site.grant.expire_before("/dav/two")
    done = curl(folder, *(text for name in ("one", "two", "six") for text in ("-T", "blob", f"{site.url}/dav/{name}")))
    assert [201, 201, 201] == [one["http_code"] for one in done.transfers]
    assert [1, 0, 0] == [one["num_connects"] for one in done.transfers]
    assert [DIGEST] * 3 == [stored(site, name) for name in ("one", "two", "six")]
    assert 1 == site.grant.exchanges


@pytest.mark.parametrize("way", ["file", "pipe", "100-continue", "pipe, 100-continue"])
def test_upload_that_is_refused(site: Site, folder: Path, way: str) -> None:
    """A refusal that does not wait for the body reaches curl soon."""
    done = curl(folder, *WAYS[way], f"{site.url}/files/new", stdin=BLOB)
    assert (0, 405) == (done.code, done.status)
    assert done.transfers[0]["time_total"] < SOON


def test_upload_too_long_to_be_kept(site: Site, folder: Path) -> None:
    """An upload beyond the replay limit fails at an expiry with the word to send it again, which then works."""
    site.grant.expire()
    with (folder / "long").open("wb") as file:
        file.truncate(17 << 20)
    first = curl(folder, "-i", "-T", "long", f"{site.url}/dav/new")
    again = curl(folder, "-i", "-T", "long", f"{site.url}/dav/new")
    assert (401, 1, 201) == (first.status, site.grant.exchanges, again.status)
    assert b"\r\nRetry-After: 0\r\n" in first.out
    assert sha256(bytes(17 << 20)).hexdigest().encode() == stored(site, "new")


def test_deletion(site: Site, folder: Path) -> None:
    """Methods beyond GET and POST pass: DELETE and WebDAV's MKCOL."""
    site.grant.expire()
    made = curl(folder, "-X", "MKCOL", f"{site.url}/dav/shelf/")
    assert (201, True) == (made.status, (site.root / "dav/shelf").is_dir())
    gone = curl(folder, "-X", "DELETE", f"{site.url}/dav/shelf/")
    assert (204, False) == (gone.status, (site.root / "dav/shelf").exists())
