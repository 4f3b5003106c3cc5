"""Predict first, then learn, and keep score in between: honest error figures without a held-out set."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.experts import COLD_UP_TO, DAMPED_3, DAMPED_10, WARM_ABOVE, Evidence

DAMPED: Final = {"damped_mean_3": DAMPED_3, "damped_mean_10": DAMPED_10}
"""Baselines that are experts as well, by their place among them."""
BASELINES: Final = ("global_mean", "running_mean", *DAMPED)

_MOST_POINTS: Final = 256
_BINS: Final = 2048


class Curve(msgspec.Struct, frozen=True):
    """Errors over the life of a model, for a picture: one line a name, one value a stretch of labels."""

    unit: str
    names: tuple[str, ...]
    points: list[tuple[int, tuple[float, ...]]]
    """(labels so far, mean error of each name since the point before)."""


class Totals(msgspec.Struct, array_like=True):
    """Running totals, noted every so many labels; bounded, because the stretches double when they are many."""

    every: int = 64
    marks: list[tuple[int, tuple[float, ...]]] = []

    def note(self, labels: int, totals: tuple[float, ...]) -> None:
        """Note where the totals stand, where a stretch ends here."""
        self.marks.append((labels, totals))
        if len(self.marks) >= _MOST_POINTS:
            # Totals, unlike means, stay right when every other mark is dropped.
            self.marks = self.marks[1::2]
            self.every *= 2

    def means(self) -> list[tuple[int, tuple[float, ...]]]:
        """The mean of each total within each stretch."""
        found = []
        before, last = 0, tuple(0.0 for _ in self.marks[0][1]) if self.marks else ()
        for labels, totals in self.marks:
            found.append((labels, tuple((b - a) / (labels - before) for a, b in zip(last, totals, strict=True))))
            before, last = labels, totals
        return found


class RatingScores(msgspec.Struct, array_like=True):
    """Absolute errors of the future-rating model and of what it is compared with, on the 0-10 scale."""

    labels: int = 0
    error: float = 0.0
    square: float = 0.0
    cold: float = 0.0
    cold_labels: int = 0
    warm: float = 0.0
    warm_labels: int = 0
    global_mean: float = 0.0
    running_mean: float = 0.0
    experts: list[float] = []
    """One sum an expert, for the best single one in hindsight."""
    drifts: int = 0
    drifted_at: int | None = None
    """The count of labels at which the error last changed for good, as ADWIN sees it."""
    totals: Totals = msgspec.field(default_factory=Totals)

    def add(self, evidence: Evidence, miss: float, label: float, errors: list[float]) -> None:
        """Score the prediction that was made from `evidence`, `miss` off its label, beside the experts' errors."""
        self.labels += 1
        self.error += miss
        self.square += miss * miss
        if evidence.n <= COLD_UP_TO:
            self.cold += miss
            self.cold_labels += 1
        elif evidence.n > WARM_ABOVE:
            self.warm += miss
            self.warm_labels += 1
        self.global_mean += abs(evidence.global_mean - label)
        self.running_mean += abs(evidence.total / evidence.n - label)
        self.experts = sums = list(map(add, self.experts, map(abs, errors)))
        if self.labels % self.totals.every == 0:
            damped = [sums[place] for place in DAMPED.values()]
            self.totals.note(self.labels, (self.error, self.global_mean, self.running_mean, *damped))

    def means(self, experts: Sequence[str]) -> dict[str, float | None]:
        """Errors, baselines and `experts` by name; None before the first label of their kind."""
        found = {
            "mae": _mean(self.error, self.labels),
            "rmse": None if not self.labels else (self.square / self.labels) ** 0.5,
            "mae_cold": _mean(self.cold, self.cold_labels),
            "mae_warm": _mean(self.warm, self.warm_labels),
            "global_mean": _mean(self.global_mean, self.labels),
            "running_mean": _mean(self.running_mean, self.labels),
        }
        found |= {name: _mean(self.experts[place], self.labels) for name, place in DAMPED.items()}
        by_expert = {
            f"expert_{name}": _mean(total, self.labels) for name, total in zip(experts, self.experts, strict=True)
        }
        return found | by_expert | {"best_expert": _mean(min(self.experts), self.labels)}


class ReviewScores(msgspec.Struct, array_like=True):
    """How well probabilities rank and decide, in bounded memory: counts of both classes by probability."""

    labels: int = 0
    right: int = 0
    positive: list[int] = msgspec.field(default_factory=lambda: [0] * _BINS)
    negative: list[int] = msgspec.field(default_factory=lambda: [0] * _BINS)
    totals: Totals = msgspec.field(default_factory=Totals)

    def add(self, probability: float, label: bool) -> None:
        """Score one prediction whose label has come."""
        self.labels += 1
        self.right += (probability >= 0.5) == label
        place = min(_BINS - 1, int(probability * _BINS))
        counts = self.positive if label else self.negative
        counts[place] += 1
        if self.labels % self.totals.every == 0:
            ones = sum(self.positive)
            wrong = float(self.labels - self.right)
            self.totals.note(self.labels, (wrong, float(min(ones, self.labels - ones))))

    def means(self) -> dict[str, float | None]:
        """Accuracy, that of always saying the commoner class, and the area under the ROC curve."""
        ones = sum(self.positive)
        return {
            "accuracy": _mean(self.right, self.labels),
            "accuracy_majority": _mean(max(ones, self.labels - ones), self.labels),
            "auc": self.auc(),
        }

    def auc(self) -> float | None:
        """Area under the ROC curve, exact but for ties within a bin of 1/2048; None without both classes."""
        below, area = 0, 0.0
        for ones, zeros in zip(self.positive, self.negative, strict=True):
            area += ones * (below + zeros / 2)
            below += zeros
        ones = self.labels - below
        return area / (ones * below) if ones and below else None


def roc_auc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float | None:
    """Exact area under the ROC curve (Mann-Whitney U, ties count half); None without both classes."""
    ones = int(labels.sum())
    zeros = len(labels) - ones
    if not ones or not zeros:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[place][labels].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
