"""Scores that are kept while predicting."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.prequential import ReviewScores, Totals, roc_auc


def test_the_area_under_the_curve_is_exact_also_with_ties() -> None:
    chance = random.Random(1)
    scores = np.array([round(chance.random(), 1) for _ in range(500)])
    labels = np.array([chance.random() < score for score in scores])
    assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_one_class_alone_has_no_area() -> None:
    assert roc_auc(np.array([0.1, 0.9]), np.array([True, True])) is None
    assert ReviewScores().auc() is None


def test_the_bounded_area_is_close_to_the_exact_one() -> None:
    chance = random.Random(1)
    kept, scores, labels = ReviewScores(), [], []
    for _ in range(4000):
        score = chance.betavariate(0.5, 0.5)
        label = chance.random() < 0.3 + 0.4 * score
        kept.add(score, label)
        scores.append(score)
        labels.append(label)
    assert kept.auc() == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)


def test_totals_stay_few_and_right() -> None:
    totals = Totals()
    for labels in range(1, 100_001):
        if labels % totals.every == 0:
            totals.note(labels, (labels * 0.5,))
    means = totals.means()
    assert 100 < len(means) < 256
    assert all(mean == (0.5,) for _, mean in means)
    assert means[-1][0] > 99_000
