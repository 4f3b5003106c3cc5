"""Linear regression by stochastic gradient descent in plain floats: River's arithmetic without its overhead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river import base


class SgdLinearRegression(base.Regressor):
    """River's `LinearRegression(SGD(lr), intercept_lr=…, clip_gradient=…)`, equal to it up to rounding.

    Squared loss, so the gradient is `2 * (prediction - y)`. `x` maps features to numbers; a feature that was
    never learnt counts as zero. The weights are a plain dict, which is what makes small snapshots possible.
    """

    def __init__(self, lr: float = 0.01, intercept_lr: float = 0.01, clip_gradient: float = 1e12) -> None:
        self.lr = lr
        self.intercept_lr = intercept_lr
        self.clip_gradient = clip_gradient
        self.weights: dict[Any, float] = {}
        self.intercept = 0.0

    def predict_one(self, x: Mapping[Any, Any]) -> float:
        """The weighted sum of the features that are known, plus the intercept."""
        weights = self.weights
        dot = 0.0
        for name, value in x.items():
            weight = weights.get(name)
            if weight is not None:
                dot += weight * value
        return dot + self.intercept

    def learn_one(self, x: Mapping[Any, Any], y: float) -> None:
        """One gradient step."""
        clip = self.clip_gradient
        gradient = 2.0 * (self.predict_one(x) - y)
        gradient = clip if gradient > clip else -clip if gradient < -clip else gradient
        self.intercept -= self.intercept_lr * gradient
        weights, lr = self.weights, self.lr
        for name, value in x.items():
            weights[name] = weights.get(name, 0.0) - lr * (gradient * value)
