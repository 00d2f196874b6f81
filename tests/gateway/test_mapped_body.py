"""A body whose links are mapped, as a connection reads it: at once, part by part, and broken off."""

import asyncio
import gzip

import pytest

from proxy.config import Upstream
from proxy.errors import UpstreamTerminatedError
from proxy.gateway.jsonlinks import PIECE, ContentCodingError, JsonLinks, MappedBody
from proxy.gateway.links import LinkMap, Mount
from proxy.gateway.message import Whole

LINKS = LinkMap(Upstream.parse("https://api.acme.example"), Mount("", "/acme"), (), "http://localhost:8080")
BODY = b'[{"next":"https://api.acme.example/a?b","c":"d"},"https:\\/\\/api.acme.example:443"]'
MAPPED = b'[{"next":"http://localhost:8080/acme/a?b","c":"d"},"http:\\/\\/localhost:8080\\/acme"]'


def mapped(body, *, zipped=False):
    return MappedBody(body, JsonLinks(LINKS, gzip=zipped))


class Arriving:
    """A body that arrives part by part, the first before anybody waits for it."""

    def __init__(self, *parts, error=None):
        self._parts = list(parts)
        self._error = error
        self._waiting = False

    @property
    def ended(self):
        return not self._parts and self._error is None

    def at_hand(self):
        if self._waiting or not self._parts:
            return b""
        self._waiting = True
        return self._parts.pop(0)

    async def read(self):
        await asyncio.sleep(0)
        if self._error is not None and not self._parts:
            raise self._error
        self._waiting = False
        return self.at_hand()


async def drained(body):
    """Give what is read of a body, read by read, the way a connection does it."""
    reads = [body.at_hand()]
    while not body.ended:
        reads.append(await body.read())
    return reads


async def test_body_that_is_at_hand():
    """It is given in one go, and has ended."""
    for data, zipped in ((BODY, False), (gzip.compress(BODY), True)):
        body = mapped(Whole(data), zipped=zipped)
        assert not body.ended
        assert MAPPED == body.at_hand()
        assert body.ended
        assert b"" == body.at_hand() == await body.read()
    members = gzip.compress(b'"https://api') + gzip.compress(b'.acme.example"')
    assert b'"http://localhost:8080/acme"' == mapped(Whole(members), zipped=True).at_hand()


@pytest.mark.parametrize("size", [1, 7, 30, 4000])
async def test_body_that_arrives(size):
    """Each part goes on as soon as it is there, and never an empty one before the end."""
    parts = [BODY[at : at + size] for at in range(0, len(BODY), size)]
    reads = await drained(mapped(Arriving(*parts)))
    assert MAPPED == b"".join(reads)
    assert all(reads[1:-1])
    assert [b'[{"next":', b'"htx'] == await drained(mapped(Arriving(BODY[:12], b"x")))


async def test_body_without_a_byte():
    """It ends as it is."""
    assert [b""] == await drained(mapped(Arriving(), zipped=True))
    assert [b"", b""] == await drained(mapped(Arriving(b"", b"")))


async def test_body_that_grows_without_measure():
    """No read gives much more than a piece, and other tasks have their turn before each."""
    packed = gzip.compress(bytes(8 << 20))
    turns: list[None] = []

    async def other():
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(other())
        reads = await drained(mapped(Arriving(packed[:5000], packed[5000:]), zipped=True))
        task.cancel()
    assert 8 << 20 == sum(map(len, reads))
    assert max(map(len, reads)) < 2 * PIECE
    assert len(turns) >= len(reads) - 1


async def test_body_that_breaks_off():
    """What came before is given, then the reader is told; a body does not end that way."""
    body = mapped(Arriving(BODY, error=UpstreamTerminatedError()))
    assert MAPPED == body.at_hand()
    with pytest.raises(UpstreamTerminatedError):
        await body.read()
    assert not body.ended


async def test_body_in_gzip_that_breaks_off():
    """A gzip without an end is an error too where the transfer had one."""
    body = mapped(Arriving(gzip.compress(BODY)[:-1], b""), zipped=True)
    assert MAPPED == body.at_hand()
    with pytest.raises(ContentCodingError):
        await body.read()
