"""Tables of figures for people, and the same figures for machines."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_STARTED = time.monotonic()


def progress(text: str) -> None:
    """A line on standard error, with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:6.1f} s] {text}\n")
    sys.stderr.flush()


@dataclass
class Table:
    """One table of a report; notes stand below it."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """One more row."""
        self.rows.append(cells)

    def text(self) -> str:
        """For a terminal: first column to the left, figures to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        drawn = [
            "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(pairs))
            for pairs in (list(zip(line, widths, strict=True)) for line in lines)
        ]
        rule = "-" * len(drawn[0])
        return "\n".join([self.title, rule, drawn[0], rule, *drawn[1:], *(f"  {note}" for note in self.notes), ""])


@dataclass
class Report:
    """What one run found."""

    tables: list[Table] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def show(self, table: Table) -> None:
        """Print a table now, so that a run that is cut off has shown what it had."""
        self.tables.append(table)
        sys.stdout.write(table.text() + "\n")
        sys.stdout.flush()

    def write(self, path: Path) -> None:
        """All figures as JSON."""
        path.write_text(json.dumps(self.figures, indent=1, sort_keys=True, default=str) + "\n")


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median with the range beside it."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    middle = format(statistics.median(known), form)
    return middle if len(known) == 1 else f"{middle} ({format(min(known), form)}-{format(max(known), form)})"


def median(values: Sequence[float]) -> float:
    """The median of what is known; NaN of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def verdict(value: float, target: float, at_least: bool) -> str:
    """Whether a target was met, in words."""
    if math.isnan(value):
        return "not measured"
    return "met" if (value >= target if at_least else value <= target) else "MISSED"
