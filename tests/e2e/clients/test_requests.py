"""`requests` with a session, as scripts use it: streams both ways, kept connections, redirects, an expiry unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256

import pytest
import requests

from tests.e2e.clients.conftest import HOST, Site
from tests.e2e.clients.nginx import BLOB, TEXT
from tests.e2e.clients.programs import WITHIN

DIGEST = sha256(BLOB).hexdigest()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that no setting of this machine changes."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def connections(session: requests.Session) -> int:
    """How many connections a session has made."""
    pools = session.adapters["http://"].poolmanager.pools  # type: ignore[attr-defined]
    return sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - it is no mapping to iterate


def pieces() -> Iterator[bytes]:
    """The blob as it comes, in pieces of no even size."""
    for start in range(0, len(BLOB), 100_001):
        yield BLOB[start : start + 100_001]


def test_session(site: Site, session: requests.Session) -> None:
    """A session works on one connection, across an expiry and a refusal."""
    answers = [session.get(f"{site.url}/files/text.txt", timeout=WITHIN)]
    site.grant.expire()
    answers += [session.get(f"{site.url}/{path}", timeout=WITHIN) for path in ("files/text.txt", "nothing", "files/a/")]
    assert [200, 200, 404, 404] == [answer.status_code for answer in answers]
    assert [TEXT, TEXT] == [answer.content for answer in answers[:2]]
    assert (1, 1) == (connections(session), site.grant.exchanges)


@pytest.mark.parametrize("expired", [False, True], ids=["fresh", "expired"])
def test_stream_up(site: Site, session: requests.Session, expired: bool) -> None:
    """What a generator yields arrives whole, in chunks, though it can be asked only once."""
    if expired:
        site.grant.expire()
    answer = session.post(f"{site.url}/cgi/digest", data=pieces(), headers={"Content-Type": "a/b"}, timeout=WITHIN)
    assert (200, f"{DIGEST} a/b\n") == (answer.status_code, answer.text)
    assert "POST /cgi/digest HTTP/1.1 [chunked] []" == answer.headers["X-Seen"]
    assert int(expired) == site.grant.exchanges


def test_stream_down(site: Site, session: requests.Session) -> None:
    """A long answer is read in pieces, and its connection is used again after the last."""
    site.grant.expire()
    digest = sha256()
    with session.get(f"{site.url}/files/blob.bin", stream=True, timeout=WITHIN) as answer:
        for piece in answer.iter_content(10_007):
            digest.update(piece)
    assert DIGEST == digest.hexdigest()
    assert 200 == session.get(f"{site.url}/files/text.txt", timeout=WITHIN).status_code
    assert 1 == connections(session)


def test_stream_down_that_is_given_up(site: Site, session: requests.Session) -> None:
    """Who leaves a long answer unread gets the next one whole."""
    with session.get(f"{site.url}/files/blob.bin", stream=True, timeout=WITHIN) as answer:
        assert BLOB[:1000] == next(answer.iter_content(1000))
    assert TEXT == session.get(f"{site.url}/files/text.txt", timeout=WITHIN).content


def test_redirects(site: Site, session: requests.Session) -> None:
    """A redirect to the server's own address leads through the proxy."""
    answer = session.get(f"{site.url}/moved", timeout=WITHIN)
    assert (200, f"{site.url}/files/text.txt", TEXT) == (answer.status_code, answer.url, answer.content)


def test_files_and_json(site: Site, session: requests.Session) -> None:
    """A form with a file, and JSON, arrive with their types."""
    site.grant.expire()
    answer = session.post(f"{site.url}/cgi/digest", files={"file": BLOB}, timeout=WITHIN)
    assert " multipart/form-data\n" == answer.text[64:]
    answer = session.post(f"{site.url}/cgi/digest", json={"a": 1}, timeout=WITHIN)
    assert sha256(b'{"a": 1}').hexdigest() + " application/json\n" == answer.text


def test_forward_proxy(site: Site, session: requests.Session) -> None:
    """Named as the proxy for http, it takes the request target in absolute form."""
    site.grant.expire()
    session.proxies = {"http": site.proxy_url}
    answer = session.post(f"http://{HOST}/cgi/digest", data=pieces(), timeout=WITHIN)
    assert DIGEST == answer.text.split()[0]


def test_basic_credentials(site: Site, session: requests.Session) -> None:
    """A password of a legacy tool does not stand in the way of the token."""
    session.auth = ("somebody", "something")
    assert b'{"a": 1}' == session.get(f"{site.url}/files/small.json", timeout=WITHIN).content


async def test_kept_connection_to_a_proxy_that_was_restarted(site: Site, session: requests.Session) -> None:
    """A session goes on after a restart of the proxy: kept connections end in order, and are made anew."""

    def post() -> str:
        return session.post(f"{site.url}/cgi/digest", data=BLOB, timeout=WITHIN).text.split()[0]

    assert DIGEST == await asyncio.to_thread(post)
    assert 0 == await site.gateway.proxy.stop()
    site.grant.expire()
    await site.gateway.proxy.start()
    assert DIGEST == await asyncio.to_thread(post)
    assert 1 == site.grant.exchanges
