"""Who may call: clients held against routes and each other, addresses that are open to others, outer proxies, users."""

import os
import pwd

import pytest
import trustme

from proxy.config import LOOPBACK_ONLY, NOBODY, Callers, RealIp, SocketAccess

ROUTES = """\
credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}
routes: [{prefix: /readycloud, credential: a}, {prefix: /orders, name: orders, credential: a}]
"""
KEY = "long enough for a key"
OTHER = "another key that is long enough"
DIGEST = "c149b90f2067ab5ea668cc16166a52741de2b033b8f9e2688202a3971d7914f2"  # of KEY, as sha256sum prints it
FINGERPRINT = "sha256:" + "ab" * 32
BEYOND = (
    "this listens beyond loopback, so that others call in your name: say who may, with clients that have keys, "
    "or with anonymous: any or a list of networks; or listen on localhost"
)
NOBODY_MAY = "anonymous: with none, and without clients, nobody may call: add clients"
NO_PROOF = "a client needs a key, or a certificate: else nobody can be it"
NO_ROUTE = "there is no route of that name"
NO_ROUTES = "with an empty list this client may call nothing: name routes, or leave the key away for all of them"
NOT_ASKED = "callers are not asked for certificates: set ssl_client_certificate"
SWITCHED_OFF = "callers are not asked for certificates: write ssl_verify_client: optional"
GUESSED = "warning: a key of fewer than 16 characters can be guessed: make one with `openssl rand -hex 16`"
NETWORK = "a network is written 10.0.0.0/8 or fd00::/8, and callers over unix sockets 'unix:', in quotes"
NETWORKS = "this must be a list of networks such as 10.0.0.0/8, or 'unix:', in quotes, for callers over unix sockets"
NO_USER = "one of these is no user of this machine: see `getent passwd`, or write the user's number"
NO_USERS = "an empty list lets nobody call: name users, or leave the key away for all whom socket_mode lets in"


def clients(**entries):
    """Write a file with two routes, whose client N stands on line N + 4."""
    return ROUTES + "clients:\n" + "".join(f"  {name}: {{{entry}}}\n" for name, entry in entries.items())


@pytest.fixture(autouse=True)
def authority(tmp_path):
    """That of callers' certificates stands beside the configuration, with a certificate of ours."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "c.pem"))


ASKED = "ssl_client_certificate: ca.pem\nssl_certificate: c.pem\nlisten: localhost:8443 ssl\n"


@pytest.mark.parametrize(
    ("expected", "entries"),
    [
        ([], {"erp": f"key: {KEY}"}),
        ([], {"erp": f"key: {KEY}, routes: [/readycloud, orders], methods: [GET]"}),
        ([], {"erp": f"key: {KEY}, routes: orders", "two": f"key: [{OTHER}]"}),
        ([], {"erp": f"key: [{KEY}, {OTHER}, {KEY}, '']"}),
        ([f"4: clients.erp: {NO_PROOF}"], {"erp": ""}),
        ([f"4: clients.erp: {NO_PROOF}"], {"erp": "key: '${UNSET:-}', certificate: []"}),
        ([f"4: clients.erp: {NO_PROOF}"], {"erp": "key: '  '"}),
        ([f"4: clients.erp: {NO_PROOF}"], {"erp": "key: '${BLANK}'"}),
        ([f"5: clients.two: {NO_PROOF}"], {"erp": f"key: {KEY}", "two": "methods: GET"}),
        ([f"4: clients.erp.key: {GUESSED}"], {"erp": f"key: [{KEY}, short, shorter]"}),
        ([f"4: clients.erp.key: {GUESSED}"], {"erp": "key: 123456789012345"}),
        (["5: clients.two.key: this is the key of erp too: nobody could tell them apart"],
         {"erp": f"key: {KEY}", "two": f"key: [{OTHER}, {KEY}]"}),
        (["5: clients.two.key: this is the key of erp too: nobody could tell them apart"],
         {"erp": f"key: {KEY}", "two": f"key: 'SHA256:{DIGEST.upper()}'"}),
        ([f"4: clients.erp.routes.1: {NO_ROUTE} (did you mean 'orders'?)"],
         {"erp": f"key: {KEY}, routes: [/readycloud, order]"}),
        ([f"4: clients.erp.routes.0: {NO_ROUTE} (did you mean '/readycloud'?)"],
         {"erp": f"key: {KEY}, routes: readycloud"}),
        ([f"4: clients.erp.routes.0: {NO_ROUTE}"], {"erp": f"key: {KEY}, routes: [zzz]"}),
        ([f"4: clients.erp.routes.0: {NO_ROUTE} (did you mean 'orders'?)"], {"erp": f"key: {KEY}, routes: [/orders]"}),
        ([f"4: clients.erp.routes: {NO_ROUTES}"], {"erp": f"key: {KEY}, routes: []"}),
        ([f"4: clients.erp.routes: {NO_ROUTES}"], {"erp": f"key: {KEY}, routes: '${{UNSET:-}}'"}),
        ([f"4: clients.erp.certificate: {NOT_ASKED}"], {"erp": "certificate: erp.internal"}),
    ],
)  # fmt: skip
def test_clients(lines, expected, entries):
    """A client has a proof of its own, and routes that exist."""
    assert [f"config.yaml:{line}" for line in expected] == lines(clients(**entries), BLANK=" \n")


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        ([], ASKED),
        ([], f"{ASKED}ssl_verify_client: on\n"),
        ([NOT_ASKED], ""),
        ([NOT_ASKED], "ssl_client_certificate: ''\n"),
        ([SWITCHED_OFF], f"{ASKED}ssl_verify_client: off\n"),
        ([SWITCHED_OFF], "ssl_verify_client: off\n"),
    ],
)
def test_certificates_that_nobody_asks_for(lines, expected, settings):
    """A client known by its certificate needs callers to be asked for one."""
    found = lines(f"{settings}clients: {{erp: {{certificate: [erp.internal, ERP.internal]}}}}")
    assert expected == [line.partition("clients.erp.certificate: ")[2] for line in found if "clients" in line]


@pytest.mark.parametrize(
    ("expected", "first", "second"),
    [
        (True, "erp.internal", "erp.internal"),
        (True, "erp.internal", "[a, ERP.Internal]"),
        (True, f"'{FINGERPRINT}'", f"'{FINGERPRINT.upper()}'"),
        (False, "erp.internal", "two.internal"),
    ],
)
def test_certificate_of_two_clients(lines, expected, first, second):
    """A certificate is that of one client, whatever the letter case that it is written in."""
    text = f"{ASKED}clients: {{erp: {{certificate: {first}}}, two: {{certificate: {second}}}}}"
    problem = "config.yaml:4: clients.two.certificate: this is the certificate of erp too: nobody could tell them apart"
    assert ([problem] if expected else []) == lines(text)


def test_client_as_the_program_sees_it(loaded):
    """Without a word a client may call every route with every method."""
    text = clients(erp=f"key: {KEY}", two=f"key: {OTHER}, routes: orders, methods: [get, POST]")
    erp, two = loaded(text).callers.clients
    assert ("erp", None, None, (), DIGEST) == (
        erp.name,
        erp.routes,
        erp.methods,
        erp.certificates,
        erp.keys[0].digest.hex(),
    )
    assert ("two", {"orders"}, {"GET", "POST"}) == (two.name, two.routes, two.methods)


@pytest.mark.parametrize(
    "listen",
    [
        "listen: 0.0.0.0:80",
        "listen: '*:80'",
        "listen: ['localhost:80', '10.0.0.1:80']",
        "listen: proxy:80",
        "routes: [{listen: '0.0.0.0:80', credential: a}]\n" + ROUTES.splitlines()[0],
    ],
)
@pytest.mark.parametrize(
    ("allowed", "who"),
    [
        (False, ""),
        (False, "clients: {}"),
        (False, "clients: null\nanonymous: null"),
        (False, "anonymous: '${UNSET:-}'"),
        (True, f"clients: {{erp: {{key: {KEY}}}}}"),
        (True, f"clients: {{erp: {{key: {KEY}}}}}\nanonymous: none"),
        (True, "anonymous: loopback"),
        (True, "anonymous: any"),
        (True, "anonymous: [10.0.0.0/8]"),
    ],
)
def test_listening_beyond_loopback(lines, listen, allowed, who):
    """Whoever opens the data plane to others says to whom, by either way out."""
    place = "routes.0.listen" if listen.startswith("routes") else "listen"
    assert ([] if allowed else [f"config.yaml:1: {place}: {BEYOND}"]) == lines(f"{listen}\n{who}")


@pytest.mark.parametrize(
    ("expected", "who"),
    [([f"config.yaml:1: listen: BEARER_PROXY_LISTEN: {BEYOND}"], ""), ([], f"clients: {{erp: {{key: {KEY}}}}}")],
)
def test_listening_beyond_loopback_by_the_environment(lines, expected, who):
    """The variable is asked the same, and named."""
    assert expected == lines(who, BEARER_PROXY_LISTEN="localhost:80,0.0.0.0:81")


@pytest.mark.parametrize("listen", ["unix:/run/a.sock", "['unix:/run/a.sock', 'localhost:80']", "127.9.9.9:80"])
def test_listening_on_this_machine(lines, listen):
    """A unix socket is as near as loopback."""
    assert [] == lines(f"listen: {listen}")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([], f"anonymous: none\nclients: {{erp: {{key: {KEY}}}}}"),
        ([f"config.yaml:1: {NOBODY_MAY}"], "anonymous: none"),
        ([f"config.yaml:1: {NOBODY_MAY}"], "anonymous: none\nclients: {}"),
        ([f"config.yaml:1: {NOBODY_MAY}"], "anonymous: none\nlisten: 0.0.0.0:80"),
    ],
)
def test_nobody_without_a_key(lines, expected, text):
    """Where nobody may call without a key, somebody has one."""
    assert expected == lines(text)


def test_anonymous_beside_clients(loaded):
    """Clients take nothing from loopback; none takes unix sockets too."""
    text = f"clients: {{erp: {{key: {KEY}}}}}\n"
    assert LOOPBACK_ONLY == loaded(text).callers.anonymous
    assert NOBODY == loaded(f"{text}anonymous: none").callers.anonymous
    assert (False, True) == (NOBODY.admits(""), LOOPBACK_ONLY.admits(""))


def test_everybody_is_believed(lines):
    """That gives the proxy to whoever claims to call from loopback, so it is warned of."""
    told = "warning: so everybody is believed, and can claim any address, loopback's too"
    assert [f"config.yaml:1: set_real_ip_from: {told}"] == lines("set_real_ip_from: [10.0.0.0/8, 0.0.0.0/0]")


@pytest.mark.parametrize(
    ("networks", "unix", "text"),
    [
        ([], False, ""),
        ([], False, "set_real_ip_from: null"),
        ([], False, "set_real_ip_from: '${UNSET:-}'"),
        ([], True, "set_real_ip_from: 'unix:'"),
        ([], True, "set_real_ip_from: ['unix:']"),
        (["10.0.0.0/8"], False, "set_real_ip_from: 10.1.2.3/8"),
        (["192.0.2.1/32", "fd00::/8"], True, "set_real_ip_from: [192.0.2.1, 'unix:', 'fd00::1/8']"),
        (["0.0.0.0/0", "::/0"], False, "set_real_ip_from: [0.0.0.0/0, '::/0']"),
    ],
)
def test_outer_proxies(loaded, networks, unix, text):
    """Outer proxies are believed by network, or over unix sockets; without a word, none is."""
    found = loaded(text).callers.real_ip
    assert (networks, unix, "x-forwarded-for") == ([str(one) for one in found.networks], found.unix, found.header)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (f": {NETWORKS}", "[]"),
        (f".0: {NETWORK}", "CANARY"),
        (f".0: {NETWORK}", "true"),
        (f".0: {NETWORK}", "{}"),
        (f".0: {NETWORK}", "[unix:]"),
        (f".0: {NETWORK}", "[unix]"),
        (f".0: {NETWORK}", "[[10.0.0.0/8]]"),
        (f".0: {NETWORK}", "['unix:/run/a.sock']"),
        (f".0: {NETWORK}", "['::ffff:10.0.0.0/104']"),
        (f".1: {NETWORK}", "['unix:', proxy.internal]"),
        (f".1: {NETWORK}", "[10.0.0.0/8, 10.0.0.0/33]"),
    ],
)
def test_bad_outer_proxies(lines, expected, value):
    """What is no network is told at its place in the list, and how `unix:` is written."""
    assert [f"config.yaml:1: set_real_ip_from{expected}"] == lines(f"set_real_ip_from: {value}")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
def test_header_of_outer_proxies(loaded, header):
    """The field is kept in lower case, as the data plane compares names."""
    assert (
        RealIp(unix=True, header=header.lower())
        == loaded(f"set_real_ip_from: 'unix:'\nreal_ip_header: {header}").callers.real_ip
    )


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (SocketAccess(), ""),
        (SocketAccess(0o666), "socket_mode: 0666"),
        (SocketAccess(users=frozenset({0})), "socket_users: root"),
        (SocketAccess(users=frozenset({0, 4_294_967_294})), "socket_users: [root, '', 0, 4294967294]"),
        (SocketAccess(0o660, frozenset({1001})), "socket_mode: 660\nsocket_users: 1001"),
    ],
)
def test_socket_access(loaded, expected, text):
    """Users of unix sockets are known by name on this machine, or by number on any."""
    assert expected == loaded(text).callers.socket


def test_user_of_this_machine(loaded):
    """A name is looked up."""
    user = pwd.getpwuid(os.getuid())
    assert {user.pw_uid} == loaded(f"socket_users: {user.pw_name}").callers.socket.users


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (NO_USER, "no-such-user"),
        (NO_USER, "[root, no-such-user, nor-this]"),
        (NO_USER, "[4294967295]"),
        (NO_USER, "9" * 5000),
        (NO_USER, "'-1'"),
        (NO_USER, '"a\\0b"'),
        (NO_USER, "x" * 100_000),
        (NO_USERS, "[]"),
        (NO_USERS, "''"),
    ],
    ids=range(9),
)
def test_bad_users(lines, expected, value):
    """What no user can be is one problem; an empty list is not taken for no list."""
    assert [f"config.yaml:1: socket_users: {expected}"] == lines(f"socket_users: {value}")


def test_nothing_said(loaded):
    """Without a word, this machine may call, by names that it has anyhow."""
    assert Callers() == loaded("").callers
    assert {"proxy", "a.b"} == loaded("hosts: [Proxy, a.b]").callers.hosts
