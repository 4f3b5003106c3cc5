"""Experts on a film's next ratings, and the weighted average that decides whom to trust."""

from __future__ import annotations

from math import sqrt
from operator import add, mul
from typing import Final, NamedTuple

STRENGTHS: Final = (1.0, 3.0, 6.0, 10.0, 20.0)
"""How many ratings a prior is worth: the k of a shrunk mean."""

PRIORS: Final = ("global", "learned", "adjusted")
LIMITS: Final = ("running_mean", "global_mean")
"""Shrunk means as well: by nothing, and altogether."""

SHRUNK: Final = (*(f"{prior}_{k:g}" for prior in PRIORS for k in STRENGTHS), *LIMITS)
DAMPED_3: Final = SHRUNK.index("global_3")
DAMPED_10: Final = SHRUNK.index("global_10")

COLD_UP_TO: Final = 5
WARM_ABOVE: Final = 30
"""A film's stages: cold with few ratings, warm with many, and between. Each trusts its own experts."""

_HEAD_START: Final = (0.15, 0.4, 0.4, 0.15, 0.05)
_OF_LIMITS: Final = 0.3
_OF_FURTHER: Final = 0.4
_OF_AVERAGE: Final = 16.0
_FURTHER_IN_AVERAGE: Final = (0.0, 4.0, 4.0)
"""By stage: what the regression corrects by (trend, raters) hardly shows before a film has some ratings."""
_LEAD: Final = 1.5
_CURVE: Final = 0.125
_SHARED: Final = 300.0
_DOUBT: Final = 0.3
_LEAST_SPREAD: Final = 1e-12
_FADE_EVERY: Final = 128
_FADE: Final = 0.975
_PREVIEWS_UNTIL: Final = 1000
_WEIGH_EACH: Final = 256
_WEIGH_EVERY: Final = 8


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
        (total + center) * a,
        (total + 3.0 * center) * b,
        (total + 6.0 * center) * c,
        (total + 10.0 * center) * d,
        (total + 20.0 * center) * e,
        (total + prior) * a,
        (total + prior_3) * b,
        (total + prior_6) * c,
        (total + prior_10) * d,
        (total + prior_20) * e,
        (adjusted + prior) * a,
        (adjusted + prior_3) * b,
        (adjusted + prior_6) * c,
        (adjusted + prior_10) * d,
        (adjusted + prior_20) * e,
        total / n if n else center,
        center,
    ]


def stage(n: int) -> int:
    """0, 1 or 2: cold, between or warm."""
    return 0 if n <= COLD_UP_TO else 1 if n <= WARM_ABOVE else 2


MixtureState = tuple[list[list[float]], list[list[float]], list[list[float]], list[float], list[int], list[int]]


class ExpertMixture:
    """Average of experts, weighted by how sure it is that each gains on it; one set of weights a stage.

    What an expert would have gained on the average is summed up: the gradient of the squared error times how far
    apart the two are, less a little of that distance squared, or late labels would make the weights swing. This
    regret counts in units of its own spread, as in ML-Poly (Gaillard, Stoltz and van Erven, "A second-order bound
    with excess losses", 2014), and the weight is the head start times the square of what is positive of regret
    plus a lead: the gradient of the cubic potential of Cesa-Bianchi and Lugosi ("Potential-based algorithms in
    on-line prediction and game theory", 2003). Nothing is tuned to the size of errors. Three things make small
    streams safe, where chance decides who is ahead:

    - The experts' fixed average is an expert itself, with most of the head start: such averages are hard to beat
      (the "forecast combination puzzle" of Stock and Watson, 2004), and to leave it takes evidence.
    - A young stage counts what the others have seen, less and less as lessons of its own come (partial pooling).
    - Sums fade over some 5,000 labels, so that an expert who was wrong for long can come back.

    ML-Poly's bound on the regret is not claimed for this: it is for labels without delay and weights without leads.
    """

    def __init__(self, further_experts: int) -> None:
        """`further_experts`, one at least, come after those of `SHRUNK`."""
        shrunk = [start for _ in PRIORS for start in _HEAD_START] + [_OF_LIMITS] * len(LIMITS)
        self._starts = [*shrunk, *[_OF_FURTHER] * further_experts, _OF_AVERAGE]
        self._averages = [
            _shares([*shrunk, *[each / further_experts] * further_experts]) for each in _FURTHER_IN_AVERAGE
        ]
        # The last regret and spread are those of the fixed average.
        self.regrets = [[0.0] * len(self._starts) for _ in range(3)]
        self.spreads = [[0.0] * len(self._starts) for _ in range(3)]
        self.weights = self._averages[:]
        self.squares = [0.0, 0.0, 0.0]
        self.labels = [0, 0, 0]
        self.lessons = [0, 0, 0]

    def state(self) -> MixtureState:
        """All there is to keep of each stage; lessons are labels and previews."""
        return self.regrets, self.spreads, self.weights, self.squares, self.labels, self.lessons

    def restore(self, state: MixtureState) -> None:
        """Take over what was kept of an earlier life."""
        self.regrets, self.spreads, self.weights, self.squares, self.labels, self.lessons = state

    def blend(self, n: int, predictions: list[float]) -> float:
        """The weighted mean of the experts' predictions for a film with `n` ratings."""
        blended: float = sum(map(mul, self.weights[stage(n)], predictions))
        return blended

    def wants_preview(self, n: int) -> bool:
        """Whether so few labels of this stage have come that single ratings still tell more than they."""
        return self.labels[stage(n)] < _PREVIEWS_UNTIL

    def preview(self, n: int, errors: list[float], blended_error: float) -> None:
        """Trust the experts according to their errors on the very next rating, while labels are awaited.

        A label is the mean of ratings, and gains are linear in it: those expected are the label's, without its delay.
        """
        self._gain(stage(n), errors, blended_error)

    def learn(self, n: int, errors: list[float], blended_error: float) -> None:
        """Trust the experts according to their errors on a label that was predicted at `n` ratings."""
        now = stage(n)
        labels = self.labels[now] = self.labels[now] + 1
        if labels % _FADE_EVERY == 0:
            self.regrets[now] = [regret * _FADE for regret in self.regrets[now]]
            self.spreads[now] = [spread * _FADE for spread in self.spreads[now]]
        self._gain(now, errors, blended_error)

    def _gain(self, now: int, errors: list[float], blended_error: float) -> None:
        # (b - e) * (b - curve * (b - e)), multiplied out: b is the blend's error, e an expert's.
        whole = blended_error * blended_error
        square, slope = (1.0 - _CURVE) * whole, (1.0 - 2.0 * _CURVE) * blended_error
        gains = [square - error * (slope + _CURVE * error) for error in errors]
        error = sum(map(mul, self._averages[now], errors))
        gains.append(square - error * (slope + _CURVE * error))
        self.squares[now] += whole
        self.regrets[now] = list(map(add, self.regrets[now], gains))
        self.spreads[now] = list(map(add, self.spreads[now], map(mul, gains, gains)))
        lessons = self.lessons[now] = self.lessons[now] + 1
        if lessons <= _WEIGH_EACH or lessons % _WEIGH_EVERY == 0:
            self._weigh(now)

    def _weigh(self, now: int) -> None:
        regrets, spreads = self._pooled(self.regrets, now), self._pooled(self.spreads, now)
        # The first few gains say nothing of their spread: the doubt, at the size that errors have, stands in for it.
        doubt = _DOUBT * sum(self.squares) / sum(self.lessons)
        least = doubt * doubt + _LEAST_SPREAD
        weights = [
            start * lead * lead if (lead := regret / sqrt(spread + least) + _LEAD) > 0.0 else 0.0
            for start, regret, spread in zip(self._starts, regrets, spreads, strict=True)
        ]
        total, average = sum(weights), self._averages[now]
        if total:
            common = weights.pop() / total
            average = [weight / total + common * share for weight, share in zip(weights, average, strict=True)]
        self.weights[now] = average

    def _pooled(self, sums: list[list[float]], now: int) -> list[float]:
        """Those of this stage, and of the others' as much as it is still young."""
        share = _SHARED / (_SHARED + self.lessons[now])
        own, one, other = sums[now], sums[now - 1], sums[now - 2]
        return [a + share * (b + c) for a, b, c in zip(own, one, other, strict=True)]


def _shares(weights: list[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]
