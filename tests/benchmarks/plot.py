"""The figures of some rows as a bar chart in SVG: bars of all rows on one scale, a panel for each row.

Nothing but mid-tones, which can be read on light and on dark grounds alike; the ground itself is left clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from .results import Results, digits

ROWS = ("get", "post", "page")
WIDTH, NAMES, MARGIN = 760, 128, 8  # pixels: all of it, the names on the left, around
BAR, LINE, TOP = 13, 22, 46
VALUE = 42  # room for the figure at the end of the longest bar
OURS, OTHERS, TEXT = "#2f81c7", "#8f98a3", "#79818c"
FONT = "font-family='system-ui, sans-serif' font-size='12'"


def svg(results: Results, rows: Sequence[str] = ROWS) -> str:
    """Draw the rows that have figures."""
    labels = {row.key: row.label for row in results.rows}
    shown = [key for key in rows if key in labels and any(results.value(name, key) for name in results.shown)]
    panel = (WIDTH - NAMES - 2 * MARGIN) / max(1, len(shown))
    most = max((results.value(name, key) or 0.0 for key in shown for name in results.shown), default=0.0)
    height = TOP + LINE * len(results.shown) + MARGIN
    title = "CPU time per request in microseconds, less is better"
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' {FONT}>",
        f"<title>{title}</title>",
        _text(MARGIN, 16, title, weight="bold"),
    ]
    for at, label in enumerate(results.shown.values()):
        parts.append(_text(NAMES, _middle(at), label.replace("ours", "bearer-proxy"), anchor="end"))
    for number, key in enumerate(shown):
        left = NAMES + MARGIN + number * panel
        parts.append(_text(left, TOP - 10, labels[key]))
        for at, name in enumerate(results.shown):
            value = results.value(name, key)
            if value is not None:
                parts += _bar(left, at, value, (panel - VALUE) * value / most, ours=name.startswith("ours"))
    return "\n".join([*parts, "</svg>", ""])


def _middle(at: int) -> float:
    return TOP + LINE * at + BAR - 2.5  # the base line of text beside a bar


def _bar(left: float, at: int, value: float, length: float, *, ours: bool) -> list[str]:
    colour = OURS if ours else OTHERS
    place = f"x='{left:.1f}' y='{TOP + LINE * at}' width='{max(1.0, length):.1f}' height='{BAR}'"
    return [f"<rect {place} rx='2' fill='{colour}'/>", _text(left + length + 4, _middle(at), digits(value))]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}'"
    return f"<text {place} fill='{TEXT}'>{escape(text)}</text>"
