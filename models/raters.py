"""How much higher or lower than others each rater scores, in a table that does not grow with their number."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.ids import fenced

_GENERATION: Final = 32_768
_SHRINKAGE: Final = 5.0


def rater_of(source: str, author: str | None) -> str:
    """By what a rater is known: an author of a source, or the source itself where it names none."""
    name = fenced(source, "/")
    return name if author is None else f"{name}/{author}"


class RaterTable(msgspec.Struct, array_like=True):
    """Sums of residuals by rater, in two generations: who was not seen for a whole generation is forgotten.

    The order of the log alone decides who stays, so a replay gives the same table. Holds at most 65,536 raters.
    """

    young: dict[str, list[float]] = {}
    old: dict[str, list[float]] = {}

    def offset(self, rater: str) -> float:
        """The rater's mean residual, shrunk towards 0 by five ratings; 0.0 for a stranger."""
        known = self.young.get(rater) or self.old.get(rater)
        return known[0] / (known[1] + _SHRINKAGE) if known else 0.0

    def add(self, rater: str, residual: float) -> None:
        """Count one more rating that lay `residual` above what was expected."""
        known = self.young.get(rater)
        if known is None:
            known = self.old.pop(rater, None) or [0.0, 0.0]
            if len(self.young) >= _GENERATION:
                self.old, self.young = self.young, {}
            self.young[rater] = known
        known[0] += residual
        known[1] += 1.0

    def amend(self, rater: str, difference: float) -> None:
        """A rating that was counted before is now higher by `difference`; forgotten raters stay forgotten."""
        known = self.young.get(rater) or self.old.get(rater)
        if known:
            known[0] += difference
