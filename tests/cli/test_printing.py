"""What a terminal is shown of texts that others wrote."""

import argparse
import asyncio
import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from proxy.cli.printing import printable
from proxy.cli.report import status
from proxy.cli.store import rekey
from proxy.credentials.record import Record
from proxy.credentials.store import Store
from proxy.secret import Secret
from tests.support.processes import command

KEY = base64.b64encode(bytes(32)).decode()
PLANTED = "x\x1b[2J\x1b]0;title\x07\nacme: 2 tokens\u202e"
SHOWN = "x?[2J?]0;title??acme: 2 tokens?"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration, and a store in which nothing is encrypted yet."""
    path = tmp_path / "config.yaml"
    path.write_text(f"""
        store_key: {KEY}
        providers:
          acme: {{upstream: "http://127.0.0.1:1", token_url: "http://127.0.0.1:1/t", client_auth: none, grant: manual}}
        credentials: {{acme: {{provider: acme, client_id: x}}}}
        """)
    asyncio.run(fill(tmp_path / "tokens.db"))
    return path


async def fill(path: Path) -> None:
    store = await Store.open(path)
    await store.write(Record(name="acme", generation=1, access_token=Secret("a"), refresh_token=Secret("r")))
    await store.close()


def plant(config: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(config.parent / "tokens.db")) as connection, connection:
        connection.execute(statement, values)


@pytest.mark.parametrize(
    ("expected", "text"),
    [("", ""), ("caf\u00e9 \u65e5 'x' \\n", "caf\u00e9 \u65e5 'x' \\n"), (SHOWN, PLANTED), ("??", "\ud800\u2028")],
)
def test_text(expected: str, text: str) -> None:
    """What moves the cursor, breaks lines or turns their direction gives way to a question mark."""
    assert expected == printable(text)


def test_name_of_a_row(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`store rekey` tells it in a line of its own."""
    plant(config, "UPDATE credential SET name = ?", PLANTED)
    assert 0 == rekey(argparse.Namespace(config=config, decrypt=False))
    assert f"{SHOWN}: 2 tokens, now encrypted with the first store_key\n" == capsys.readouterr().out


async def test_name_of_a_damaged_row(config: Path, tmp_path: Path) -> None:
    """An error shows it as harmlessly."""
    await command("store", "rekey", cwd=tmp_path)
    plant(config, "UPDATE credential SET name = ?", PLANTED)
    done = await command("store", "rekey", "--decrypt", cwd=tmp_path)
    assert (1, "", 1) == (done.code, done.out, len(done.err.splitlines()))
    assert f"holds of {SHOWN} is damaged" in done.err


def test_last_error(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`status` keeps it in the line of its credential."""
    trouble = "trouble_kind = 'passing trouble', trouble_reason = ?, trouble_at = 1, trouble_failures = 1"
    plant(config, f"UPDATE credential SET {trouble}", PLANTED)
    assert 0 == status(argparse.Namespace(config=config, json=False))
    _, line = capsys.readouterr().out.splitlines()
    assert SHOWN in line


async def test_refusal(config: Path, tmp_path: Path) -> None:
    """`doctor` tells in one line why a person has to sign in."""
    trouble = "trouble_kind = 'grant refused', trouble_reason = ?, trouble_at = 1, trouble_fingerprint = ''"
    plant(config, f"UPDATE credential SET {trouble}, trouble_failures = 1, rejected = 1", PLANTED)
    done = await command("doctor", "--timeout", "1", cwd=tmp_path)
    assert (1, "") == (done.code, done.err)
    assert 1 == len([line for line in done.out.splitlines() if SHOWN in line])
