"""Wrong keys by address: a bucket that leaks, and a way past it for keys that have opened before."""

import pytest

from proxy.callers.guesses import Guesses

HERE, THERE = "192.0.2.1", "192.0.2.2"
RIGHT, WRONG = b"right", b"wrong"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guesses(clock):
    return Guesses(clock)


def wait(guesses, address, digest):
    """How long a lone key has to wait, which would open if it is not `WRONG`."""
    return guesses.wait(address, b"" if digest == WRONG else digest, (digest,))


def guess(guesses, times, address=HERE, count=1):
    for _ in range(times):
        guesses.wrong(address, count)


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [(0.0, 0), (0.0, 1), (0.0, 9), (1.0, 10), (2.0, 11), (91.0, 100)],
)
def test_burst(guesses, expected, wrong):
    """Ten wrong keys are looked at without a wait; then each costs a second."""
    guess(guesses, wrong)
    assert expected == wait(guesses, HERE, WRONG)


def test_leak(guesses, clock):
    """One more each second, and all ten after ten."""
    guess(guesses, 10)
    clock.now += 0.75
    assert 0.25 == wait(guesses, HERE, WRONG)
    clock.now += 0.25
    assert 0.0 == wait(guesses, HERE, WRONG)
    guess(guesses, 1)
    assert 1.0 == wait(guesses, HERE, WRONG)
    clock.now += 10
    guess(guesses, 9)
    assert 0.0 == wait(guesses, HERE, WRONG)
    guess(guesses, 1)
    assert 1.0 == wait(guesses, HERE, WRONG)


def test_long_silence(guesses, clock):
    """A bucket is never emptier than empty: patience saves nothing up."""
    guess(guesses, 1)
    clock.now += 1e6
    guess(guesses, 10)
    assert 1.0 == wait(guesses, HERE, WRONG)


def test_several_keys_in_one_request(guesses):
    """Each counts."""
    guess(guesses, 2, count=4)
    assert 0.0 == wait(guesses, HERE, WRONG)
    guess(guesses, 1, count=4)
    assert 3.0 == wait(guesses, HERE, WRONG)


@pytest.mark.parametrize(
    ("same", "one", "other"),
    [
        (True, "192.0.2.1", "192.0.2.1"),
        (False, "192.0.2.1", "192.0.2.2"),
        (True, "192.0.2.1", "::ffff:192.0.2.1"),
        (False, "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        (True, "2001:db8::1", "2001:db8::2"),
        (True, "2001:db8::", "2001:db8:0:0:ffff:ffff:ffff:ffff"),
        (False, "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::"),
        (True, "2001:db8::1", "2001:DB8:0::9"),
        (True, "fe80::1%eth0", "fe80::2%eth1"),
        (False, "", "192.0.2.1"),
        (True, "", ""),
    ],
)
def test_address(guesses, same, one, other):
    """A /64 of IPv6 is one address, IPv4 in IPv6's clothes is IPv4, and all of a unix socket are one."""
    guess(guesses, 10, one)
    guesses.right(one, RIGHT, (RIGHT,))
    assert (1.0 if same else 0.0) == wait(guesses, other, WRONG)
    guess(guesses, 10, other)
    assert same == (wait(guesses, other, RIGHT) == 0.0)


def test_key_that_has_opened_before(guesses):
    """It is looked at from its address at any time; a right one that is new there is not, so nobody learns of it."""
    guesses.right(HERE, RIGHT, (RIGHT,))
    guess(guesses, 50)
    guess(guesses, 50, THERE)
    assert 0.0 == wait(guesses, HERE, RIGHT)
    assert 41.0 == wait(guesses, HERE, WRONG) == wait(guesses, HERE, b"right too") == guesses.wait(HERE, b"", ())
    assert 41.0 == wait(guesses, THERE, RIGHT)


def test_key_that_opens_later(guesses):
    """Proof counts from then on; what was wrong stays counted."""
    guess(guesses, 12)
    guesses.right(HERE, RIGHT, (RIGHT,))
    assert (0.0, 3.0) == (wait(guesses, HERE, RIGHT), wait(guesses, HERE, WRONG))


def test_memory_of_addresses(guesses, clock):
    """Many addresses cannot fill it: the oldest are forgotten, and those whose time is over."""
    for number in range(10_000):
        guess(guesses, 10, f"10.0.{number >> 8}.{number & 255}", count=2)
    assert 4096 == len(guesses._empty_at)
    assert (0.0, 11.0) == (wait(guesses, "10.0.0.0", WRONG), wait(guesses, "10.0.39.15", WRONG))
    clock.now += 21
    guess(guesses, 1)
    assert [HERE] == [*guesses._empty_at]


def test_address_that_goes_on_guessing(guesses):
    """It is not the oldest, and so it is not forgotten for others."""
    guess(guesses, 20)
    for number in range(5000):
        guess(guesses, 1, f"10.0.{number >> 8}.{number & 255}")
        guess(guesses, number % 1000 == 0)
    assert 0.0 < wait(guesses, HERE, WRONG)


def test_memory_of_proofs(guesses):
    """Proofs cannot fill it either, and one that comes again is kept once."""
    for number in range(10_000):
        guesses.right(HERE, b"%d" % number, ())
        guesses.right(HERE, b"%d" % number, ())
    assert 4096 == len(guesses._proved)
    guess(guesses, 20)
    assert (11.0, 0.0) == (wait(guesses, HERE, b"0"), wait(guesses, HERE, b"9999"))


def test_guesses_beside_a_key(guesses):
    """Who has a key guesses no faster; a dummy that a tool sends with its key each time counts once."""
    for _ in range(100):
        guesses.right(HERE, RIGHT, (b"dummy", RIGHT))
    assert 0.0 == wait(guesses, HERE, WRONG)
    for number in range(9):
        guesses.right(HERE, RIGHT, (b"%d" % number, RIGHT))
    assert 1.0 == wait(guesses, HERE, WRONG) == guesses.wait(HERE, RIGHT, (b"new", RIGHT))
    assert 1.0 == guesses.wait(HERE, b"two", (b"two", RIGHT)), "nor is it told apart from a wrong one"
    assert 0.0 == guesses.wait(HERE, RIGHT, (b"dummy", RIGHT)) == wait(guesses, HERE, RIGHT)
