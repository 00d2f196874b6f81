"""A secret shows itself to nobody who does not ask by name."""

import copy
import json
import logging
import pickle
import traceback
from dataclasses import dataclass
from pprint import pformat

import pytest

from proxy.secret import Secret

SECRET = Secret("CANARY")


@dataclass(frozen=True)
class Holder:
    """Stands for every value that holds a secret."""

    secret: Secret


def test_reveal():
    """The text itself is had by asking for it."""
    assert "CANARY" == SECRET.reveal()


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        ("<secret>", repr(SECRET)),
        ("<secret>", str(SECRET)),
        ("<secret>", f"{SECRET}"),
        ("<secret>", f"{SECRET!r}"),
        ("  <secret>", f"{SECRET:>10}"),
        ("<se", f"{SECRET:.3}"),
        ("<secret>", "%s" % SECRET),  # noqa: UP031 - one more way to show it
        ("<secret>", "{}".format(SECRET)),  # noqa: UP032 - one more way to show it
        ("[<secret>]", str([SECRET])),
        ("{'a': <secret>}", str({"a": SECRET})),
        ("Holder(secret=<secret>)", repr(Holder(SECRET))),
        ("Holder(secret=<secret>)", pformat(Holder(SECRET))),
        ("<secret>", repr(Secret(""))),
    ],
)
def test_shown(expected, shown):
    """However it is shown, nothing of it is seen, not even whether it is empty."""
    assert expected == shown


def test_logged(caplog):
    """A log line, lazily formatted, shows nothing."""
    logging.getLogger(__name__).warning("token %s %r", SECRET, Holder(SECRET))
    assert ["token <secret> Holder(secret=<secret>)"] == caplog.messages


def test_traceback():
    """An error that was raised with it, and a traceback that shows the locals, show nothing."""
    local = SECRET
    try:
        raise RuntimeError(local)  # noqa: TRY301 - its traceback is what is looked at
    except RuntimeError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert (True, False) == ("<secret>" in text, "CANARY" in text)


@pytest.mark.parametrize(
    "take",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        vars,
        len,
        iter,
        bytes,
        "".join,
        lambda secret: secret + "x",
        lambda secret: "x" + secret,
        lambda secret: "CAN" in secret,
        lambda secret: secret[0],
        lambda secret: secret < Secret("D"),
    ],
)
def test_taken_apart(take):
    """It cannot be copied, measured, compared by order or put together with a text by accident."""
    with pytest.raises(TypeError) as caught:
        take(SECRET)
    assert "CANARY" not in str(caught.value)


def test_attribute():
    """Nothing can be hung on it."""
    with pytest.raises(AttributeError):
        SECRET.text = "x"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("expected", "other"),
    [
        (True, Secret("CANARY")),
        (False, Secret("CANARY2")),
        (False, Secret("")),
        (False, Secret("C\u00c4NARY")),
        (False, "CANARY"),
        (False, None),
    ],
)
def test_equal(expected, other):
    """It equals a secret of the same text, and no text."""
    assert (expected, not expected) == (other == SECRET, other != SECRET)


def test_hash():
    """Equal secrets are one key, which is not the text's."""
    assert 1 == len({SECRET, Secret("CANARY")})
    assert SECRET not in {"CANARY": 1}


def test_equal_with_surrogates():
    """A text that is not Unicode, as an environment may hold, compares as any other."""
    assert Secret("a\udcff") == Secret("a\udcff")
    assert Secret("a\udcff") != Secret("a\udcfe")


@pytest.mark.parametrize(("expected", "text"), [(True, "x"), (True, " "), (False, "")])
def test_truth(expected, text):
    """It is false when there is nothing in it."""
    assert expected is bool(Secret(text))
