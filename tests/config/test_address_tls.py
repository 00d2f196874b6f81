"""Addresses marked ssl: what may be written, what it means, and what it clashes with."""

import pytest
import trustme

from proxy.config import Address

HOST_PORT = "an address is written host:port, [v6]:port, *:port or unix:/path"
NOTHING_BUT = "nothing but ssl may follow an address"
CREDENTIAL = "credentials: {a: {provider: readycloud, client_id: x, client_secret: y}}\n"
ADMIN = "the control plane speaks plain HTTP in this version: write it without ssl"


@pytest.fixture(autouse=True)
def certificate(tmp_path):
    """A good one stands beside the configuration, with its key."""
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "c.pem"))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (Address("localhost", 8443, tls=True), "localhost:8443 ssl"),
        (Address("localhost", 8443, tls=True), "localhost:8443 \t ssl"),
        (Address("::1", 1, tls=True), "[::1]:1 ssl"),
        (Address("*", 443, tls=True), "*:443 ssl"),
        (Address("*", 443, tls=True), ":443 ssl"),
        (Address("ssl", 443), "ssl:443"),
        (Address(path="/run/x", tls=True), "unix:/run/x ssl"),
        (Address(path="/run/a b", tls=True), "unix:/run/a b ssl"),
        (Address(path="/run/ssl"), "unix:/run/ssl"),
        (Address(path="/run/a.ssl"), "unix:/run/a.ssl"),
    ],
)
def test_address(expected, text):
    """TLS is spoken where ssl stands after the address."""
    assert expected == Address.parse(text)
    assert expected == Address.parse(str(expected))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (HOST_PORT, "ssl"),
        (HOST_PORT, " ssl"),
        (HOST_PORT, "ssl localhost:8443"),
        (HOST_PORT, "localhost:8443ssl"),
        (HOST_PORT, "[::::]:80 ssl"),
        (HOST_PORT, "localhost:8443\nssl"),
        (NOTHING_BUT, "localhost:8443 SSL"),
        (NOTHING_BUT, "localhost:8443 tls"),
        (NOTHING_BUT, "localhost:8443 ssl ssl"),
        (NOTHING_BUT, "localhost:8443 ssl http2"),
        (NOTHING_BUT, "localhost:8443" + " ssl" * 100_000),
        ("a port is 65535 at most", "localhost:65536 ssl"),
        ("a unix socket is written unix:/absolute/path", "unix: ssl"),
        ("a unix socket is written unix:/absolute/path", "unix:a.sock ssl"),
    ],
)
def test_bad_address(expected, text):
    """What else stands after an address is refused, saying what may."""
    with pytest.raises(ValueError) as caught:
        Address.parse(text)
    assert expected == str(caught.value)


@pytest.mark.parametrize("text", ["localhost:8443", "[::1]:80", "*:443", "unix:/run/proxy.sock"])
def test_text(text):
    """An address is shown as it is written, and its place without the mark."""
    marked = Address.parse(f"{text} ssl")
    assert (f"{text} ssl", text) == (str(marked), marked.place)
    assert marked != Address.parse(text)
    assert (marked.hosts, marked.loopback) == (Address.parse(text).hosts, Address.parse(text).loopback)


def test_listen_variable(loaded):
    """BEARER_PROXY_LISTEN is written alike."""
    config = loaded("ssl_certificate: c.pem", BEARER_PROXY_LISTEN="localhost:8080,localhost:8443 ssl")
    assert (Address("localhost", 8080), Address("localhost", 8443, tls=True)) == config.listen


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["1: listen: localhost:1 ssl is listened on by listen already, without ssl"],
         "listen: ['127.0.0.1:1', 'localhost:1 ssl']"),
        (["1: listen: 127.0.0.1:1 is listened on by listen already, with ssl"],
         "listen: ['localhost:1 ssl', '127.0.0.1:1']"),
        (["1: listen: [::1]:1 ssl is listened on by listen already"], "listen: ['localhost:1 ssl', '[::1]:1 ssl']"),
        (["1: listen: unix:/a ssl is listened on by listen already, without ssl"],
         "listen: ['unix:/a', 'unix:/a ssl']"),
        (["2: admin: localhost:1 is listened on by listen already, with ssl"],
         "listen: localhost:1 ssl\nadmin: localhost:1"),
        (["3: routes.0.listen: 127.0.0.1:8080 ssl is listened on by listen already, without ssl"],
         CREDENTIAL + "routes:\n  - {listen: 127.0.0.1:8080 ssl, credential: a}"),
        (["4: routes.1.listen: 127.0.0.1:1 is listened on by another route already, with ssl"],
         CREDENTIAL + "routes:\n  - {prefix: /a, listen: 127.0.0.1:1 ssl, credential: a}\n"
         "  - {prefix: /b, listen: 127.0.0.1:1, credential: a}"),
        ([], CREDENTIAL + "routes:\n  - {prefix: /a, listen: 127.0.0.1:1 ssl, credential: a}\n"
         "  - {prefix: /b, listen: 127.0.0.1:1 ssl, credential: a}"),
        ([], "listen: [localhost:1, 'localhost:2 ssl', unix:/a, 'unix:/b ssl']"),
    ],
)  # fmt: skip
def test_one_place_with_and_without(lines, expected, text):
    """Only one of the two can be spoken at one place, whoever asks for the other; routes that agree may share it."""
    assert [f"config.yaml:{line}" for line in expected] == lines(f"{text}\nssl_certificate: c.pem")


def test_beyond_loopback(lines):
    """With TLS too it has to be said who may call."""
    (line,) = lines("listen: 0.0.0.0:8443 ssl\nssl_certificate: c.pem")
    assert line.startswith("config.yaml:1: listen: this listens beyond loopback")
    assert [] == lines("listen: 0.0.0.0:8443 ssl\nssl_certificate: c.pem\nanonymous: any")


@pytest.mark.parametrize("admin", ["localhost:1 ssl", "[localhost:1, 'unix:/a ssl']"])
def test_control_plane(lines, admin):
    """It speaks plain HTTP, and says so."""
    assert [f"config.yaml:1: admin: {ADMIN}"] == lines(f"admin: {admin}")


def test_name_of_a_route(loaded):
    """A route that is called by its listener keeps its name when TLS comes to it."""
    text = f"{CREDENTIAL}routes: [{{listen: 127.0.0.1:1 ssl, credential: a}}]\nssl_certificate: c.pem"
    assert ["127.0.0.1:1"] == [route.name for route in loaded(text).routes]
