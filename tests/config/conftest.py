"""What the tests of the configuration share: a config.yaml in a folder of its own, read as a command reads it."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from proxy.config import load
from proxy.errors import ConfigError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write config.yaml into the working folder, and give its path as a person types it."""
    monkeypatch.chdir(tmp_path)

    def written(text):
        path = Path("config.yaml")
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return path

    return written


@pytest.fixture
def loaded(write):
    """Give the `Config` of a text that has no errors."""

    def config(text, **environ):
        return load(write(text), environ)[0]

    return config


@pytest.fixture
def lines(write):
    """Give every problem of a text as `check` prints it, errors and warnings alike."""

    def problems(text, **environ):
        found: Sequence[object]
        try:
            found = load(write(text), environ)[1]
        except ConfigError as error:
            found = error.problems or ["refused without a word"]
        return [str(problem) for problem in found]

    return problems
