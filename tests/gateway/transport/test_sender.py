"""What goes onto the wire to an upstream."""

from typing import Any

import pytest

from proxy.config import Limits, Upstream
from proxy.errors import BadTargetError
from proxy.gateway.message import Outbound
from proxy.gateway.transport.sender import UpstreamSender


class Direct:
    """A dialer that nobody stands between."""

    def via(self, _):
        return None


def wire(target):
    dialer: Any = Direct()
    sender = UpstreamSender(Limits(), dialer)
    return sender._wire(Outbound("GET", Upstream.parse("http://a"), target, [("Host", "a")]))


async def test_target():
    """It stands in the first line, byte for byte."""
    assert b"GET /a?b=\xe4 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " == wire("/a?b=\xe4")


@pytest.mark.parametrize("target", ["", "/a b", "/a HTTP/1.1\r\nHost: b", "/a\tb", "/a\x00", "/a\x7f", "/\n"])
async def test_no_target(target):
    """Whatever it was put together of: what would end it, or begin another line, is not sent."""
    with pytest.raises(BadTargetError):
        wire(target)
