"""The fast linear regression beside the River model that it stands in for."""

from __future__ import annotations

import random

import pytest
from river import linear_model, optim

from models.linear import SgdLinearRegression


def _stream(count: int) -> list[tuple[dict[int, float], float]]:
    chance = random.Random(3)
    rows = []
    for _ in range(count):
        x = {place: chance.gauss(0, 1) for place in chance.sample(range(12), 5)}
        rows.append((x, sum(x.values()) + chance.gauss(2, 3)))
    return rows


def test_it_equals_rivers_linear_regression() -> None:
    ours = SgdLinearRegression(lr=0.01, intercept_lr=0.003, clip_gradient=4.0)
    rivers = linear_model.LinearRegression(optim.SGD(0.01), intercept_lr=0.003, clip_gradient=4.0)
    for x, y in _stream(3000):
        assert ours.predict_one(x) == pytest.approx(rivers.predict_one(x), abs=1e-11)
        ours.learn_one(x, y)
        rivers.learn_one(x, y)
    assert ours.intercept == pytest.approx(rivers.intercept, abs=1e-11)
    assert ours.weights == pytest.approx(rivers.weights, abs=1e-11)


def test_what_was_never_learnt_counts_as_nothing() -> None:
    model = SgdLinearRegression()
    model.learn_one({1: 1.0}, 5.0)
    assert model.predict_one({99: 1000.0}) == model.intercept
