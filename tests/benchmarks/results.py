"""The figures of a run: the best of the rounds, ratios, the table in Markdown, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .workloads import Figures, Row

BASE = "nginx"  # what ratios are to
DIRECT = "direct"  # in the place of a column: the upstream without a proxy
NOTHING = "-"
STEADY = 1.25  # by how much rounds may differ before it is told


@dataclass(slots=True)
class Results:
    """`columns` are names and labels. `best` is by column and row; `left_out` and `faults` say what is lacking."""

    columns: dict[str, str]
    rows: Sequence[Row]
    versions: dict[str, str] = field(default_factory=dict)
    best: dict[str, Figures] = field(default_factory=dict)
    worst: dict[str, Figures] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, column: str, figures: Figures) -> None:
        """Take figures of one round; the least counts."""
        best, worst = self.best.setdefault(column, {}), self.worst.setdefault(column, {})
        for key, value in figures.items():
            best[key] = min(value, best.get(key, value))
            worst[key] = max(value, worst.get(key, value))

    def value(self, column: str, key: str) -> float | None:
        """Give a figure; where the way without a proxy was measured too, what the proxy adds to it."""
        value = self.best.get(column, {}).get(key)
        direct = self.best.get(DIRECT, {}).get(key) if self._added(key) else 0.0
        return None if value is None or direct is None else value - direct

    def _added(self, key: str) -> bool:
        return any(row.added for row in self.rows if row.key == key)

    def ratio(self, column: str, key: str) -> float | None:
        """Give the ratio to nginx; None where either is not known, or means nothing."""
        value, base = self.value(column, key), self.value(BASE, key)
        return None if value is None or base is None or base <= 0 or value < 0 else value / base

    @property
    def shown(self) -> dict[str, str]:
        """Columns that have at least one figure."""
        return {name: label for name, label in self.columns.items() if self.best.get(name)}

    def table(self) -> str:
        """Give a row for each row, a column for each proxy: the figure, and in brackets its ratio to nginx."""
        head = ["", "", *self.shown.values()]
        lines = [[row.label, row.unit, *(self._cell(name, row.key) for name in self.shown)] for row in self.rows]
        return markdown(head, [line for line in lines if set(line[2:]) - {NOTHING}])

    def notes(self) -> list[str]:
        """Say what the table does not."""
        notes = ["In brackets: the ratio to nginx in the same run."]
        notes += self.remarks
        versions = [f"{self.columns[name]} {version}" for name, version in self.versions.items() if version]
        notes += [f"Versions: {', '.join(versions)}."] if versions else []
        notes += [
            f"The way without a proxy, {key}: {value:.0f} µs." for key, value in self.best.get(DIRECT, {}).items()
        ]
        notes += self._unsteady()
        notes += [f"Left out: {self.columns[name]}: {reason}." for name, reason in self.left_out.items()]
        notes += [f"Fault: {fault}." for fault in self.faults]
        return notes

    def _unsteady(self) -> list[str]:
        """Say by how much rounds differ, which tells of other work on the machine: it doubles what nginx costs."""
        spans = [
            (self.worst[column][key] / best, f"{key}, {column}: {digits(best)} to {digits(self.worst[column][key])}")
            for column, figures in self.best.items()
            for key, best in figures.items()
            if best > 0
        ]
        unsteady = [span for span in spans if span[0] > STEADY]
        if not unsteady:
            return []
        share, most = f"In {len(unsteady)} of {len(spans)} figures", max(unsteady)[1]
        return [f"{share} the rounds differ by more than a quarter ({most}): take more rounds, or a quiet machine."]

    def document(self) -> dict[str, object]:
        """Give everything, for JSON."""
        return {
            "columns": {
                name: {"label": label, "version": self.versions.get(name)} for name, label in self.shown.items()
            },
            "rows": [
                {
                    "key": row.key,
                    "label": row.label,
                    "unit": row.unit,
                    "values": {name: self.value(name, row.key) for name in self.shown},
                    "ratios": {name: self.ratio(name, row.key) for name in self.shown},
                }
                for row in self.rows
            ],
            "worst": self.worst,
            "direct": self.best.get(DIRECT, {}),
            "remarks": self.remarks,
            "left_out": self.left_out,
            "faults": self.faults,
        }

    def _cell(self, column: str, key: str) -> str:
        value, ratio = self.value(column, key), self.ratio(column, key)
        if value is None:
            return NOTHING
        return digits(value) if ratio is None or column == BASE else f"{digits(value)} ({digits(ratio)})"


def digits(value: float) -> str:
    """Write three digits that count, and no more before the point than there are."""
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out a table that can be read as it is and is Markdown too: the first two columns left, figures right."""
    widths = [max(3, *(len(line[at]) for line in (head, *lines))) for at in range(len(head))]
    rule = ["-" * width if at < 2 else "-" * (width - 1) + ":" for at, width in enumerate(widths)]

    def laid_out(line: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return f"| {' | '.join(cells)} |"

    return "\n".join(map(laid_out, (head, rule, *lines)))
