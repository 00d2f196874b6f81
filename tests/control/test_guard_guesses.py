"""Wrong admin_keys are slowed by whatever name and path they come, and while they are, no answer tells a right one."""

from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.callers.guesses import Guesses
from proxy.control.guard import guard
from proxy.secret import Secret

KEY = "admin-key-of-the-tests"
WRONG = [f"wrong-{number}" for number in range(100)]
STRANGE, OURS = "evil.example", "localhost"
PATHS = ["/", "/api/credentials", "/healthz", "/callback", "/absent"]


class Plane:
    """A guarded plane at a time that stands still: gives the status that each request gets, and the words."""

    def __init__(self):
        self._admit = guard(frozenset(), Secret(KEY), Guesses(clock=lambda: 0.0))

    async def __call__(self, host, path, *keys):
        transport = Mock()
        transport.get_extra_info.side_effect = {"sockname": ("127.0.0.1", 8081), "peername": ("127.0.0.1", 1)}.get
        fields = CIMultiDict([("Host", host), *(("Authorization", f"Bearer {key}") for key in keys)])
        try:
            await self._admit(make_mocked_request("GET", path, fields, transport=transport), self._handle)
        except web.HTTPError as error:
            return error.status, error.text
        return 200, ""

    @staticmethod
    async def _handle(_):
        return web.Response()

    async def guess(self, host, path):
        """Give one wrong key after the other, for long."""
        for key in WRONG:
            await self(host, path, key)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", [STRANGE, OURS])
async def test_wrong_keys(host, path):
    """They count where the name is refused too, and where no key is asked for."""
    asked = Plane()
    await asked.guess(host, path)
    assert 429 == (await asked(OURS, "/", KEY))[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", [STRANGE, OURS])
async def test_while_they_are_slowed(host, path):
    """A right key is answered as a wrong one is, and opens nothing."""
    asked = Plane()
    await asked.guess(OURS, "/")
    opened = host == OURS and path in ("/healthz", "/callback")
    right, wrong = await asked(host, path, KEY), await asked(host, path, "wrong")
    assert (opened, right) == (right[0] == 200, wrong)


async def test_no_keys():
    """Who gives none guesses none, however often the name is refused."""
    asked = Plane()
    refused = [(await asked(host, "/"))[0] for host in (STRANGE, OURS) for _ in range(100)]
    assert [403] * 100 + [401] * 100 == refused
    assert 200 == (await asked(OURS, "/", KEY))[0]


async def test_wrong_keys_after_the_right_one():
    """From an address that the key has opened from it goes on opening, by a strange name too."""
    asked = Plane()
    assert 200 == (await asked(OURS, "/", KEY))[0]
    await asked.guess(STRANGE, "/")
    assert [200, 200] == [(await asked(host, "/", KEY))[0] for host in (STRANGE, OURS)]
    assert 429 == (await asked(OURS, "/", "wrong"))[0]
