"""`check` of who may call: every new key at once, and files that could keep it waiting."""

from __future__ import annotations

import os
from pathlib import Path

import trustme

from tests.support.processes import command

GOOD = """\
listen: ['0.0.0.0:8443 ssl', 'unix:/run/bearer-proxy.sock']
hosts: [proxy]
anonymous: none
clients:
  erp: {key: ${ERP_KEY}, routes: [/onecloud], methods: [GET]}
  two: {key: ["${file:new}", "sha256:c149b90f2067ab5ea668cc16166a52741de2b033b8f9e2688202a3971d7914f2"]}
  crt: {certificate: erp.internal}
set_real_ip_from: [10.0.0.0/8, 'unix:']
real_ip_header: Forwarded
socket_mode: 0660
socket_users: [root, 1001]
store_key: ["${STORE_KEY}", "${OLD_STORE_KEY:-}"]
ssl_certificate: c.pem
ssl_client_certificate: ca.pem
ssl_verify_client: on
credentials:
  onecloud: {provider: onecloud, client_id: x, client_secret: y}
routes:
  - {prefix: /onecloud, credential: onecloud, allow_origins: [https://app.example]}
"""
ENVIRONMENT = {"ERP_KEY": "CANARY-of-erp-erp-erp", "STORE_KEY": "CANARY" * 7 + "8="}


async def test_every_key_of_callers(tmp_path: Path) -> None:
    """A file with all of them is fine, and nothing of a key is printed."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "c.pem"))
    (tmp_path / "new").write_text("CANARY-of-two-two-two\n")
    (tmp_path / "config.yaml").write_text(GOOD)
    done = await command("check", cwd=tmp_path, env=ENVIRONMENT)
    assert 0 == done.code, done.out + done.err
    assert "config.yaml: no errors" in done.out.splitlines()[-1]
    assert [] == [line for line in done.out.splitlines()[:-1] if "onecloud: warning: not configured" not in line]
    assert "CANARY" not in done.out + done.err


async def test_a_key_that_is_missing(tmp_path: Path) -> None:
    """A variable that holds white space only is no key: exit 2, with no door left open."""
    (tmp_path / "config.yaml").write_text('listen: 0.0.0.0:8080\nclients: {erp: {key: "${ERP_KEY}"}}\n')
    done = await command("check", cwd=tmp_path, env={"ERP_KEY": " \n"})
    expected = "config.yaml:2: clients.erp: a client needs a key, or a certificate: else nobody can be it"
    assert (2, [expected]) == (done.code, done.out.splitlines())


async def test_a_secret_in_a_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to keeps nobody waiting."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "config.yaml").write_text("clients: {erp: {key: '${file:pipe}'}}\n")
    done = await command("check", cwd=tmp_path)
    expected = "config.yaml:1: clients.erp.key: the file pipe cannot be read: it is no regular file"
    assert (2, [expected]) == (done.code, done.out.splitlines())
