"""A caller's request, and what an admission says to it, without sockets."""

import hashlib
from ipaddress import ip_network

from proxy.callers.guesses import Guesses
from proxy.config import Anonymous, Callers, ClientConfig, RealIp
from proxy.config.fields import KeyHash
from proxy.config.values import EVERYBODY, LOOPBACK_ONLY, NOBODY
from proxy.errors import CallerError
from proxy.gateway.admission import Admission, refuse_foreign
from proxy.gateway.message import Downstream, Request

RIGHT, WRONG = "right-key-0123456789", "wrong-key-0123456789"
ERP = ClientConfig("erp", (KeyHash(hashlib.sha256(RIGHT.encode()).digest()),))
CERTIFIED = ClientConfig("certified", certificates=("erp.internal",))
NAMES = frozenset({"proxy"})
NEAR, FAR, LAN = "127.0.0.1", "192.0.2.1", "10.0.0.1"
ON_THE_LAN = Anonymous((ip_network("10.0.0.0/8"),))
ADMITS = {"loopback": LOOPBACK_ONLY, "none": NOBODY, "any": EVERYBODY, "a network": ON_THE_LAN}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def asked(
    address=NEAR,
    key=None,
    host="localhost:8080",
    *fields,
    target="/a",
    version="1.1",
    client=None,
    reached="",
    user=None,
):
    """Give a request with a key as bearer token."""
    headers = [("Host", host)] if host is not None else []
    headers += [("Authorization", f"Bearer {key}")] if key else []
    return Request(
        "GET",
        target,
        [*headers, *fields],
        version,
        host or "",
        downstream=Downstream("", "http", address, reached or address, client, user),
    )


def admission(anonymous=LOOPBACK_ONLY, clients=(ERP,), clock=None, real_ip=RealIp()):  # noqa: B008 - frozen
    callers = Callers(clients=clients, anonymous=anonymous, real_ip=real_ip)
    return Admission(callers, NAMES, Guesses(clock or Clock()))


def heard(admits, request):
    """Give the name of the client that calls, `` for an anonymous caller, or the error that it hears."""
    try:
        claim = admits.claim(request)
        refuse_foreign(claim, frozenset())
        client = admits.admit(request, claim)
    except CallerError as error:
        return f"{error.status} {error.error}"
    return "" if client is None else client.name
