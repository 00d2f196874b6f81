"""curl gets what nginx serves, byte for byte, in each way of asking that it knows; an expiry on the way is unseen."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.e2e.clients.conftest import HOST, Site
from tests.e2e.clients.curl import curl
from tests.e2e.clients.nginx import BLOB, PAGES, TEXT

VERSIONS = ["-0", "--http1.1"]


@pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
@pytest.mark.parametrize("version", VERSIONS)
def test_download(site: Site, tmp_path: Path, version: str, expired: bool) -> None:
    """A file arrives whole, in either version of HTTP/1."""
    if expired:
        site.grant.expire()
    done = curl(tmp_path, version, f"{site.url}/files/blob.bin")
    assert (0, 200, BLOB) == (done.code, done.status, done.out)
    assert int(expired) == site.grant.exchanges


def test_server_itself(site: Site, tmp_path: Path) -> None:
    """The server takes nobody without the token: what is tested here is not given away."""
    assert 401 == curl(tmp_path, f"{site.nginx.url}/files/blob.bin").status
    assert 401 == curl(tmp_path, "-H", "Authorization: Bearer access-0", f"{site.nginx.url}/files/blob.bin").status


def test_server_that_was_restarted(site: Site, tmp_path: Path) -> None:
    """Connections that the server has closed in the meantime are not noticed by curl."""
    assert 200 == curl(tmp_path, f"{site.url}/files/text.txt").status
    site.nginx.restart()
    done = curl(tmp_path, f"{site.url}/files/text.txt", f"{site.url}/files/blob.bin")
    assert (0, TEXT + BLOB) == (done.code, done.out)


@pytest.mark.parametrize("version", VERSIONS)
def test_body_of_unknown_length(site: Site, tmp_path: Path, version: str) -> None:
    """What the server compresses on the fly is unpacked by curl alone, though HTTP/1.0 has no chunks."""
    done = curl(tmp_path, version, "--compressed", f"{site.url}/files/text.txt")
    assert (0, 200, TEXT) == (done.code, done.status, done.out)


def test_body_of_unknown_length_as_it_comes(site: Site, tmp_path: Path) -> None:
    """In HTTP/1.0 such a body has no frame: the end of the connection is its end."""
    done = curl(tmp_path, "-0", "--raw", "-H", "Accept-Encoding: gzip", f"{site.url}/files/text.txt")
    assert TEXT == gzip.decompress(done.out)


def test_compressed_for_a_caller_that_unpacks_itself(site: Site, tmp_path: Path) -> None:
    """A compressed answer passes as it is."""
    done = curl(tmp_path, "-H", "Accept-Encoding: gzip", f"{site.url}/files/text.txt")
    assert TEXT == gzip.decompress(done.out)


def test_offer_of_http_2(site: Site, tmp_path: Path) -> None:
    """An offer to go on in HTTP/2 is not taken up, and not passed on; the connection goes on in HTTP/1.1."""
    done = curl(tmp_path, "--http2", "-D", "head", f"{site.url}/files/blob.bin", f"{site.url}/files/text.txt")
    assert (0, [200, 200], BLOB + TEXT) == (done.code, [one["http_code"] for one in done.transfers], done.out)
    assert ["1.1", "1.1"] == [one["http_version"] for one in done.transfers]
    assert [1, 0] == [one["num_connects"] for one in done.transfers]
    head = (tmp_path / "head").read_text()
    assert "X-Seen: GET /files/blob.bin HTTP/1.1" in head
    assert "X-Seen-Upgrade" not in head


def test_offer_of_http_2_with_a_body(site: Site, tmp_path: Path) -> None:
    """The same with a body, which curl sends in HTTP/1.1 with its offer."""
    done = curl(tmp_path, "--http2", "--data-binary", "abc", f"{site.url}/cgi/digest")
    assert (200, "1.1") == (done.status, done.transfers[0]["http_version"])
    assert done.out.startswith(b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


def test_resumed_download(site: Site, tmp_path: Path) -> None:
    """A download is taken up where it was left, across an expiry."""
    (tmp_path / "blob").write_bytes(BLOB[:1_000_000])
    site.grant.expire()
    done = curl(tmp_path, "-C", "-", "-o", "blob", f"{site.url}/files/blob.bin")
    assert (0, 206, 2_000_003) == (done.code, done.status, done.transfers[0]["size_download"])
    assert (tmp_path / "blob").read_bytes() == BLOB


def test_resumed_download_of_a_whole_file(site: Site, tmp_path: Path) -> None:
    """Nothing is left to be had, and the server's 416 says so."""
    (tmp_path / "blob").write_bytes(BLOB)
    done = curl(tmp_path, "-C", "-", "-o", "blob", f"{site.url}/files/blob.bin")
    assert 416 == done.status
    assert (tmp_path / "blob").read_bytes() == BLOB


@pytest.mark.parametrize(("asked", "expected"), [("0-99", BLOB[:100]), ("-7", BLOB[-7:]), ("3000000-", BLOB[3000000:])])
def test_range(site: Site, tmp_path: Path, asked: str, expected: bytes) -> None:
    """A part of a file arrives as that part."""
    done = curl(tmp_path, "-r", asked, f"{site.url}/files/blob.bin")
    assert (206, expected) == (done.status, done.out)


def test_several_ranges(site: Site, tmp_path: Path) -> None:
    """Several parts arrive in one multipart answer, with their bytes."""
    done = curl(tmp_path, "-r", "0-9,100-109", f"{site.url}/files/blob.bin")
    assert 206 == done.status
    assert done.transfers[0]["content_type"].startswith("multipart/byteranges")
    assert BLOB[:10] in done.out
    assert BLOB[100:110] in done.out


def test_several_urls(site: Site, tmp_path: Path) -> None:
    """One connection serves several downloads, an expiry between them included."""
    site.grant.expire_before("/files/blob.bin")
    names = ["text.txt", "blob.bin", "empty.txt", "text.txt"]
    done = curl(tmp_path, "--remote-name-all", *(f"{site.url}/files/{name}" for name in names[:3]))
    assert [200, 200, 200] == [one["http_code"] for one in done.transfers]
    assert [1, 0, 0] == [one["num_connects"] for one in done.transfers]
    assert [TEXT, BLOB, b""] == [(tmp_path / name).read_bytes() for name in names[:3]]
    assert 1 == site.grant.exchanges


def test_many_at_once(site: Site, tmp_path: Path) -> None:
    """Many downloads at one expiry: each is whole, and there is one exchange."""
    site.grant.expire()
    names = [f"copy{number}" for number in range(20)]
    wanted = [text for name in names for text in ("-o", name, f"{site.url}/files/text.txt?{name}")]
    done = curl(tmp_path, "--parallel", "--parallel-max", "20", *wanted)
    assert [200] * 20 == [one["http_code"] for one in done.transfers]
    assert [TEXT] * 20 == [(tmp_path / name).read_bytes() for name in names]
    assert 1 == site.grant.exchanges


@pytest.mark.parametrize("version", VERSIONS)
def test_head(site: Site, tmp_path: Path, version: str) -> None:
    """HEAD tells the length of the file and sends none of it."""
    done = curl(tmp_path, version, "-I", f"{site.url}/files/blob.bin")
    assert (0, 200) == (done.code, done.status)
    assert b"\r\ncontent-length: %d\r\n" % len(BLOB) in done.out.lower()


def test_head_and_then_more(site: Site, tmp_path: Path) -> None:
    """A connection goes on after answers without a body: to HEAD, 304 and an empty file."""
    first = curl(tmp_path, "--etag-save", "tag", f"{site.url}/files/blob.bin")
    assert 200 == first.status
    url = f"{site.url}/files"
    done = curl(
        *(tmp_path, "-I", f"{url}/blob.bin", "--next", "--etag-compare", "tag", f"{url}/blob.bin"),
        *("--next", f"{url}/empty.txt", "--next", f"{url}/small.json"),
    )
    assert [200, 304, 200, 200] == [one["http_code"] for one in done.transfers]
    assert [1, 0, 0, 0] == [one["num_connects"] for one in done.transfers]
    assert done.out.endswith(b'{"a": 1}')


def test_unix_socket(site: Site, tmp_path: Path) -> None:
    """A listener on a unix socket serves the same."""
    site.grant.expire()
    done = curl(tmp_path, "--unix-socket", str(site.socket), "http://anything/files/blob.bin")
    assert (200, BLOB) == (done.status, done.out)


@pytest.mark.parametrize("version", ["-0", "--http1.1"])
def test_forward_proxy(site: Site, tmp_path: Path, version: str) -> None:
    """Named as an HTTP proxy, it takes the request target in absolute form."""
    site.grant.expire_before("/files/text.txt")
    urls = [f"http://{HOST}/files/{name}" for name in ("blob.bin", "text.txt")]
    done = curl(tmp_path, version, "-x", site.proxy_url, *urls)
    assert ([200, 200], BLOB + TEXT) == ([one["http_code"] for one in done.transfers], done.out)


def test_forward_proxy_with_another_host(site: Site, tmp_path: Path) -> None:
    """The absolute form says where to, whatever stands in Host."""
    done = curl(tmp_path, "-x", site.proxy_url, "-H", "Host: elsewhere.internal", f"http://{HOST}/files/small.json")
    assert (200, b'{"a": 1}') == (done.status, done.out)


def test_forward_proxy_that_is_asked_for_a_tunnel(site: Site, tmp_path: Path) -> None:
    """CONNECT is refused, since nothing could be added inside a tunnel."""
    done = curl(tmp_path, "-p", "-x", site.proxy_url, f"http://{HOST}/files/text.txt")
    assert (56, 501) == (done.code, done.transfers[0]["http_connect"])


def test_credentials_in_the_url(site: Site, tmp_path: Path) -> None:
    """A password that a legacy tool sends is left out on the way."""
    done = curl(tmp_path, "-u", "somebody:something", f"{site.url}/files/small.json")
    assert (200, b'{"a": 1}') == (done.status, done.out)


@pytest.mark.parametrize(("target", "expected"), [("/moved", TEXT), ("/tree", PAGES["index.html"])])
def test_redirect(site: Site, tmp_path: Path, target: str, expected: bytes) -> None:
    """A redirect that names the server's own address is followed through the proxy, not past it."""
    done = curl(tmp_path, "-L", f"{site.url}{target}")
    assert (200, expected) == (done.status, done.out)
    assert done.transfers[0]["url_effective"].startswith(f"{site.url}/")


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/forbidden/", 403)])
def test_refusal_of_the_server(site: Site, tmp_path: Path, path: str, status: int) -> None:
    """What the server refuses for other reasons reaches curl as it is, and renews nothing."""
    done = curl(tmp_path, "-f", site.url + path)
    assert (22, status, 0) == (done.code, done.status, site.grant.exchanges)
