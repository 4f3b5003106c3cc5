"""Experts on a film's next ratings, and the exponentially weighted average that decides whom to trust."""

from __future__ import annotations

import math
from operator import mul
from typing import Final, NamedTuple

STRENGTHS: Final = (1.0, 3.0, 6.0, 10.0, 20.0)
"""How many ratings a prior is worth: the k of a shrunk mean."""

PRIORS: Final = ("global", "learned", "adjusted")
SHRUNK: Final = tuple(f"{prior}_{k:g}" for prior in PRIORS for k in STRENGTHS)
DAMPED_3: Final = SHRUNK.index("global_3")
DAMPED_10: Final = SHRUNK.index("global_10")

COLD_UP_TO: Final = 5
WARM_ABOVE: Final = 30
"""A film's stages: cold with few ratings, warm with many, and between. Each trusts its own experts."""

_FLOOR: Final = -12.0
_HEAD_START: Final = {1.0: -1.0, 3.0: 0.0, 6.0: 0.0, 10.0: -1.0, 20.0: -2.0}
_QUIET: Final = 0.5
_SLOWEST: Final = 5000


class Evidence(NamedTuple):
    """What is known of a film right after a rating; all a prediction is made from. Scores are on one scale."""

    n: int
    total: float
    """Sum of the film's `n` scores."""
    adjusted: float
    """The same sum with each rater's habitual offset taken away."""
    global_mean: float
    prior: float
    """What the metadata model expects of the film before any rating."""
    recent: float
    """Mean of the film's last five scores."""


def shrunk_means(evidence: Evidence) -> list[float]:
    """The predictions of the experts in `SHRUNK`, in that order: `(total + k * prior) / (n + k)`.

    Shrinkage towards three priors, known as the damped or Bayesian mean.
    """
    n, total, adjusted, center, prior, _ = evidence
    # Written out because it runs twice a rating; a test holds it to the formula and to STRENGTHS.
    a, b, c, d, e = 1.0 / (n + 1.0), 1.0 / (n + 3.0), 1.0 / (n + 6.0), 1.0 / (n + 10.0), 1.0 / (n + 20.0)
    prior_3, prior_6, prior_10, prior_20 = 3.0 * prior, 6.0 * prior, 10.0 * prior, 20.0 * prior
    return [
        *((total + center) * a, (total + 3.0 * center) * b, (total + 6.0 * center) * c),
        *((total + 10.0 * center) * d, (total + 20.0 * center) * e),
        *((total + prior) * a, (total + prior_3) * b, (total + prior_6) * c),
        *((total + prior_10) * d, (total + prior_20) * e),
        *((adjusted + prior) * a, (adjusted + prior_3) * b, (adjusted + prior_6) * c),
        *((adjusted + prior_10) * d, (adjusted + prior_20) * e),
    ]


def stage(n: int) -> int:
    """0, 1 or 2: cold, between or warm."""
    return 0 if n <= COLD_UP_TO else 1 if n <= WARM_ABOVE else 2


class ExpertMixture:
    """Exponentially weighted average of experts: weight `exp(-rate * sum of squared errors)`, one set a stage.

    `rate` is per squared unit of the 0-10 scale. Log-weights stop 12 below the best, so that an expert who was
    wrong for long can come back. On streams that are quieter than usual (mean squared error under 0.5) the
    losses are scaled up, or the weights would hardly move. See Cesa-Bianchi and Lugosi, "Prediction,
    Learning, and Games", chapter 2.
    """

    def __init__(self, rate: float, further_experts: int) -> None:
        self.rate = rate
        start = [_HEAD_START[k] for _ in PRIORS for k in STRENGTHS] + [0.0] * further_experts
        self.logs = [list(start) for _ in range(3)]
        self.mean_square = 2.0
        self.lessons = 0
        self._weigh()

    def _weigh(self) -> None:
        self.weights = [[math.exp(log) for log in logs] for logs in self.logs]
        self.sums = [sum(weights) for weights in self.weights]

    def restore(self, logs: list[list[float]], mean_square: float, lessons: int) -> None:
        """Take over what was kept of an earlier life."""
        self.logs, self.mean_square, self.lessons = logs, mean_square, lessons
        self._weigh()

    def blend(self, n: int, predictions: list[float]) -> float:
        """The weighted mean of the experts' predictions for a film with `n` ratings."""
        now = stage(n)
        total: float = sum(map(mul, self.weights[now], predictions))
        return total / self.sums[now]

    def learn(self, n: int, errors: list[float], blended_error: float) -> None:
        """Trust the experts according to their errors on a label that was predicted at `n` ratings."""
        self.lessons += 1
        pace = min(self.lessons + 20, _SLOWEST)
        self.mean_square += (blended_error * blended_error - self.mean_square) / pace
        rate = self.rate
        if self.mean_square < _QUIET:
            rate *= _QUIET / max(self.mean_square, 1e-6)
        now = stage(n)
        logs = [log - rate * error * error for log, error in zip(self.logs[now], errors, strict=True)]
        best = max(logs)
        logs = [log - best if log - best > _FLOOR else _FLOOR for log in logs]
        self.logs[now] = logs
        self.weights[now] = weights = list(map(math.exp, logs))
        self.sums[now] = sum(weights)
