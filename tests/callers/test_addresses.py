"""The caller's address behind outer proxies: read from the nearest on, and never from one that is not believed."""

import signal
from ipaddress import ip_network

import pytest

from proxy.callers.addresses import UnreadableAddressError, is_believed, real_address
from proxy.config import RealIp

OUTER, NEXT, CALLER, OTHER = "10.0.0.1", "10.0.0.2", "192.0.2.1", "198.51.100.9"
LONG = 64 << 10  # characters
NETWORKS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def told(header, *values, address=OUTER, unix=False):
    """Give the address that is read from fields of that name."""
    fields = [("Host", OTHER), *((header, value) for value in values)]
    return real_address(address, fields, RealIp(NETWORKS, unix, header.lower()))


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        (OUTER, []),
        (OUTER, [""]),
        (OUTER, ["  "]),
        (CALLER, [CALLER]),
        (CALLER, [f" {CALLER}\t"]),
        (CALLER, [f"{CALLER}:12345"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("2001:db8::1", ["2001:DB8:0::1"]),
        ("2001:db8::1", ["[2001:db8::1]"]),
        ("2001:db8::1", ["[2001:db8::1]:12345"]),
        (CALLER, [f"::ffff:{CALLER}"]),
        ("fe80::1", ["fe80::1%eth0"]),
        ("fe80::1", ["fe80::1%eth0 client=erp status=200"]),
        (CALLER, [f"{CALLER}, {NEXT}"]),
        (CALLER, [f"{CALLER},{NEXT},10.9.9.9,fd00::1"]),
        (NEXT, [NEXT]),
        (NEXT, [f"{NEXT}, 10.0.0.3"]),
        (CALLER, [f"127.0.0.1, {CALLER}"]),
        (CALLER, [f"127.0.0.1, {CALLER}, {NEXT}"]),
        (CALLER, [f"10.0.0.9, {CALLER}, {NEXT}"]),
        (CALLER, [f"garbage, ,{CALLER}"]),
        (CALLER, [f"for=evil, {CALLER}, {NEXT}"]),
        (CALLER, ["127.0.0.1", CALLER]),
        (CALLER, ["127.0.0.1", f"{CALLER}, {NEXT}", "10.0.0.3"]),
        (CALLER, ["", CALLER]),
        (CALLER, ["garbage", CALLER]),
    ],
)
def test_x_forwarded_for(expected, values):
    """The first from the end that is not a proxy's we believe; what stands left of it may be anybody's."""
    assert expected == told("X-Forwarded-For", *values)


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "unknown",
        "localhost",
        "unix:",
        f"{CALLER},",
        f"{CALLER},,{NEXT}",
        ",",
        f"garbage, {NEXT}",
        f"{CALLER} {NEXT}",
        f"{CALLER}:port",
        f"{CALLER}:123456",
        f"{CALLER}/32",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]:",
        f"[{CALLER}]:x",
        "192.0.2.01",
        "192.0.2",
        "3221225985",
        f"{CALLER}%eth0",
        "fe80::1%",
        f'"{CALLER}"',
        f"for={CALLER}",
        "\u00b2",
    ],
)
def test_unreadable(value):
    """A proxy that we believe, and that does not say who calls, is told so: nobody is taken for somebody else."""
    with pytest.raises(UnreadableAddressError):
        told("X-Forwarded-For", value)


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        (CALLER, [CALLER]),
        ("2001:db8::1", ["2001:db8::1"]),
        (OUTER, []),
        (CALLER, ["127.0.0.1", CALLER]),
    ],
)
def test_x_real_ip(expected, values):
    """It is one address; where a proxy adds a field of its own behind a caller's, the last counts."""
    assert expected == told("X-Real-IP", *values)


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        (CALLER, [f"for={CALLER}"]),
        (CALLER, [f"FOR={CALLER}"]),
        (CALLER, [f'For="{CALLER}"']),
        (CALLER, [f"for={CALLER}:123"]),
        (CALLER, [f'for="{CALLER}:123"']),
        ("2001:db8::1", ['for="[2001:db8::1]"']),
        ("2001:db8::1", ['for="[2001:db8::1]:123"']),
        ("2001:db8::1", ["for=[2001:db8::1]"]),
        (CALLER, [f"proto=https;for={CALLER};by=10.0.0.1;host=a"]),
        (CALLER, [f" proto = https ; for = {CALLER} ; by=_x"]),
        (CALLER, [f"for={CALLER};"]),
        (CALLER, [f"for={CALLER}, for={NEXT}"]),
        (CALLER, [f"for=127.0.0.1, for={CALLER};proto=http, for={NEXT}"]),
        (CALLER, [f'for=", for={CALLER}']),
        (CALLER, ["for=127.0.0.1", f"for={CALLER}"]),
        (CALLER, [f"for=unknown, for={CALLER}"]),
        (CALLER, [f'host=";for=127.0.0.1";for={CALLER}']),
        (CALLER, [f'for={CALLER};host=";for=127.0.0.1"']),
        (OUTER, []),
    ],
)
def test_forwarded(expected, values):
    """RFC 7239: `for` among other pairs, quoted where it has to be; what another pair holds is never taken for it."""
    assert expected == told("Forwarded", *values)


@pytest.mark.parametrize(
    "value",
    [
        "for=unknown",
        "for=_hidden",
        'for="_hidden:80"',
        "for=",
        'for=""',
        "for",
        "proto=https",
        CALLER,
        f'for={CALLER}"',
        f'for="{CALLER}',
        f"xfor={CALLER}",
        f"for={CALLER} host=a",
        f"for={CALLER};for=127.0.0.1",
        f'for={CALLER};host="a,for=127.0.0.1"',
        f'for={CALLER};host="a\\";for=127.0.0.1"',
        f"for={CALLER}, ",
        f"for=unknown, for={NEXT}",
    ],
)
def test_forwarded_unreadable(value):
    """A caller whose address is hidden has none; and what is not written as it should be may be a caller's doing."""
    with pytest.raises(UnreadableAddressError):
        told("Forwarded", value)


@pytest.fixture
def limit():
    """The test ends after so much of the processor's time, however long it would go on."""

    def end(*_):
        raise TimeoutError("it takes far too long")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, 10)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def test_forwarded_that_is_long(limit):
    """Each character is looked at once: what a caller puts there cannot keep the proxy busy."""
    with pytest.raises(UnreadableAddressError):
        told("Forwarded", "for=" + " " * LONG + '"')


@pytest.mark.parametrize(
    ("expected", "address", "networks", "unix"),
    [
        (True, OUTER, NETWORKS, False),
        (True, f"::ffff:{OUTER}", NETWORKS, False),
        (True, "fd00::1%eth0", NETWORKS, False),
        (False, CALLER, NETWORKS, True),
        (False, "127.0.0.1", NETWORKS, True),
        (False, OUTER, (), True),
        (True, "", NETWORKS, True),
        (False, "", NETWORKS, False),
        (False, "", (ip_network("0.0.0.0/0"), ip_network("::/0")), False),
    ],
)
def test_believed(expected, address, networks, unix):
    """A network, and a unix socket only where that is said."""
    assert expected == is_believed(address, RealIp(networks, unix))


def test_behind_a_unix_socket():
    """What came over it is told by the proxy there, and further only by those that are believed."""
    assert CALLER == told("X-Forwarded-For", f"127.0.0.1, {CALLER}", address="", unix=True)
    assert CALLER == told("X-Forwarded-For", f"127.0.0.1, {CALLER}, {NEXT}", address="", unix=True)
    assert "" == told("X-Forwarded-For", address="", unix=True)


@pytest.mark.parametrize(
    ("expected", "address", "value"),
    [
        (OUTER, OUTER, "127.0.0.1"),
        (OUTER, OUTER, "127.9.9.9:80"),
        (OUTER, OUTER, "::1"),
        (OUTER, OUTER, "::ffff:127.0.0.1"),
        (OUTER, OUTER, f"{CALLER}, ::1"),
        (NEXT, OUTER, f"127.0.0.1, {NEXT}"),
        (CALLER, OUTER, f"127.0.0.1, {CALLER}"),
        ("127.0.0.2", "127.0.0.1", "127.0.0.2"),
        ("::1", "127.0.0.1", "::1"),
        ("127.0.0.1", "", "127.0.0.1"),
        (CALLER, "127.0.0.1", f"{CALLER}, 127.0.0.3"),
    ],
)
def test_loopback_of_another_machine(expected, address, value):
    """A proxy elsewhere cannot make its caller one of this machine, nor can anybody in networks that are believed."""
    networks = (*NETWORKS, ip_network("127.0.0.0/8"))
    assert expected == real_address(address, [("X-Forwarded-For", value)], RealIp(networks, unix=True))


def test_other_fields():
    """Only the one that the configuration names is read."""
    fields = [("X-Real-IP", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("X-Forwarded-For", CALLER)]
    assert CALLER == real_address(OUTER, fields, RealIp(NETWORKS))
    assert OUTER == real_address(OUTER, [("X_Forwarded_For", CALLER)], RealIp(NETWORKS))
