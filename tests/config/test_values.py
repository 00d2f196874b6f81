"""The resolved configuration: whom `anonymous` admits, and what a `Config` shows of itself."""

import ipaddress

import pytest

from proxy.config import EVERYBODY, LOOPBACK_ONLY, NOBODY, Anonymous, is_in

TEN = Anonymous((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("expected", "anonymous", "peer"),
    [
        (True, LOOPBACK_ONLY, "127.0.0.1"),
        (True, LOOPBACK_ONLY, "127.9.9.9"),
        (True, LOOPBACK_ONLY, "::1"),
        (True, LOOPBACK_ONLY, "::1%lo"),
        (True, LOOPBACK_ONLY, "::ffff:127.0.0.1"),
        (True, LOOPBACK_ONLY, ""),
        (False, LOOPBACK_ONLY, "::ffff:10.0.0.1"),
        (False, LOOPBACK_ONLY, "10.0.0.1"),
        (False, LOOPBACK_ONLY, "::2"),
        (True, TEN, "10.255.255.255"),
        (True, TEN, "::ffff:10.1.2.3"),
        (True, TEN, "fd00::1%eth0"),
        (False, TEN, "11.0.0.0"),
        (False, TEN, "127.0.0.1"),
        (False, TEN, "fe80::1%eth0"),
        (True, EVERYBODY, "203.0.113.9"),
        (True, EVERYBODY, "2001:db8::1"),
        (True, EVERYBODY, ""),
        (True, TEN, ""),
        (False, Anonymous(()), "127.0.0.1"),
        (False, NOBODY, "127.0.0.1"),
        (False, NOBODY, "::1"),
        (False, NOBODY, ""),
    ],
)
def test_anonymous_caller(expected, anonymous, peer):
    """A caller is admitted by its address, an IPv4 one also where it comes mapped into IPv6."""
    assert expected is anonymous.admits(peer)


@pytest.mark.parametrize(
    ("expected", "address"),
    [(True, "10.1.2.3"), (True, "::ffff:10.1.2.3"), (True, "fd00::1%eth0"), (False, "11.0.0.0"), (False, "::1")],
)
def test_address_in_networks(expected, address):
    """An address lies in a network whatever clothes it comes in."""
    assert expected is is_in(address, TEN.networks or ())


def test_config_with_secrets(loaded, tmp_path):
    """No text of a `Config` shows a secret, wherever the secret came from."""
    (tmp_path / "secret").write_text("CANARY-file\n")
    config = loaded(
        """
        admin_key: CANARY-admin
        credentials:
          inline: {provider: readycloud, client_id: id, client_secret: CANARY-inline}
          quoted: {provider: readycloud, client_id: id, client_secret: "CANARY-quoted"}
          variable: {provider: readycloud, client_id: id, client_secret: "${SECRET}"}
          default: {provider: readycloud, client_id: id, client_secret: "${UNSET:-CANARY-default}"}
          file: {provider: readycloud, client_id: id, client_secret: "${file:secret}"}
        """,
        SECRET="CANARY-variable",
    )
    revealed = {name: entry.client_secret.reveal() for name, entry in config.credentials.items()}
    assert {name: f"CANARY-{name}" for name in ("inline", "quoted", "variable", "default", "file")} == revealed
    assert "CANARY-admin" == config.admin_key.reveal()
    assert "CANARY" not in f"{config!r}{config}{config.credentials}"
