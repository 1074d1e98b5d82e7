"""Figures, as a table for people and as JSON for machines."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        what: what was measured.
        value: the median, in `unit`.
        samples: one value a repeat.
        against: what it is compared with, and that one's median; None for a figure alone.
        ratio: the median of the repeats' own ratios, which a noisy machine disturbs least.
        at_least: the ratio (or the value, where there is no ratio) to reach.
        at_most: the same, from the other side.
    """

    what: str
    value: float
    unit: str
    samples: Sequence[float] = ()
    against: str | None = None
    against_value: float | None = None
    ratio: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether it is where it should be; None where nothing is asked of it."""
        judged = self.value if self.ratio is None else self.ratio
        if self.at_least is not None:
            return judged >= self.at_least
        if self.at_most is not None:
            return judged <= self.at_most
        return None


def compared(
    what: str,
    unit: str,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """A figure against another that was measured in turn with it, repeat by repeat."""
    return Figure(
        what=what,
        value=median(ours),
        unit=unit,
        samples=tuple(ours),
        against=against,
        against_value=median(theirs),
        ratio=median(our / their for our, their in zip(ours, theirs, strict=True)),
        at_least=at_least,
        at_most=at_most,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _row(figure: Figure) -> tuple[str, ...]:
    against = ""
    if figure.against is not None and figure.against_value is not None:
        against = f"{figure.against}: {_number(figure.against_value)}"
    wanted = ""
    for sign, limit in (("≥", figure.at_least), ("≤", figure.at_most)):
        if limit is not None:
            wanted = f"{sign} {limit:g}" + ("" if figure.ratio is not None else f" {figure.unit}")
    return (
        figure.what,
        f"{_number(figure.value)} {figure.unit}",
        against,
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        wanted,
        {True: "reached", False: "NOT REACHED", None: ""}[figure.reached],
    )


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table."""
    rows = [("what", "median", "against", "ratio", "to reach", ""), *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def write(figures: Sequence[Figure], notes: Sequence[str], *, quick: bool) -> Path:
    """Write `results/latest.json`. Returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
        },
        "quick": quick,
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in figures],
        "notes": list(notes),
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
