"""Bars as SVG, readable in a browser and in a repository's viewer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 760
LABELS: Final = 250
NUMBERS: Final = 90
BAR: Final = 20
GAP: Final = 8
HEAD: Final = 46
WHOLE: Final = 100
OURS, OTHERS = "#1f6f54", "#b8bdc4"


@dataclass(frozen=True)
class Bar:
    """One bar. ours: whether it is drawn to be seen first."""

    label: str
    value: float
    ours: bool = False


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """A drawing of values from zero to the largest, one under another."""
    longest = max((bar.value for bar in values), default=0.0) or 1.0
    height = HEAD + len(values) * (BAR + GAP) + GAP
    rows = [_row(number, bar, longest) for number, bar in enumerate(values)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
            ' font-family="system-ui, sans-serif" font-size="13">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="12" y="20" font-size="15" font-weight="600" fill="#1b1f24">{escape(title)}</text>',
            f'<text x="12" y="37" fill="#57606a">{escape(unit)}</text>',
            *rows,
            "</svg>",
            "",
        ]
    )


def _row(number: int, bar: Bar, longest: float) -> str:
    top = HEAD + number * (BAR + GAP)
    length, fill = bar.value / longest * (WIDTH - LABELS - NUMBERS), OURS if bar.ours else OTHERS
    middle = top + BAR - 6
    return (
        f'<text x="{LABELS - 10}" y="{middle}" text-anchor="end" fill="#1b1f24">{escape(bar.label)}</text>'
        f'<rect x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{fill}"/>'
        f'<text x="{LABELS + length + 8:.1f}" y="{middle}" fill="#1b1f24">{shown(bar.value)}</text>'
    )


def shown(value: float) -> str:
    """A figure for people: whole from a hundred on, three significant places below."""
    return f"{value:,.0f}" if value >= WHOLE else f"{value:.3g}"
