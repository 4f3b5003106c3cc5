"""The future-rating model: given what is known of a film, the mean of its next ten ratings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from river import base, forest

from models.experts import DAMPED_3, SHRUNK, Evidence, ExpertMixture, shrunk_means
from models.linear import SgdLinearRegression

HORIZON: Final = 10
MODEL: Final = "future-rating"
CODE_VERSION: Final = 3
"""Raised whenever the same log would give other predictions."""

Prediction = tuple[float, float, float]
"""The blended prediction, that of the linear regression and that of the forest (0.0 without one)."""

_MOST_CORRECTION: Final = 3.0
_WIDEST_GRADIENT: Final = 6.0
_LEARNING_RATE: Final = 0.002


class FutureRatingRegressor(base.Regressor):
    """Average of shrunk means and River models, weighted by how well each has predicted so far.

    The features are the fields of `Evidence` (`n`, `total`, `adjusted`, `global_mean`, `prior`, `recent`);
    those that are absent are filled with what a film without ratings has, others are left aside. Targets and
    predictions are scores from 0 to `best`. A linear regression corrects the mean damped by three ratings;
    `trees` above 0 adds an adaptive random forest of that many trees, about a hundred times dearer.
    """

    def __init__(self, best: float = 10.0, trees: int = 0, seed: int = 1) -> None:
        self.best = best
        self.trees = trees
        self.seed = seed
        self.linear = SgdLinearRegression(_LEARNING_RATE, 0.0, _WIDEST_GRADIENT)
        self.forest = forest.ARFRegressor(n_models=trees, seed=seed) if trees > 0 else None
        self.mixture = ExpertMixture(1 if self.forest is None else 2)

    @property
    def experts(self) -> tuple[str, ...]:
        """Names, in the order of the errors that `learn` gives."""
        return (*SHRUNK, "linear") if self.forest is None else (*SHRUNK, "linear", "forest")

    def predict(self, evidence: Evidence) -> Prediction:
        """Predict; all of it must be handed to `learn` with the label, because by then the models have moved on."""
        means = shrunk_means(evidence)
        features = correction_features(evidence)
        damped = means[DAMPED_3]
        linear = self._corrected(damped, self.linear.predict_one(features))
        means.append(linear)
        grown = 0.0
        if self.forest is not None:
            grown = self._corrected(damped, float(self.forest.predict_one(features)))
            means.append(grown)
        blended = self.mixture.blend(evidence.n, means)
        best = self.best
        return (0.0 if blended < 0.0 else best if blended > best else blended), linear, grown

    def learn(self, evidence: Evidence, predicted: Prediction, label: float) -> list[float]:
        """Learn a label from the evidence and the predictions of its time; the experts' signed errors."""
        means = shrunk_means(evidence)
        features = correction_features(evidence)
        missing = label - means[DAMPED_3]
        self.linear.learn_one(features, missing)
        means.append(predicted[1])
        if self.forest is not None:
            self.forest.learn_one(features, missing)
            means.append(predicted[2])
        errors = [mean - label for mean in means]
        self.mixture.learn(evidence.n, errors, predicted[0] - label)
        return errors

    def preview(self, evidence: Evidence, predicted: Prediction, score: float) -> None:
        """Weigh the experts by the first of the ratings that a prediction was about, ahead of its label."""
        further = predicted[1:2] if self.forest is None else predicted[1:]
        errors = [mean - score for mean in (*shrunk_means(evidence), *further)]
        self.mixture.preview(evidence.n, errors, predicted[0] - score)

    def predict_one(self, x: Mapping[Any, Any]) -> float:
        """The expected mean of the next ten ratings."""
        return self.predict(self._evidence(x))[0]

    def learn_one(self, x: Mapping[Any, Any], y: float) -> None:
        """Learn from a label whose features were `x`."""
        evidence = self._evidence(x)
        self.learn(evidence, self.predict(evidence), y)

    def _corrected(self, mean: float, correction: float) -> float:
        # An unbounded correction is what makes plain SGD blow up while it starts.
        correction = min(_MOST_CORRECTION, max(-_MOST_CORRECTION, correction))
        return min(self.best, max(0.0, mean + correction))

    def _evidence(self, x: Mapping[Any, Any]) -> Evidence:
        middle = float(x.get("global_mean", self.best / 2))
        prior = float(x.get("prior", middle))
        n = int(x.get("n", 0))
        total = float(x.get("total", n * prior))
        recent = float(x.get("recent", total / n if n else prior))
        return Evidence(n, total, float(x.get("adjusted", total)), middle, prior, recent)


def correction_features(evidence: Evidence) -> dict[int, float]:
    """What may say how far off the mean damped by three is: trend, distance to the priors, scarcity."""
    n, total, adjusted, global_mean, prior, recent = evidence
    mean = total / n if n else prior
    share = 1.0 / (n + 3)
    return {
        0: (recent - mean) * 5 / (n + 5),
        1: (mean - global_mean) * 3 * share,
        2: 3 * share,
        3: (adjusted - total) * share,
        4: 0.3,
        5: prior - global_mean,
    }
