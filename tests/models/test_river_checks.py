"""Every estimator keeps River's conventions: cloning, pickling, unseen features, pure predictions, bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import base
from river.checks import yield_checks

from models.future_rating import FutureRatingRegressor
from models.linear import SgdLinearRegression
from models.sentiment import HashedSentimentClassifier, SentimentClassifier

ESTIMATORS = (
    FutureRatingRegressor(),
    FutureRatingRegressor(trees=2),
    SgdLinearRegression(lr=0.001, clip_gradient=10.0),
    SentimentClassifier(),
    HashedSentimentClassifier(bits=10),
)

TEXTS = [
    ({"text": "a moving, funny film about friends", "lang": "en"}, True),
    ({"text": "dull from the first minute to the last", "lang": "en"}, False),
    ({"text": "", "lang": "fr"}, True),
    ({"text": "funny? dull!", "lang": "fr"}, False),
] * 10


def _checks() -> Iterator[Any]:
    for place, estimator in enumerate(ESTIMATORS):
        for check in yield_checks(estimator):
            if check.__name__ not in estimator._unit_test_skips():
                yield pytest.param(estimator, check, id=f"{place}-{type(estimator).__name__}-{check.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
def test_an_estimator_passes_rivers_own_check(estimator: base.Base, check: Callable[[Any], None]) -> None:
    check(estimator.clone())


@pytest.mark.parametrize("estimator", ESTIMATORS[3:], ids=lambda estimator: type(estimator).__name__)
def test_a_classifier_of_texts_passes_them_on_texts_too(estimator: base.Classifier) -> None:
    checks = [check for check in yield_checks(estimator) if "dataset" in getattr(check, "keywords", {})]
    assert len(checks) > 10
    for check in checks:
        if check.__name__ not in {"check_emerging_features", "check_disappearing_features"}:
            check.func(estimator.clone(), dataset=TEXTS)  # type: ignore[attr-defined]
