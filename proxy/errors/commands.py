"""The root of all errors, and those that end a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class BearerProxyError(Exception):
    """The root. `exit_code` is what a command ends with."""

    exit_code: ClassVar[int] = 1


class ConfigError(BearerProxyError):
    """The configuration has problems, each a line of its own."""

    exit_code = 2

    def __init__(self, problems: Sequence[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class StoreError(BearerProxyError):
    """The token store cannot be used; nothing was changed in it."""


class StoreBusyError(StoreError):
    """Another process holds what is needed, and did not let go in time."""


class ListenError(BearerProxyError):
    """An address cannot be listened on."""


class SpoolError(BearerProxyError):
    """Request bodies cannot be kept on disk."""


class TokenFormatError(BearerProxyError):
    """A pasted text or an answer holds no usable token."""


class SignInError(BearerProxyError):
    """A sign-in did not come to its end; the tokens of before stay in force."""
