"""Where a configuration listens, who may call there, and where it keeps things."""

import pytest

from proxy.config import EVERYBODY, LOOPBACK_ONLY, Address

CREDENTIAL = "credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}\n"
BEYOND = (
    "this listens beyond loopback, so that others call in your name: say who may, with clients that have keys, "
    "or with anonymous: any or a list of networks; or listen on localhost"
)
SQLITE = "config.yaml:1: store: this version keeps tokens in SQLite only: write sqlite:FILE"
NETWORKS = "this must be loopback, none, any, or a list of networks such as 10.0.0.0/8"
GUESSED = "warning: a key of fewer than 16 characters can be guessed: make one with `openssl rand -hex 16`"
ABSENT = "warning: there is no value, so nothing is protected by this key"
ADMIN = "the control plane beyond loopback needs admin_key: set one, or use localhost"


def routes(*entries):
    """Write a file whose route N stands on line N + 3."""
    return CREDENTIAL + "routes:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["1: admin: 127.0.0.1:8080 is listened on by listen already"], "admin: 127.0.0.1:8080"),
        (["1: listen: 127.0.0.1:1 is listened on by listen already"], "listen: ['localhost:1', '127.0.0.1:1']"),
        (["2: admin: [::1]:1 is listened on by listen already"], "listen: '*:1'\nadmin: '[::1]:1'\nanonymous: any"),
        (["2: admin: unix:/a is listened on by listen already"], "listen: unix:/a\nadmin: unix:/a"),
        ([], "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0"),
        ([], "listen: 127.0.0.1:1\nadmin: '[::1]:1'"),
        ([], "listen: ['0.0.0.0:1', '[::]:1']\nanonymous: any"),
        ([f"1: admin: {ADMIN}"], "admin: 0.0.0.0:8081"),
        ([f"1: admin: {ADMIN}"], "admin: ['localhost:8081', 'proxy:8081']\nanonymous: any"),
        ([], "admin: null\nlisten: 'localhost:8081'"),
        ([f"2: admin: {ADMIN}"], "admin_key: '${UNSET:-}'\nadmin: '*:8081'"),
        ([f"2: admin: {ADMIN}"], "admin_key: '  '\nadmin: ':8081'"),
        ([f"1: admin: {ADMIN}"], "admin: '[::]:8081'\nlisten: 'localhost:1'"),
        ([f"2: admin_key: {GUESSED}"], "admin: 0.0.0.0:8081\nadmin_key: fifteen-letters"),
        ([], "admin: 0.0.0.0:8081\nadmin_key: sixteen--letters"),
        ([], "admin: 0.0.0.0:8081\nadmin_key: '5555555555555555'"),
        ([], "admin: ['localhost:8081', 'proxy:8081']\nanonymous: any\nadmin_key: 5555555555555555"),
        ([], "admin: unix:/a"),
        ([f"2: admin_key: {GUESSED}"], "admin: localhost:1\nadmin_key: word"),
        ([f"1: admin_key: {ABSENT}", f"2: admin: {ADMIN}"], "admin_key:\nadmin: '*:8081'"),
        ([f"1: admin_key: {ABSENT}", f"2: store_key: {ABSENT}"], "admin_key:\nstore_key: null"),
    ],
)
def test_listening(lines, expected, text):
    """Two listeners do not share an address, and without a key the control plane stays on this machine."""
    assert [f"config.yaml:{line}" for line in expected] == lines(text)


@pytest.mark.parametrize(
    ("expected", "entries"),
    [
        (["3: routes.0.listen: localhost:8080 is listened on"], ["listen: 'localhost:8080', credential: a"]),
        (["4: routes.1.listen: 127.0.0.1:1 is listened on"],
         ["listen: 'localhost:1', credential: a", "listen: '127.0.0.1:1', credential: a"]),
        (["4: routes.1.listen: 127.0.0.1:8081 is listened on"],
         ["prefix: /z", "listen: '127.0.0.1:8081', credential: a"]),
        ([f"3: routes.0.listen: {BEYOND}"], ["listen: ['localhost:1', '0.0.0.0:2'], credential: a"]),
        ([f"4: routes.1.listen: {BEYOND}"], ["prefix: /z", "listen: '0.0.0.0:1', credential: a"]),
        ([f"4: routes.1.listen: {BEYOND}"], ["prefix: /z, credential: z", "listen: '0.0.0.0:1', credential: a"]),
    ],
)  # fmt: skip
def test_listener_of_a_route(lines, expected, entries):
    """A route's own listener is told at that route, whatever else is wrong elsewhere."""
    found = [line.partition(" by ")[0] for line in lines(routes(*entries)) if "listen" in line]
    assert [f"config.yaml:{line}" for line in expected] == found


@pytest.mark.parametrize(
    "address", ["0.0.0.0:80", "'*:80'", ":80", "'[::]:80'", "10.0.0.1:80", "proxy:80", "[localhost:80, '*:81']"]
)
def test_listening_beyond_loopback(lines, address):
    """Whoever opens the data plane to others says to whom."""
    assert [f"config.yaml:1: listen: {BEYOND}"] == lines(f"listen: {address}")
    for anonymous in ("loopback", "any", "[10.0.0.0/8]", "['::/0']"):
        assert [] == lines(f"listen: {address}\nanonymous: {anonymous}")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (LOOPBACK_ONLY, ""),
        (LOOPBACK_ONLY, "anonymous: null"),
        (LOOPBACK_ONLY, "anonymous: '${UNSET:-}'"),
        (LOOPBACK_ONLY, "anonymous: loopback"),
        (EVERYBODY, "anonymous: any"),
    ],
)
def test_anonymous(loaded, expected, text):
    """Without a word, only this machine may call."""
    assert expected == loaded(text).callers.anonymous


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (["anonymous: with none, and without clients, nobody may call: add clients"], "none"),
        ([f"anonymous: {NETWORKS}"], "CANARY"),
        ([f"anonymous: {NETWORKS}"], "[]"),
        ([f"anonymous: {NETWORKS}"], "{}"),
        ([f"anonymous: {NETWORKS}"], "true"),
        (["anonymous.1: a network is written 10.0.0.0/8 or fd00::/8"], "[10.0.0.0/8, CANARY]"),
        (["anonymous.0: a network is written 10.0.0.0/8 or fd00::/8"], "[10]"),
        (["anonymous.0: a network is written 10.0.0.0/8 or fd00::/8"], "['::ffff:10.0.0.0/104']"),
        (["anonymous.0: a network is written 10.0.0.0/8 or fd00::/8"], "[[10.0.0.0/8]]"),
    ],
)
def test_bad_anonymous(lines, expected, value):
    """What is no answer to who may call is refused."""
    assert [f"config.yaml:1: {line}" for line in expected] == lines(f"anonymous: {value}")


def test_networks(loaded):
    """A network may be written by any address in it."""
    networks = loaded("anonymous: [10.1.2.3/8, 'fd00::1/8', 192.0.2.1]").callers.anonymous.networks
    assert ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"] == [str(network) for network in networks]


@pytest.mark.parametrize(
    ("store", "spool_dir", "text"),
    [
        ("tokens.db", "", ""),
        ("data/t.db", "data", "store: sqlite:data/t.db"),
        ("tokens.db", "spool", "spool_dir: spool"),
        ("/var/lib/t.db", "/var/lib", "store: sqlite:/var/lib/t.db"),
        ("tokens.db", "/var/spool", "spool_dir: /var/spool"),
    ],
)
def test_folders(loaded, tmp_path, store, spool_dir, text):
    """The store stands beside the configuration, and the spool beside the store."""
    config = loaded(text)
    assert (tmp_path / store, tmp_path / spool_dir) == (config.store, config.spool_dir)


@pytest.mark.parametrize("store", ["postgresql://u:CANARY@h/db", "CANARY", "'sqlite:'", "sqlite:///t.db", "''"])
def test_other_store(lines, store):
    """A store that this version does not have is refused."""
    assert [SQLITE] == lines(f"store: {store}")


def test_nothing(loaded, tmp_path):
    """An empty file is a proxy on loopback without routes."""
    config = loaded("")
    assert ((Address("localhost", 8080),), (Address("localhost", 8081),)) == (config.listen, config.admin)
    assert ((), {}, tmp_path / "tokens.db") == (config.routes, config.credentials, config.store)
