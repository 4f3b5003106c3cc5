"""How a rating on a source's own scale becomes a score on the one scale, 0 to 10."""

from __future__ import annotations

import math
from typing import Final

from schemas.base import BEST_SCORE, Rejected

BEST_KNOWN: Final = 1e9
"""The best rating of the largest scale that is taken for one."""


def score_of(value: float, best: float | None, worst: float | None) -> float:
    """`value` on 0 to 10: ten times its share of `best`, so that 8.8 of 10 stays 8.8. A negative zero becomes 0.0.

    Raises Rejected where the value is not on its own scale, or the scale is none.
    """
    top = 10.0 if best is None else best
    bottom = 0.0 if worst is None else worst
    if not (math.isfinite(value) and math.isfinite(top) and math.isfinite(bottom)):
        raise Rejected("value, best and worst must be finite numbers")
    if not 0 <= bottom < top <= BEST_KNOWN:
        raise Rejected(f"scale {bottom:g} to {top:g} is none: 0 <= worst < best is needed")
    if not bottom <= value <= top:
        raise Rejected(f"value: {value:g} is outside its scale of {bottom:g} to {top:g}")
    # Rounding takes 0.81 of 0.81 a little above 10, which no later stage reads.
    return min(BEST_SCORE, BEST_SCORE * value / top) + 0.0
