"""The table of `status`: a line for each row where there is room, a block where there is none."""

import pytest

from proxy.cli.report import table

HEAD = "CREDENTIAL  PROVIDER    STATE  EXPIRES  LAST EXCHANGE  LAST ERROR  NEXT STEP"
ROW = ("acme", "readycloud", "ok", "in 2 h", "3 min ago", "-", "nothing")
LINE = "acme        readycloud  ok     in 2 h   3 min ago      -           nothing"
LONG = ("beta", "acme", "login required (the vendor refused the refresh token)", "2 h ago", "never", "-", "run: x")


@pytest.mark.parametrize("width", [None, 200, len(HEAD)])
def test_a_line_for_each(width):
    """So it is where the longest line fits, and always where no person looks."""
    assert [HEAD, LINE] == list(table([ROW], width))


def test_piped_lines_are_never_broken():
    """However long they are."""
    assert 3 == len(list(table([ROW, LONG], None)))


def test_a_block_for_each():
    """One column short of the longest line, each credential is told below its name, and long texts are wrapped."""
    assert [HEAD, LINE] != list(table([ROW], len(HEAD) - 1))
    assert [
        "beta",
        "  provider       acme",
        "  state          login required (the vendor",
        "                 refused the refresh token)",
        "  expires        2 h ago",
        "  last exchange  never",
        "  last error     -",
        "  next step      run: x",
    ] == list(table([LONG], 45))


def test_a_very_narrow_terminal():
    """Words stay whole: the terminal wraps what is left."""
    assert list(table([LONG], 40)) == list(table([LONG], 5))


def test_no_credentials():
    """The head stands alone."""
    assert 1 == len(list(table([], None)))
