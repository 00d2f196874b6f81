"""What is found out once: bounded, whatever others invent."""

import pytest

from proxy.gateway.memo import _LONGEST, _MOST, Lookup, Memo


def test_lookup():
    """It asks once for each text."""
    asked: list[str] = []

    def find(text: str) -> str:
        asked.append(text)
        return text.upper()

    lookup = Lookup(find)
    assert ["A", "B", "A"] == [lookup[text] for text in ("a", "b", "a")]
    assert ["a", "b"] == asked


def test_lookup_of_bytes():
    """It is by value."""
    lookup: Lookup[bytes, int] = Lookup(len)
    assert 1 == lookup[b"a"]


@pytest.mark.parametrize(("size", "times"), [(_LONGEST, 1), (_LONGEST + 1, 2)])
def test_long_text(size, times):
    """It is found out anew each time."""
    asked: list[str] = []
    lookup = Lookup(asked.append)
    for _ in range(2):
        assert lookup["x" * size] is None
    assert times == len(asked)


def test_lookup_that_fails():
    """Nothing is remembered of it."""

    def find(text):
        raise ValueError(text)

    lookup = Lookup(find)
    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            lookup["a"]
    assert {} == lookup


def test_many_texts():
    """All are forgotten before they are too many, and results stay right."""
    lookup = Lookup(str.upper)
    for number in range(3 * _MOST):
        assert f"T{number}" == lookup[f"t{number}"]
        assert len(lookup) <= _MOST


def test_many_results():
    """All are forgotten before they are too many; the newest is there."""
    memo: Memo[int, int] = Memo()
    for number in range(3 * _MOST):
        memo.keep(number, -number)
        assert -number == memo[number]
        assert len(memo) <= _MOST
