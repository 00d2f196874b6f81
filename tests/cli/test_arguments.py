"""A secret that was given as an argument, where none belongs, is not repeated on the terminal or in a log of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.parser import make_parser
from tests.support.processes import command

CANARY = "s3cr3t-CANARY"
NO_FILE = "there is no file of that name: tokens are given on standard input, or in a file\n"


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ("login: error: argument --paste: ignored explicit argument", ["login", "acme", f"--paste={CANARY}"]),
        ("bearer-proxy: error: unrecognized arguments", ["login", "acme", CANARY]),
        ("bearer-proxy: error: unrecognized arguments", ["import", "acme", "file", CANARY]),
        ("bearer-proxy: error: unrecognized arguments", ["import", "acme", "--token", CANARY]),
        ("bearer-proxy: error: unrecognized arguments", ["import", "acme", f"--token={CANARY}"]),
        ("bearer-proxy: error: unrecognized arguments", ["login", "acme", f"it's {CANARY}: (choose from {CANARY})"]),
        ("bearer-proxy: error: ambiguous option", ["login", "acme", f"--={CANARY}"]),
        ("doctor: error: argument --timeout: a number of seconds, 600 at most", ["doctor", "--timeout", CANARY]),
        ("demo: error: argument --port: invalid int value", ["demo", "--port", CANARY]),
        ("import: error: the following arguments are required: CREDENTIAL", ["import"]),
        ("import: error: argument -c/--config: expected one argument", ["import", CANARY, "-c"]),
    ],
)
def test_what_is_wrong(expected: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, with the name of what was wrong, and exit 2."""
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(arguments)
    told = capsys.readouterr()
    assert (2, "") == (ended.value.code, told.out)
    assert told.err.endswith(f"{expected}\n")
    assert CANARY not in told.err


@pytest.mark.parametrize("word", [CANARY, f"'{CANARY}", f"(choose from {CANARY})", f"{CANARY}\n{CANARY}"])
def test_command_that_there_is_not(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that there are are told."""
    with pytest.raises(SystemExit):
        make_parser().parse_args([word])
    told = capsys.readouterr().err
    assert "argument COMMAND: invalid choice (choose from 'serve', 'check', " in told
    assert CANARY not in told


def test_what_is_not_foreseen(capsys: pytest.CaptureFixture[str]) -> None:
    """Of words that we do not know none is repeated."""
    with pytest.raises(SystemExit):
        make_parser().error(f"no {CANARY} today")
    assert capsys.readouterr().err.endswith("bearer-proxy: error: these arguments cannot be understood\n")


@pytest.mark.parametrize("argument", [CANARY, f"{CANARY}/+=", CANARY * 50])
async def test_import_of_an_argument(tmp_path: Path, argument: str) -> None:
    """It is taken for the name of a file, and not repeated where there is none."""
    (tmp_path / "config.yaml").write_text("credentials: {acme: {provider: onecloud, client_id: x}}\n")
    done = await command("import", "acme", argument, cwd=tmp_path)
    assert (1, True, False) == (done.code, done.err.endswith(NO_FILE), CANARY in done.out + done.err)


async def test_import_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is named, since it is one."""
    (tmp_path / "config.yaml").write_text("credentials: {acme: {provider: onecloud, client_id: x}}\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, reason in ((".", "Is a directory"), ("binary", "it is not UTF-8 text")):
        done = await command("import", "acme", name, cwd=tmp_path)
        assert (1, True) == (done.code, done.err.endswith(f"{name} cannot be read: {reason}\n"))
