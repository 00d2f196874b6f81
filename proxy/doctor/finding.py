"""What doctor says: one finding, in words of ours. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only a problem fails the command."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: which check, of what, what was found, and what to do next unless all is well."""

    level: Level
    check: str
    subject: str
    text: str
    next_step: str = ""

    def __post_init__(self) -> None:
        if (self.level is Level.OK) is bool(self.next_step):
            raise ValueError("what is not well has a next step, and nothing else has")

    def __str__(self) -> str:
        told = f"{self.level:<8} {self.check:<10} {self.subject}: {self.text}"
        return f"{told}\n{'':<8} {'next:':<10} {self.next_step}" if self.next_step else told

    def as_json(self) -> dict[str, str]:
        """Give what `doctor --json` tells of it."""
        return {
            "level": self.level.value,
            "check": self.check,
            "subject": self.subject,
            "text": self.text,
            "next_step": self.next_step,
        }


def ok(check: str, subject: str, text: str) -> Finding:
    """Give a finding that needs nobody."""
    return Finding(Level.OK, check, subject, text)


def warning(check: str, subject: str, text: str, next_step: str) -> Finding:
    """Give a finding that somebody should look at."""
    return Finding(Level.WARNING, check, subject, text, next_step)


def problem(check: str, subject: str, text: str, next_step: str) -> Finding:
    """Give a finding that keeps something from working."""
    return Finding(Level.PROBLEM, check, subject, text, next_step)
